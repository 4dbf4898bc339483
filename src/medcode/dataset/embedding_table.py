"""The table that word embeddings start from: word vectors at unit norm, whitened, or as word2vec gives them."""

from __future__ import annotations

from typing import Literal

import numpy as np

RAW_UNKNOWN_BOUND = 0.25  # of each component of UNK beside raw vectors, in LAAT's code
SEED = 0  # of that UNK


def embedding_table(vectors: np.ndarray, init: Literal["unit", "raw", "whitened"]) -> np.ndarray:
    """Return word vectors as a recipe asks for them.

    Source: for `unit` caml-mimic, extract_wvs.py: every row, UNK too, is divided by its norm + 1e-6. For `raw` LAAT's
    code, vocab.py: words as word2vec gives them, UNK uniform in +-0.25. `whitened` is ours: `unit` of whitened words.

    Args:
        vectors: of data/inputs, float32 [V + 2, E]: PAD, the words as word2vec gives them, UNK from a normal
            distribution.
        init: unit, raw or whitened.

    Returns:
        float32 [V + 2, E]; PAD stays zero.
    """
    table = vectors.copy()
    if init == "whitened":
        table[1:-1] = whiten(vectors[1:-1])
    if init != "raw":
        return table / (np.linalg.norm(table, axis=1, keepdims=True) + np.float32(1e-6))
    table[-1] = np.random.default_rng(SEED).uniform(-RAW_UNKNOWN_BOUND, RAW_UNKNOWN_BOUND, table.shape[1])
    return table


def whiten(vectors: np.ndarray) -> np.ndarray:
    """Whiten unit vectors (zero-phase): mean zero and identity covariance, as close to the input as possible.

    Word vectors of a small corpus all point in similar directions, which hides the similarity of words. The leading
    principal components mostly encode frequency (Mu and Viswanath 2018, "All-but-the-Top"). Whitening goes further and
    gives all directions the same variance. A direction without variance stays without.

    Shapes: [V, E] -> float64 [V, E].
    """
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centered = units - units.mean(0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centered.T @ centered / len(centered))
    has_variance = variances > variances.max() * 1e-9
    scales = np.where(has_variance, 1 / np.sqrt(np.where(has_variance, variances, 1)), 0)
    return centered @ (directions * scales) @ directions.T
