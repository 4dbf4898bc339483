"""ICD codes: notation, titles, categories, and mappings between the systems."""
