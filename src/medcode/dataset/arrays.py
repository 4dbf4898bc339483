"""The arrays that a model is trained and tested on: reads data/inputs, which `input_layout` writes."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from medcode import io
from medcode.errors import UserError, nearest

SPLITS = ("train", "dev", "test")
LINKED_HEADS = ("icd9", "icd10")  # of the label set joint


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
    """Numbers of the words, or of an encoder's word pieces, of all documents, memory-mapped int32; vectors [V + 2, E];
    label records by head; splits by name.

    Row 0 of the vectors is PAD, row i + 1 is `vocabulary[i]`, the last row is UNK. `descriptions` has the words of each
    label's title by head, int32 [Y, T] padded with 0, where they were asked for; `edges` the links from the labels of
    a head to those of the other, int64 [2, E] and float32 [E], and `linked` which labels have a link to one of the
    other edition, bool [Y] a head, likewise.
    """

    tokens: np.ndarray
    vocabulary: list[str]
    vectors: np.ndarray
    labels: dict[str, list[dict[str, Any]]]
    rule: str
    splits: dict[str, Split]
    descriptions: dict[str, np.ndarray] = field(default_factory=dict)
    edges: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    linked: dict[str, np.ndarray] = field(default_factory=dict)

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


def load(
    folder: str | os.PathLike,
    splits: tuple[str, ...],
    *,
    descriptions: bool = False,
    edges: bool = False,
    linked: bool = False,
    subword: str | os.PathLike | None = None,
) -> Inputs:
    """Reads data/inputs; of the splits only those named, so that training can be seen not to open the test split.

    Args:
        folder: data/inputs.
        splits: which splits to read.
        descriptions: whether to read the words of titles.
        edges: whether to read the links between the codes of two heads.
        linked: whether to read which labels have such a link.
        subword: data/subword, for documents as word pieces instead of words.

    Raises:
        UserError: a file is missing or damaged; edges are asked for where there are none.
    """
    folder = Path(folder)
    heads = io.read_json(folder / "heads.json")
    try:
        data = Inputs(
            tokens=io.read_array(folder / "tokens.npy", mapped=True),
            vocabulary=io.read_lines(folder / "vocabulary.txt"),
            vectors=io.read_array(folder / "embedding.npy"),
            labels={head: described["labels"] for head, described in heads.items()},
            rule=io.read_json(folder / "text.json")["rule"],
            splits={split: _load_split(folder / split, list(heads)) for split in splits},
            descriptions={head: io.read_array(folder / f"descriptions.{head}.npy") for head in heads if descriptions},
            edges=_load_edges(folder) if edges else {},
            linked={head: io.read_array(folder / f"linked.{head}.npy") for head in heads if linked},
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: cannot be read ({error}); make it again (dvc repro inputs)") from error
    return data if subword is None else _in_pieces(data, subword)


def _in_pieces(data: Inputs, subword: str | os.PathLike) -> Inputs:
    """The same documents, their words replaced by pieces."""
    from medcode.encoders.pieces import Pieces  # models on words need none of it

    pieces = Pieces.read(subword)
    splits = {name: replace(own, offsets=pieces.spans(own.documents)) for name, own in data.splits.items()}
    return replace(data, tokens=pieces.ids, splits=splits)


def _load_edges(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if not (folder / f"edges.{LINKED_HEADS[0]}.npy").exists():
        raise UserError(
            "label_set: the model links the codes of ICD-9 to those of ICD-10, and the label set chosen does not have "
            "both side by side; set label_set: joint"
        )
    return {
        head: (io.read_array(folder / f"edges.{head}.npy"), io.read_array(folder / f"edge_weights.{head}.npy"))
        for head in LINKED_HEADS
    }


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
