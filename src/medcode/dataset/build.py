"""Lays out data/inputs, the arrays that a model on words is trained and tested on; `inputs` reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from medcode import io
from medcode.codes.formatting import category
from medcode.dataset.arrays import LINKED_HEADS, SPLITS
from medcode.errors import UserError
from medcode.text.tokenization import tokenize
from medcode.text.tokens import Tokens


def lookup_rows(tokens: Tokens, vocabulary: list[str]) -> np.ndarray:
    """Embedding row of every word type: int32 [types]; UNK, the last row, for words outside the vocabulary."""
    row_of = {word: row for row, word in enumerate(vocabulary, start=1)}
    unknown = len(vocabulary) + 1
    return np.array([row_of.get(word, unknown) for word in tokens.types], dtype=np.int32)


def write(
    folder: str | os.PathLike,
    tokens: Tokens,
    vocabulary: list[str],
    vectors: np.ndarray,
    documents: pa.Table,
    labels: pa.Table,
    codes: pa.Table,
    ccs: pa.Table,
    rule: str,
    links: pa.Table | None = None,
) -> None:
    """Writes data/inputs for the heads of the label set and, above the codes of `icd`, `category` and `ccs`.

    Where ICD-9 and ICD-10 are heads of their own, the links between their codes are written too.

    Args:
        folder: what to write, atomically.
        documents: admission_id, patient_id, split.
        labels: head, system, code, title, train_documents; their order is the order of the columns of a head. The
            systems of a head are those whose names begin with its name: icd9 has icd9cm and icd9proc, icd has all.
        codes: admission_id, system, code.
        ccs: system, code, category, category_title of the labels that have a CCS category. Where none has, there is no
            head `ccs`. A document was coded in CCS where it was coded in a system of which some label has a category.
        rule: how the text was made into words, and how titles are.
        links: what `codes.gem.edges` returns; None for no links.

    Raises:
        UserError: there are no labels.
    """
    if not labels.num_rows:
        raise UserError(
            "label_set: the label set chosen is empty in this corpus (metrics/splits says why); choose another"
        )
    records: dict[str, list[dict[str, Any]]] = {}
    for label in labels.to_pylist():
        records.setdefault(label.pop("head"), []).append(label)
    gold = {head: _gold(head, own, codes) for head, own in records.items()}
    coded = {head: frame["admission_id"].unique() for head, frame in gold.items()}
    if "icd" in records:
        train = [d["admission_id"] for d in documents.to_pylist() if d["split"] == "train"]
        groups: dict[str, Sequence[Group | None]] = {
            "category": first_characters(records["icd"]),
            "ccs": clinical_categories(records["icd"], ccs),
        }
        for head, above in groups.items():
            systems = [label["system"] for label, group in zip(records["icd"], above, strict=True) if group]
            if systems:
                records[head], gold[head] = group_labels(above, gold["icd"], train)
                coded[head] = codes.filter(pc.is_in(codes["system"], pa.array(systems)))["admission_id"].unique()
    position = {admission: number for number, admission in enumerate(tokens.admissions)}
    rows, known = lookup_rows(tokens, vocabulary), [] if links is None else links.to_pylist()
    start, arrays = 0, []
    with io.atomic_folder(folder) as target:
        for split in SPLITS:
            names = [d["admission_id"] for d in documents.to_pylist() if d["split"] == split]
            texts = [rows[tokens.document(position[name])] for name in names]
            ends = start + np.cumsum([len(text) for text in texts], dtype=np.int64)
            starts = np.concatenate([[start], ends[:-1]])
            start = int(ends[-1])
            arrays += texts
            io.write_text(target / split / "documents.txt", "".join(f"{name}\n" for name in names))
            io.write_array(target / split / "offsets.npy", np.stack([starts, ends], axis=1))
            for head, own in records.items():
                _write_gold(target / split, head, names, gold[head], len(own), coded[head])
        io.write_array(target / "tokens.npy", np.concatenate(arrays))
        io.write_array(target / "embedding.npy", vectors)
        io.write_text(target / "vocabulary.txt", "".join(f"{word}\n" for word in vocabulary))
        io.write_json(target / "heads.json", {head: {"labels": own} for head, own in records.items()})
        for head, own in records.items():
            titles = [label["title"] for label in own]
            io.write_array(target / f"descriptions.{head}.npy", description_rows(titles, vocabulary, rule))
            io.write_array(target / f"linked.{head}.npy", linked(own, known))
        for head, (pairs, weights) in edges(records, known).items():
            io.write_array(target / f"edges.{head}.npy", pairs)
            io.write_array(target / f"edge_weights.{head}.npy", weights)
        io.write_json(target / "text.json", {"rule": rule})


def _gold(head: str, records: list[dict[str, Any]], codes: pa.Table) -> pd.DataFrame:
    """The codes of the head's systems: admission_id, and column, -1 for a code without a label."""
    frame = codes.filter(pc.starts_with(codes["system"], head)).to_pandas()
    columns = pd.MultiIndex.from_tuples([(label["system"], label["code"]) for label in records])
    frame["column"] = columns.get_indexer(pd.MultiIndex.from_frame(frame[["system", "code"]]))
    return frame[["admission_id", "column"]]


