"""Automated medical coding: from a hospital's notes to the ICD codes that a human coder would assign."""
