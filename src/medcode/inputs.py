"""The arrays that a model on words is trained and tested on: the content of data/inputs."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from medcode import io
from medcode.errors import UserError

if TYPE_CHECKING:  # training reads this module, and does not depend on how text became words
    from medcode.text.tokens import Tokens

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """The documents of one split.

    `offsets` [n, 2] are start and end of each document in `Inputs.tokens`; `labels` has one CSR matrix [n, Y] a head,
    `outside` how many gold codes of each document have no label in the head [n].
    """

    documents: list[str]
    offsets: np.ndarray
    labels: dict[str, sparse.csr_matrix]
    outside: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.documents)

    def first(self, n: int) -> Split:
        """The first n documents, for debugging."""
        return Split(
            self.documents[:n],
            self.offsets[:n],
            {head: labels[:n] for head, labels in self.labels.items()},
            {head: outside[:n] for head, outside in self.outside.items()},
        )


@dataclass(frozen=True)
class Inputs:
    """Word numbers of all documents, memory-mapped int32; vectors [V + 2, E]; label records by head; splits by name.

    Row 0 of the vectors is PAD, row i + 1 is `vocabulary[i]`, the last row is UNK.
    """

    tokens: np.ndarray
    vocabulary: list[str]
    vectors: np.ndarray
    labels: dict[str, list[dict[str, Any]]]
    rule: str
    splits: dict[str, Split]

    @property
    def heads(self) -> dict[str, int]:
        """Number of labels of each head."""
        return {head: len(labels) for head, labels in self.labels.items()}

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
    """Writes data/inputs for one head, `icd`.

    Args:
        folder: what to write, atomically.
        documents: admission_id, patient_id, split.
        labels: system, code, title, train_documents; their order is the order of the columns.
        codes: admission_id, system, code.
        rule: how the text was made into words.
    """
    position = {admission: number for number, admission in enumerate(tokens.admissions)}
    column = {(label["system"], label["code"]): number for number, label in enumerate(labels.to_pylist())}
    gold: dict[str, list[int | None]] = {}
    for code in codes.to_pylist():
        gold.setdefault(code["admission_id"], []).append(column.get((code["system"], code["code"])))
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
            _write_split(target / split, names, np.stack([starts, ends], axis=1), gold, len(column))
        io.write_array(target / "tokens.npy", np.concatenate(arrays))
        io.write_array(target / "embedding.npy", vectors)
        io.write_text(target / "vocabulary.txt", "".join(f"{word}\n" for word in vocabulary))
        io.write_json(target / "heads.json", {"icd": {"labels": labels.to_pylist()}})
        io.write_json(target / "text.json", {"rule": rule})


def _write_split(
    folder: Path, names: list[str], offsets: np.ndarray, gold: dict[str, list[int | None]], labels: int
) -> None:
    columns = [sorted(c for c in gold.get(name, []) if c is not None) for name in names]
    indptr = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    indices = np.array([c for document in columns for c in document], dtype=np.int32)
    matrix = sparse.csr_matrix((np.ones(len(indices), np.uint8), indices, indptr), shape=(len(names), labels))
    io.write_text(folder / "documents.txt", "".join(f"{name}\n" for name in names))
    io.write_array(folder / "offsets.npy", offsets)
    io.write_array(folder / "outside.icd.npy", np.array([gold.get(n, []).count(None) for n in names], dtype=np.int32))
    with io.atomic_write(folder / "labels.icd.npz") as file:
        sparse.save_npz(file, matrix)


def load(folder: str | os.PathLike, splits: tuple[str, ...]) -> Inputs:
    """Reads data/inputs; of the splits only those named, so that training can be seen not to open the test split.

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
    )
