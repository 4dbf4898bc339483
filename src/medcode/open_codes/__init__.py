"""Codes that training never saw: found by their descriptions, and brought to the scale of the model's probabilities."""
