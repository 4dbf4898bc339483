"""Building of a retriever from the tables of codes and the training notes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medcode.config import Open
from medcode.errors import UserError
from medcode.open_codes.codes import code_list, read_list
from medcode.open_codes.matching import NoteFrequencies, TermIndex
from medcode.open_codes.retrieval import Retriever
from medcode.open_codes.terms import mentions, public_terms
from medcode.open_codes.words import beginnings, sentences
from medcode.text.tokens import documents_of


def texts_of(notes: str | os.PathLike, admissions: Collection[str]) -> dict[str, str]:
    """Return the texts of some admissions, in their order.

    Raises:
        UserError: notes.parquet cannot be read.
    """
    wanted = set(admissions)
    found = {admission: text for admission, text in documents_of(notes) if admission in wanted}
    return {admission: found[admission] for admission in admissions}


def build(
    options: Open, labels: Sequence[dict[str, Any]], tables: Mapping[str, pd.DataFrame], texts: Mapping[str, str]
) -> Retriever:
    """Build a retriever.

    Args:
        options: of params.yaml.
        labels: records with system, code, description and train_documents [Y].
        tables: descriptions (system, code, description), synonyms (system, code, synonym, source) and spans
            (admission_id, system, code, start, end).
        texts: the training notes, by admission.

    Raises:
        UserError: the list of codes is not valid; or there is no code that is no label, and no mention of a label.
    """
    codes = code_list(labels, tables["descriptions"], read_list(Path(options.codes)))
    sources = [source for source, chosen in options.synonyms.items() if chosen]
    terms, n = list(public_terms(codes, tables["synonyms"], sources)), len(codes.codes)
    frequencies = NoteFrequencies.count(map(sentences, texts.values()))
    of_beginnings = NoteFrequencies.count([*map(beginnings, sentences(text))] for text in texts.values())
    of_labels = mentions(codes, tables["spans"], texts, frequencies) if options.mentions else None
    if not codes.unseen and of_labels is None:
        raise UserError(
            f"label_set: open: no code of {', '.join(codes.of_labels)} that is no label has a description, and no "
            "training note has a mention of a label to learn from; set label_set: full"
        )
    of_beginning = TermIndex.build(((code, beginnings(term)) for code, term in terms), n, of_beginnings)
    return Retriever(codes, TermIndex.build(terms, n, frequencies), of_beginning, of_labels)
