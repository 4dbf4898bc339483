"""The terms of labels, their titles and synonyms, as ids of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from medcode.dataset.title_words import padded
from medcode.text.vocabulary import PAD


def terms_of_label(title: str, synonyms: Sequence[str], number: int) -> list[str]:
    """Return the terms of a label: its title, its synonyms in their order, and from the start again to the number."""
    texts = [text for text in (title, *synonyms) if text] or [""]
    return [texts[place % len(texts)] for place in range(number)]


def words_of_terms(
    terms: Sequence[Sequence[str]], tokenize: Callable[[Sequence[str]], list[np.ndarray]], length: int, *, once: bool
) -> tuple[Tensor, Tensor]:
    """Return the words of terms, the shortest term first, and where the terms of each label are.

    Args:
        terms: m terms of each label.
        tokenize: splits texts into ids of words.
        length: number of words that are kept of a term.
        once: whether equal terms are one row.

    Returns:
        Ids padded with 0, int64 [M, T]; and rows, int64 [Y, m].
    """
    words = padded([ids[:length].astype(np.int64) for ids in tokenize([term for label in terms for term in label])])
    rows = torch.arange(len(words))
    if once:
        words, rows = words.unique(dim=0, return_inverse=True)
    order = (words != PAD).sum(1).argsort(stable=True)
    return words[order], order.argsort()[rows].view(len(terms), -1)
