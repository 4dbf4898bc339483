"""The vocabulary: the row of each word in the embedding table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

PAD = 0


class Vocabulary:
    """Mapping from words to rows of the embedding table: PAD is row 0, word i is row i + 1, UNK is the last row.

    Args:
        words: words of the vocabulary, in the order of the rows [V].

    Attributes:
        unknown: the row UNK of all words outside the vocabulary; V + 1.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.unknown = len(words) + 1
        self._row_of = {word: row for row, word in enumerate(words, start=PAD + 1)}

    @property
    def n_rows(self) -> int:
        """Number of rows of the embedding table: the words, PAD and UNK."""
        return self.unknown + 1

    @staticmethod
    def table(vectors: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """Return the embedding table: PAD, which is zero, the vectors of the words, and that of UNK.

        Shapes: [V, E], [E] -> [V + 2, E].
        """
        return np.stack([np.zeros(len(unknown)), *vectors, unknown])

    def rows(self, words: Iterable[str]) -> np.ndarray:
        """Return the row of each word, int32 [N]."""
        return np.array([self._row_of.get(word, self.unknown) for word in words], dtype=np.int32)
