"""Names of the splits."""

from __future__ import annotations

SPLITS = ("train", "dev", "test")
BACKGROUND = "background"  # documents that only word vectors and encoders may read
