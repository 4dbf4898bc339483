"""Build the arrays that a model on words is trained and tested on from notes, codes and word vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medcode.dataset.arrays import LINKED_HEADS, Inputs, Split
from medcode.dataset.label_spaces import LabelSpace
from medcode.dataset.split_names import SPLITS
from medcode.text.tokenization import tokenize
from medcode.text.tokens import TokenizedWords
from medcode.text.vocabulary import Vocabulary


def lay_out(
    words: TokenizedWords,
    vocabulary: list[str],
    vectors: np.ndarray,
    documents: pa.Table,
    spaces: dict[str, LabelSpace],
    rule: str,
    links: pa.Table | None = None,
) -> Inputs:
    """Build the arrays of all splits and heads.

    If ICD-9 and ICD-10 are separate heads, the links between their codes are included.

    Args:
        words: of all notes.
        vocabulary: the words that have a vector [V].
        vectors: float32 [V + 2, E].
        documents: admission_id, split.
        spaces: what `label_spaces` returns.
        rule: by which notes were tokenized; descriptions are tokenized by it too.
        links: what `codes.gem.edges` returns; None for no links.
    """
    admissions = {
        split: documents.filter(pc.equal(documents["split"], split))["admission_id"].to_pylist() for split in SPLITS
    }
    rows_of = Vocabulary(vocabulary)
    tokens, offsets = token_rows(words, rows_of, admissions)
    records = {head: space.records for head, space in spaces.items()}
    rows = [] if links is None else links.to_pylist()
    return Inputs(
        tokens=tokens,
        vocabulary=vocabulary,
        vectors=vectors,
        labels=records,
        rule=rule,
        splits={
            split: Split(names, offsets[split], {head: space.targets(names) for head, space in spaces.items()})
            for split, names in admissions.items()
        },
        descriptions={
            head: description_rows([label["description"] for label in labels], rows_of, rule)
            for head, labels in records.items()
        },
        edges=edges(records, rows),
        linked={head: linked(labels, rows) for head, labels in records.items()},
    )


def token_rows(
    words: TokenizedWords, vocabulary: Vocabulary, admissions: dict[str, list[str]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the embedding rows of the words of all documents, split by split and one document after the other.

    Args:
        words: of all notes.
        vocabulary: gives the rows.
        admissions: of each split.

    Returns:
        Rows of all documents, int32 [N]; by split, start and end of each document in them, int64 [n, 2].

    Raises:
        UserError: the note of an admission is missing.
    """
    row_of_type = vocabulary.rows(words.types)
    spans = words.notes.spans([admission for names in admissions.values() for admission in names])
    lengths = spans[:, 1] - spans[:, 0]
    ends = np.cumsum(lengths)
    offsets = np.stack([ends - lengths, ends], axis=1)
    bounds = np.cumsum([len(names) for names in admissions.values()])
    by_split = dict(zip(admissions, np.split(offsets, bounds[:-1]), strict=True))
    return np.concatenate([row_of_type[words.notes.ids[start:end]] for start, end in spans]), by_split


def description_rows(descriptions: list[str], vocabulary: Vocabulary, rule: str) -> np.ndarray:
    """Return the embedding rows of the words of each description, int32 [Y, T], padded with 0.

    Words outside the vocabulary are UNK.
    """
    of_descriptions = [vocabulary.rows(tokenize(description, rule)) for description in descriptions]
    rows = np.zeros((len(descriptions), max([1, *map(len, of_descriptions)])), dtype=np.int32)
    for row, of_description in zip(rows, of_descriptions, strict=True):
        row[: len(of_description)] = of_description
    return rows


def linked(labels: list[dict[str, Any]], links: list[dict[str, Any]]) -> np.ndarray:
    """Whether each label is the source of a link, bool [Y]."""
    sources = {(link["source_system"], link["source"]) for link in links}
    return np.array([(label["system"], label["code"]) in sources for label in labels], dtype=bool)


def edges(
    records: dict[str, list[dict[str, Any]]], links: list[dict[str, Any]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the links between the labels of two heads as pairs of columns.

    Returns:
        {head: (columns of a label of the head and of the label of the other head that it maps to, int64 [2, E], sorted;
        weights, float32 [E])}; empty if a head is missing.
    """
    if not records.keys() >= set(LINKED_HEADS):
        return {}
    column = {
        (label["system"], label["code"]): number for head in LINKED_HEADS for number, label in enumerate(records[head])
    }
    triples: dict[str, list[tuple[int, int, float]]] = {head: [] for head in LINKED_HEADS}
    for link in links:
        source, target = (column.get((link[f"{end}_system"], link[end])) for end in ("source", "target"))
        if source is not None and target is not None:
            triples[link["direction"].partition("_")[0]].append((source, target, link["weight"]))
    result = {}
    for head, rows in triples.items():
        table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 3)
        result[head] = (table[:, :2].T.astype(np.int64), table[:, 2].astype(np.float32))
    return result
