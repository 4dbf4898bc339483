"""The data that models are trained on: splits, label sets, and the arrays of notes and codes."""