# What stands above a label: system, code, title.
Group = tuple[str, str, str]


def first_characters(labels: list[dict[str, Any]]) -> list[Group]:
    """The category of each label within its own system, for models that predict these first (JointLAAT)."""
    return [(label["system"], category(label["code"], label["system"]), "") for label in labels]


def clinical_categories(labels: list[dict[str, Any]], ccs: pa.Table) -> list[Group | None]:
    """The CCS category of each label, for models that predict both (MT-RAM); None where there is none."""
    found = {
        (row["system"], row["code"]): ("ccs", row["category"], row["category_title"] or "") for row in ccs.to_pylist()
    }
    return [found.get((label["system"], label["code"])) for label in labels]


def group_labels(
    above: Sequence[Group | None], gold: pd.DataFrame, train: list[str]
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Makes a head of what stands above the labels of another.

    An admission has the groups of those of its codes that are labels; so nothing is outside this head. A label without
    a group adds nothing.

    Args:
        above: the group of each label.
        gold: admission_id and column of each code of an admission, -1 for a code that is no label.
        train: admissions of the training split.

    Returns:
        Records of the groups, in the order of their first labels; admission_id and column of each group.
    """
    column = {group: number for number, group in enumerate(dict.fromkeys(group for group in above if group))}
    number_above = np.array([column[group] if group else -1 for group in above], dtype=np.int64)
    known = gold[gold["column"] >= 0]
    own = known.assign(column=number_above[known["column"].to_numpy(np.int64)])
    own = own[own["column"] >= 0].drop_duplicates()
    counts = np.bincount(own.loc[own["admission_id"].isin(train), "column"], minlength=len(column))
    records = [
        {"system": system, "code": code, "title": title, "train_documents": int(counts[number])}
        for (system, code, title), number in column.items()
    ]
    return records, own


def description_rows(titles: list[str], vocabulary: list[str], rule: str) -> np.ndarray:
    """Embedding rows of the words of each title: int32 [Y, T], padded with 0; UNK for words outside the vocabulary."""
    row_of = {word: row for row, word in enumerate(vocabulary, start=1)}
    words = [[row_of.get(word, len(vocabulary) + 1) for word in tokenize(title, rule)] for title in titles]
    rows = np.zeros((len(titles), max([1, *map(len, words)])), dtype=np.int32)
    for row, own in zip(rows, words, strict=True):
        row[: len(own)] = own
    return rows


def linked(labels: list[dict[str, Any]], links: list[dict[str, Any]]) -> np.ndarray:
    """Whether each label is the source of a link, bool [Y]."""
    sources = {(link["source_system"], link["source"]) for link in links}
    return np.array([(label["system"], label["code"]) in sources for label in labels], dtype=bool)


def edges(
    records: dict[str, list[dict[str, Any]]], links: list[dict[str, Any]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Links as pairs of columns, where the labels of both editions are heads of their own.

    Returns:
        {head: column of the label and column of the label in the other head that it maps to, int64 [2, E], sorted;
        weight, float32 [E]}; empty where a head is missing.
    """
    if not records.keys() >= set(LINKED_HEADS):
        return {}
    column = {
        (label["system"], label["code"]): number for head in LINKED_HEADS for number, label in enumerate(records[head])
    }
    found: dict[str, list[tuple[int, int, float]]] = {head: [] for head in LINKED_HEADS}
    for link in links:
        source, target = (column.get((link[f"{end}_system"], link[end])) for end in ("source", "target"))
        if source is not None and target is not None:
            found[link["direction"].partition("_")[0]].append((source, target, link["weight"]))
    result = {}
    for head, rows in found.items():
        table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 3)
        result[head] = (table[:, :2].T.astype(np.int64), table[:, 2].astype(np.float32))
    return result


def _write_gold(folder: Path, head: str, names: list[str], gold: pd.DataFrame, labels: int, coded: np.ndarray) -> None:
    rows, columns = pd.Index(names).get_indexer(gold["admission_id"]), gold["column"].to_numpy()
    here, labelled = rows >= 0, columns >= 0
    ones = np.ones(int((here & labelled).sum()), np.uint8)
    matrix = sparse.coo_matrix(
        (ones, (rows[here & labelled], columns[here & labelled])), shape=(len(names), labels)
    ).tocsr()
    outside = np.bincount(rows[here & ~labelled], minlength=len(names)).astype(np.int32)
    io.write_array(folder / f"outside.{head}.npy", outside)
    io.write_array(folder / f"has.{head}.npy", np.isin(names, coded))
    with io.atomic_write(folder / f"labels.{head}.npz") as file:
        sparse.save_npz(file, matrix)
