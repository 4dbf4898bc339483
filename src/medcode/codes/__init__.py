"""Codes: how they are written, their titles, their groups, and how the systems map to each other."""
