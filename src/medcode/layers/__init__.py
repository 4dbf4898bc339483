"""Layers that several models share.

Dimension letters in docstrings and end-of-line comments: B batch, N tokens (or positions after an encoder),
E embedding size, D features, Y labels, K kernel.
"""
