"""Blocks that several models share.

Dimension letters, in every docstring and end-of-line comment: B batch, N tokens (or positions after an encoder),
E embedding size, D features, Y labels, K kernel.
"""
