"""Digests of the code that a stage runs: every definition that its script reaches, without comments and docstrings.

DVC compares files. With these digests a stage depends on the definitions that it runs instead of on whole files.
"""
