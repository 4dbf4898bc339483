"""Trained models: their folders, the scores that they give, and predictions for new notes."""
