"""Terms of codes: descriptions, synonyms in the public domain, and mentions in training notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medcode.open_codes.codes import CodeList
from medcode.open_codes.matching import NoteFrequencies, TermIndex
from medcode.open_codes.words import Sentence, sentences, words


@dataclass(frozen=True)
class Mentions:
    """Words of spans that justify a label in training notes. They are text of notes, and as restricted as these.

    Attributes:
        index: the words of each mention; its codes are the labels.
        reliability: training notes in which a mention justifies its label, per note that has all its words in one
            sentence, plus one, float32 [T].
    """

    index: TermIndex
    reliability: np.ndarray


def public_terms(codes: CodeList, synonyms: pd.DataFrame, sources: Iterable[str]) -> Iterator[tuple[int, Sentence]]:
    """Yield code and words of each description and synonym.

    Args:
        codes: the codes.
        synonyms: system, code, synonym, source.
        sources: of the synonyms to take: inclusion_term, index.
    """
    yield from ((number, words(text)) for number, text in enumerate(codes.descriptions))
    for row in synonyms[synonyms["source"].isin(list(sources))].itertuples():
        if (number := codes.number.get((row.system, row.code))) is not None:
            yield number, words(row.synonym)


def mentions(
    codes: CodeList,
    spans: pd.DataFrame,
    texts: Mapping[str, str],
    frequencies: NoteFrequencies,
) -> Mentions | None:
    """Return the mentions of the labels in training notes; None if there is none.

    Args:
        codes: the codes.
        spans: admission_id, system, code, start, end; each part of a discontinuous span is a row, and a mention.
        texts: the training notes, by admission.
        frequencies: of words in the training notes.
    """
    notes: dict[tuple[int, tuple[str, ...]], set[str]] = {}
    for row in spans[spans["admission_id"].isin(list(texts))].itertuples():
        number = codes.number.get((row.system, row.code), codes.n_labels)
        if number < codes.n_labels and (mention := words(texts[row.admission_id][row.start : row.end])):
            notes.setdefault((number, tuple(sorted(mention))), set()).add(row.admission_id)
    if not notes:
        return None
    index = TermIndex.build(((number, frozenset(mention)) for number, mention in notes), codes.n_labels, frequencies)
    justified = np.array([len(notes[key]) for key in sorted(notes)], np.float32)  # the order of the index
    whole = np.zeros_like(justified)
    for text in texts.values():
        whole += index.is_whole(index.covered(sentences(text)))
    return Mentions(index, justified / (np.maximum(whole, justified) + 1))
