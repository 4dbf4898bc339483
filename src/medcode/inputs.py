"""The arrays that a model on words is trained and tested on: the content of data/inputs."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from medcode import io
from medcode.errors import UserError, nearest

if TYPE_CHECKING:  # training reads this module, and does not depend on how text became words
    from medcode.text.tokens import Tokens

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """The documents of one split.

    `offsets` [n, 2] are start and end of each document in `Inputs.tokens`; `labels` has one CSR matrix [n, Y] a head,
    `outside` how many gold codes of each document have no label in the head [n], `has` whether a document was coded in
    the head's system at all [n]: without it, a row of zeros says nothing about the document.
    """

    documents: list[str]
    offsets: np.ndarray
    labels: dict[str, sparse.csr_matrix]
    outside: dict[str, np.ndarray]
    has: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.documents)

    def first(self, n: int) -> Split:
        """The first n documents, for debugging."""
        return Split(
            self.documents[:n],
            self.offsets[:n],
            {head: labels[:n] for head, labels in self.labels.items()},
            {head: outside[:n] for head, outside in self.outside.items()},
            {head: has[:n] for head, has in self.has.items()},
        )


@dataclass(frozen=True)
class Inputs:
    """Word numbers of all documents, memory-mapped int32; vectors [V + 2, E]; label records by head; splits by name.

    Row 0 of the vectors is PAD, row i + 1 is `vocabulary[i]`, the last row is UNK. `descriptions` has the words of each
    label's title by head, int32 [Y, T] padded with 0, where they were asked for.
    """

    tokens: np.ndarray
    vocabulary: list[str]
    vectors: np.ndarray
    labels: dict[str, list[dict[str, Any]]]
    rule: str
    splits: dict[str, Split]
    descriptions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def heads(self) -> dict[str, int]:
        """Number of labels of each head."""
        return {head: len(labels) for head, labels in self.labels.items()}

    def heads_named(self, names: list[str]) -> dict[str, int]:
        """Number of labels of some heads, in the order of the names.

        Raises:
            UserError: there is no such head.
        """
        for name in names:
            if name not in self.labels:
                raise UserError(f"heads: the inputs have no head '{name}'; {nearest(name, self.labels)}")
        return {name: len(self.labels[name]) for name in names}

    def train_counts(self, head: str) -> np.ndarray:
        """How many training documents have each label, int64 [Y]."""
        return np.array([label["train_documents"] for label in self.labels[head]], dtype=np.int64)


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
    rule: str,
) -> None:
    """Writes data/inputs for the heads of the label set, and `category`, the categories above the codes of `icd`.

    Args:
        folder: what to write, atomically.
        documents: admission_id, patient_id, split.
        labels: head, system, code, title, train_documents; their order is the order of the columns of a head. The
            systems of a head are those whose names begin with its name: icd9 has icd9cm and icd9proc, icd has all.
        codes: admission_id, system, code.
        rule: how the text was made into words, and how titles are.

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
        records["category"], gold["category"] = categories(records["icd"], gold["icd"], train)
        coded["category"] = coded["icd"]
    position = {admission: number for number, admission in enumerate(tokens.admissions)}
    rows = lookup_rows(tokens, vocabulary)
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
        io.write_json(target / "text.json", {"rule": rule})


def _gold(head: str, records: list[dict[str, Any]], codes: pa.Table) -> pd.DataFrame:
    """The codes of the head's systems: admission_id, and column, -1 for a code without a label."""
    frame = codes.filter(pc.starts_with(codes["system"], head)).to_pandas()
    columns = pd.MultiIndex.from_tuples([(label["system"], label["code"]) for label in records])
    frame["column"] = columns.get_indexer(pd.MultiIndex.from_frame(frame[["system", "code"]]))
    return frame[["admission_id", "column"]]


def categories(
    labels: list[dict[str, Any]], gold: pd.DataFrame, train: list[str]
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """The head of the categories above the codes, for models that predict these first (JointLAAT).

    An admission has the categories of those of its codes that are labels; so nothing is outside this head.

    Args:
        labels: records of the codes.
        gold: admission_id and column of each code of an admission, -1 for a code that is no label.
        train: admissions of the training split.

    Returns:
        Records of the categories, in the order of their first codes; admission_id and column of each category.
    """
    from medcode.codes.formatting import category  # here, because training reads this module and needs no codes

    above = [(label["system"], category(label["code"], label["system"])) for label in labels]
    column = {key: number for number, key in enumerate(dict.fromkeys(above))}
    number_above = np.array([column[key] for key in above], dtype=np.int64)
    known = gold[gold["column"] >= 0]
    own = known.assign(column=number_above[known["column"].to_numpy(np.int64)]).drop_duplicates()
    counts = np.bincount(own.loc[own["admission_id"].isin(train), "column"], minlength=len(column))
    records = [
        {"system": system, "code": code, "title": "", "train_documents": int(counts[number])}
        for (system, code), number in column.items()
    ]
    return records, own


def description_rows(titles: list[str], vocabulary: list[str], rule: str) -> np.ndarray:
    """Embedding rows of the words of each title: int32 [Y, T], padded with 0; UNK for words outside the vocabulary."""
    from medcode.text.tokenization import tokenize  # here, because training reads this module and needs no text

    row_of = {word: row for row, word in enumerate(vocabulary, start=1)}
    words = [[row_of.get(word, len(vocabulary) + 1) for word in tokenize(title, rule)] for title in titles]
    rows = np.zeros((len(titles), max([1, *map(len, words)])), dtype=np.int32)
    for row, own in zip(rows, words, strict=True):
        row[: len(own)] = own
    return rows


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


def load(folder: str | os.PathLike, splits: tuple[str, ...], *, descriptions: bool = False) -> Inputs:
    """Reads data/inputs; of the splits only those named, so that training can be seen not to open the test split.

    Args:
        folder: data/inputs.
        splits: which splits to read.
        descriptions: whether to read the words of titles.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder = Path(folder)
    heads = io.read_json(folder / "heads.json")
    try:
        return Inputs(
            tokens=io.read_array(folder / "tokens.npy", mapped=True),
            vocabulary=io.read_lines(folder / "vocabulary.txt"),
            vectors=io.read_array(folder / "embedding.npy"),
            labels={head: described["labels"] for head, described in heads.items()},
            rule=io.read_json(folder / "text.json")["rule"],
            splits={split: _load_split(folder / split, list(heads)) for split in splits},
            descriptions={head: io.read_array(folder / f"descriptions.{head}.npy") for head in heads if descriptions},
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: cannot be read ({error}); make it again (dvc repro inputs)") from error


def _load_split(folder: Path, heads: list[str]) -> Split:
    labels = {}
    for head in heads:
        with open(folder / f"labels.{head}.npz", "rb") as file:
            labels[head] = sparse.load_npz(file).tocsr()
    return Split(
        documents=io.read_lines(folder / "documents.txt"),
        offsets=io.read_array(folder / "offsets.npy"),
        labels=labels,
        outside={head: io.read_array(folder / f"outside.{head}.npy") for head in heads},
        has={head: io.read_array(folder / f"has.{head}.npy") for head in heads},
    )
