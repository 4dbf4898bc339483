"""Trained models: their folders, their scores, and predictions for new notes."""
