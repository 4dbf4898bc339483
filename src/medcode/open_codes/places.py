"""Places of an unseen code in a note: the words for which it was found."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from medcode.open_codes.retrieval import Retriever
from medcode.open_codes.words import beginnings, words
from medcode.text.sentences import sentence_spans

_WORD = re.compile(r"[^\W_]+")

Place = tuple[int, int, float]  # start and end in characters of the note, and the word's share of the covered idf


def places(retriever: Retriever, text: str, number: int) -> list[Place]:
    """Return the words of the sentence that covers a term of a code best; none if no word of it is in the note.

    Args:
        retriever: that found the code.
        text: the note.
        number: of the code.
    """
    index = retriever.beginnings
    first, behind = np.searchsorted(index.codes, [number, number + 1])
    terms = [
        {index.vocabulary[column]: float(index.idf[column]) for column in index.columns[start:end]}
        for start, end in pairwise(index.starts[first : behind + 1])
    ]
    best, score = list[Place](), 0.0
    for start, end in sentence_spans(text):
        found = [(match.span(), beginnings(words(match.group()))) for match in _WORD.finditer(text, start, end)]
        for term in terms:
            in_sentence = [(place, sum(term.get(word, 0) for word in parts)) for place, parts in found]
            covered = sum(term[word] for word in term.keys() & frozenset().union(*(parts for _, parts in found)))
            if covered / sum(term.values()) ** 0.5 > score:
                score = covered / sum(term.values()) ** 0.5
                total = sum(idf for _, idf in in_sentence)
                best = [(*place, idf / total) for place, idf in in_sentence if idf]
    return best
