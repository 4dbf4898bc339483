"""The table that word embeddings start from: word vectors at unit norm, or as word2vec gives them."""

from __future__ import annotations

from typing import Literal

import numpy as np

RAW_UNKNOWN_BOUND = 0.25  # of each component of UNK beside raw vectors, in LAAT's code
SEED = 0  # of that UNK


def embedding_table(vectors: np.ndarray, norm: Literal["unit", "raw"]) -> np.ndarray:
    """Return word vectors in the scale that a recipe asks for.

    Source: for `unit` caml-mimic, extract_wvs.py: every row, UNK too, is divided by its norm + 1e-6. For `raw` LAAT's
    code, vocab.py: words as word2vec gives them, UNK uniform in +-0.25.

    Args:
        vectors: of data/inputs, float32 [V + 2, E]: PAD, the words as word2vec gives them, UNK from a normal
            distribution.
        norm: unit or raw.

    Returns:
        float32 [V + 2, E]; PAD stays zero.
    """
    if norm == "unit":
        return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + np.float32(1e-6))
    table = vectors.copy()
    table[-1] = np.random.default_rng(SEED).uniform(-RAW_UNKNOWN_BOUND, RAW_UNKNOWN_BOUND, table.shape[1])
    return table
