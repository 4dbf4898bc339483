r"""How well a note mentions the terms of codes, as sparse products.

A term and a sentence are sets of words. With t the sum of idf over the words of the term, and c the sum over those
that the sentence has too,

    score(term, sentence) = c / t * sqrt(t) = c / sqrt(t).

The score of a code is the highest of its terms and of the note's sentences. A word's idf is the mean of two: that among
the terms, and that among the training notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse

from medcode import io
from medcode.open_codes.words import Sentence

WHOLE = 1 - 1e-5  # share of a term's idf from which on all of it counts as covered, in float32


@dataclass(frozen=True)
class NoteFrequencies:
    """In how many notes each word occurs.

    Attributes:
        notes: number of notes.
        counts: notes of each word.
    """

    notes: int
    counts: Counter[str]

    @classmethod
    def count(cls, notes: Iterable[list[Sentence]]) -> NoteFrequencies:
        """Count the words of notes, given as their sentences."""
        total, counts = 0, Counter[str]()
        for sentences in notes:
            total += 1
            counts.update(frozenset().union(*sentences))
        return cls(total, counts)


@dataclass(frozen=True)
class Matches:
    """The best match of each code in a note.

    Attributes:
        scores: float32 [C]; 0 for a code of which no word occurs.
        covered: share of the best term's idf that the sentence has, float32 [C].
        lengths: words of the best term, int32 [C].
    """

    scores: np.ndarray
    covered: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class TermIndex:
    """Terms of codes as sets of words.

    Attributes:
        vocabulary: the words [V].
        idf: of each word, float32 [V].
        columns: the words of all terms, one term after the other, int32.
        starts: term i has the columns starts[i] to starts[i + 1], int64 [T + 1].
        codes: the code of each term, ascending, int32 [T].
        n_codes: C; a code may have no term.
    """

    vocabulary: list[str]
    idf: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    codes: np.ndarray
    n_codes: int

    @classmethod
    def build(cls, terms: Iterable[tuple[int, Sentence]], n_codes: int, frequencies: NoteFrequencies) -> TermIndex:
        """Index terms, in the order of their codes.

        Args:
            terms: the code and the words of each; one without a word, or that its code has already, is left out.
            n_codes: number of codes.
            frequencies: of words in training notes.
        """
        kept = sorted({(code, tuple(sorted(term))) for code, term in terms if term})
        vocabulary = sorted({word for _, term in kept for word in term})
        number = {word: column for column, word in enumerate(vocabulary)}
        columns = np.array([number[word] for _, term in kept for word in term], np.int32)
        in_terms = np.bincount(columns, minlength=len(vocabulary))
        in_notes = np.array([frequencies.counts[word] for word in vocabulary], np.int64)
        idf = (_idf(in_terms, len(kept)) + _idf(in_notes, frequencies.notes)) / 2
        starts = np.cumsum([0, *(len(term) for _, term in kept)])
        codes = np.array([code for code, _ in kept], np.int32)
        return cls(vocabulary, idf.astype(np.float32), columns, starts, codes, n_codes)

    def write(self, folder: Path, name: str) -> None:
        """Write the files of an index into a folder; `read` reads them."""
        io.write_text(folder / f"{name}.txt", "".join(f"{word}\n" for word in self.vocabulary))
        for part in ("idf", "columns", "starts", "codes"):
            io.write_array(folder / f"{name}_{part}.npy", getattr(self, part))

    @classmethod
    def read(cls, folder: Path, name: str, n_codes: int) -> TermIndex:
        """Read the files of `write`.

        Raises:
            UserError: a file is missing or damaged.
        """
        arrays = {part: io.read_array(folder / f"{name}_{part}.npy") for part in ("idf", "columns", "starts", "codes")}
        return cls(vocabulary=io.read_lines(folder / f"{name}.txt"), **arrays, n_codes=n_codes)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.vocabulary)}

    @cached_property
    def _by_word(self) -> sparse.csr_array:
        """The idf of each word in each term that has it, [V, T]."""
        shape = len(self.codes), len(self.vocabulary)
        return sparse.csr_array((self.idf[self.columns], self.columns, self.starts), shape=shape).T.tocsr()

    @cached_property
    def lengths(self) -> np.ndarray:
        """Words of each term, int64 [T]."""
        return np.diff(self.starts)

    @cached_property
    def totals(self) -> np.ndarray:
        """The sum of the idf of each term's words, float32 [T]."""
        return np.add.reduceat(self.idf[self.columns], self.starts[:-1]) if len(self.codes) else np.zeros(0, np.float32)

    def covered(self, sentences: Sequence[Sentence]) -> np.ndarray:
        """Return the idf of each term that its best sentence in a note has, float32 [T]."""
        known = [[self._number[word] for word in sentence if word in self._number] for sentence in sentences]
        columns = np.array([column for sentence in known for column in sentence], np.int32)
        starts = np.cumsum([0, *map(len, known)])
        shape = len(known), len(self.vocabulary)
        product = sparse.csr_array((np.ones(len(columns), np.float32), columns, starts), shape=shape) @ self._by_word
        best = np.zeros(len(self.codes), np.float32)
        np.maximum.at(best, product.indices, product.data)
        return best

    def match(self, covered: np.ndarray) -> Matches:
        """Return the best match of each code in a note, the first of equal terms.

        Args:
            covered: as `covered` returns it for the note.
        """
        scores = np.divide(covered, np.sqrt(self.totals), out=np.zeros_like(covered), where=self.totals > 0)
        best = np.zeros(self.n_codes, np.float32)
        np.maximum.at(best, self.codes, scores)
        is_best = np.flatnonzero((scores > 0) & (scores == best[self.codes]))[::-1]
        shares, lengths = np.zeros(self.n_codes, np.float32), np.zeros(self.n_codes, np.int32)
        # Of several assignments to a code the last holds, and the terms come in reverse.
        shares[self.codes[is_best]] = covered[is_best] / self.totals[is_best]
        lengths[self.codes[is_best]] = self.lengths[is_best]
        return Matches(best, shares, lengths)

    def is_whole(self, covered: np.ndarray) -> np.ndarray:
        """Whether one sentence of a note has all words of a term, bool [T]; `covered` is of the note."""
        return (covered >= self.totals * WHOLE) & (covered > 0)


def _idf(counts: np.ndarray, total: int) -> np.ndarray:
    return np.log((1 + total) / (1 + counts))
