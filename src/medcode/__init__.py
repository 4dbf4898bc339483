"""Automated medical coding: ICD codes for clinical notes, as a human coder would assign them."""
