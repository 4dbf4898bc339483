"""Figures and the report page of a trained model."""
