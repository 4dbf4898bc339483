"""The page on which a person reviews predicted codes, and its server."""
