"""Which code a stage runs: the definitions that its script reaches, each with a digest without comments and docstrings.

DVC compares files. These digests let a stage depend on what it really runs instead of on whole files and folders.
"""
