"""ICD codes: notation, descriptions, categories, and mappings between the systems."""
