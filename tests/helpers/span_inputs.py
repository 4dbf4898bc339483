"""Inputs with spans: those of label y are the words y + 1, as `tiny_inputs` labels its documents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medcode.dataset.arrays import Inputs, Split


def with_word_spans(inputs: Inputs, max_tokens: int, head: str = "icd") -> Inputs:
    """Return the inputs with a span of one word for each word that is a gold label's, within so many tokens."""
    splits = {
        name: replace(split, spans={head: _spans(inputs, split, max_tokens, head)})
        for name, split in inputs.splits.items()
    }
    return replace(inputs, splits=splits)


def _spans(inputs: Inputs, split: Split, max_tokens: int, head: str) -> np.ndarray:
    rows, gold = [], split.targets[head].matrix.toarray()
    for document, (start, end) in enumerate(split.offsets):
        for place, word in enumerate(inputs.tokens[start:end][:max_tokens].tolist()):
            if word <= gold.shape[1] and gold[document, word - 1]:
                rows.append((document, word - 1, place, place + 1))
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)
