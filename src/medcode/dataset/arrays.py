"""The arrays that a model is trained and tested on: reading and writing of data/inputs."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from medcode import io
from medcode.dataset import binary_csr
from medcode.errors import UserError, nearest
from medcode.text.tokenized_notes import SUBWORD_IDS, TokenizedNotes

LINKED_HEADS = ("icd9", "icd10")  # of the label set joint


@dataclass(frozen=True)
class Targets:
    """Gold labels of the documents of a split under one head.

    Attributes:
        matrix: 0 or 1, CSR [n, Y].
        is_coded: whether each document was coded in the head's system at all, bool [n]. If it was not, its row of zeros
            has no meaning.
    """

    matrix: sparse.csr_matrix
    is_coded: np.ndarray

    def __len__(self) -> int:
        return len(self.is_coded)

    def __getitem__(self, rows: slice | np.ndarray) -> Targets:
        """Return the targets of some documents, selected by a slice, by indices, or by bool [n]."""
        return Targets(self.matrix[rows], self.is_coded[rows])

    def first(self, n: int) -> Targets:
        """Return the targets of the first n documents."""
        return self[:n]

    def coded(self) -> Targets:
        """Return the targets of the documents that were coded in the head's system."""
        return self[self.is_coded]

    def joined(self, following: Targets) -> Targets:
        """Return these targets followed by those of other documents under the same head."""
        return Targets(
            matrix=sparse.vstack([self.matrix, following.matrix], format="csr"),
            is_coded=np.concatenate([self.is_coded, following.is_coded]),
        )

    @classmethod
    def of_single_labels(cls, columns: np.ndarray, n_labels: int) -> Targets:
        """Return the targets of documents with one label each, in the given columns [n]."""
        n = len(columns)
        matrix = sparse.csr_matrix((np.ones(n, np.uint8), (np.arange(n), columns)), shape=(n, n_labels))
        return cls(matrix, np.ones(n, bool))

    @classmethod
    def uncoded(cls, n: int, n_labels: int) -> Targets:
        """Return the targets of n documents that were not coded in the head's system."""
        return cls(sparse.csr_matrix((n, n_labels), dtype=np.uint8), np.zeros(n, bool))


@dataclass(frozen=True)
class Fragments:
    """The slices of documents that a model reads one by one. A document's score is the highest of its fragments.

    Attributes:
        offsets: start and end of each fragment in `Inputs.tokens`, int64 [m, 2].
        documents: the number of the document that each is of, int64 [m], ascending. Every document has one at least.
    """

    offsets: np.ndarray
    documents: np.ndarray

    def first(self, n: int) -> Fragments:
        """Return the fragments of the first n documents."""
        end = np.searchsorted(self.documents, n)
        return Fragments(self.offsets[:end], self.documents[:end])


@dataclass(frozen=True)
class Split:
    """The documents of one split. Where fragments are training examples, they are the documents of the split train.

    Attributes:
        documents: their admissions [n].
        offsets: start and end of each document in `Inputs.tokens`, int64 [n, 2].
        targets: their gold labels, by head.
        fragments: of the documents, for a model that reads fragments; None for one that reads whole documents.
        spans: of gold labels, by head: document or, if there are any, fragment, label, and first and last + 1 of its
            tokens, int64 [K, 4], ascending; empty if not read.
        n_descriptions: of these documents, the last ones, which are descriptions of labels rather than notes.
    """

    documents: list[str]
    offsets: np.ndarray
    targets: dict[str, Targets]
    fragments: Fragments | None = None
    spans: dict[str, np.ndarray] = field(default_factory=dict)
    n_descriptions: int = 0

    def __len__(self) -> int:
        return len(self.documents)

    def first(self, n: int) -> Split:
        """Return the first n documents, for debugging."""
        fragments = None if self.fragments is None else self.fragments.first(n)
        examples = n if fragments is None else len(fragments.offsets)
        return Split(
            self.documents[:n],
            self.offsets[:n],
            {head: targets.first(n) for head, targets in self.targets.items()},
            fragments,
            {head: spans[spans[:, 0] < examples] for head, spans in self.spans.items()},
            max(0, n - (len(self) - self.n_descriptions)),
        )


@dataclass(frozen=True)
class Inputs:
    """The arrays of data/inputs.

    Attributes:
        tokens: ids of the words or subwords of all documents, memory-mapped int32.
        vocabulary: the words.
        vectors: word vectors as word2vec gives them, not normalized, [V + 2, E]. Row 0 is PAD, row i + 1 is
            `vocabulary[i]`, the last row is UNK.
        labels: label records by head.
        rule: the rule by which text is tokenized into words.
        splits: by name.
        descriptions: ids of the words of each label's description by head, int32 [Y, T] padded with 0; empty if not
            read.
        edges: by head, the links from its labels to those of the other head, int64 [2, E], and their weights, float32
            [E]; empty if not read.
        linked: by head, whether each label has a link to one of the other edition, bool [Y]; empty if not read.
        fragment_counts: by head, the number of training fragments of each label, int64 [Y]; empty where training
            examples are documents.
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
    fragment_counts: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def heads(self) -> dict[str, int]:
        """Number of labels of each head."""
        return {head: len(labels) for head, labels in self.labels.items()}

    def heads_named(self, names: list[str]) -> dict[str, int]:
        """Return the number of labels of the named heads, in the order of the names.

        Raises:
            UserError: there is no such head.
        """
        for name in names:
            if name not in self.labels:
                raise UserError(f"heads: the inputs have no head '{name}'; {nearest(name, self.labels)}")
        return {name: len(self.labels[name]) for name in names}

    def train_counts(self, head: str) -> np.ndarray:
        """Return the number of training documents of each label, int64 [Y]."""
        return np.array([label["train_documents"] for label in self.labels[head]], dtype=np.int64)

    def example_counts(self, head: str) -> np.ndarray:
        """Return the number of training examples of each label, documents or fragments, int64 [Y]."""
        return self.fragment_counts[head] if self.fragment_counts else self.train_counts(head)


def load(
    folder: str | os.PathLike,
    splits: tuple[str, ...],
    *,
    descriptions: bool = False,
    edges: bool = False,
    linked: bool = False,
    subword: str | os.PathLike | None = None,
) -> Inputs:
    """Read data/inputs with the named splits only, so that training provably does not open the test split.

    Args:
        folder: data/inputs.
        splits: names of the splits to read.
        descriptions: whether to read the words of descriptions.
        edges: whether to read the links between the codes of two heads.
        linked: whether to read which labels have such a link.
        subword: data/subword, for documents as subwords instead of words.

    Raises:
        UserError: a file is missing or damaged; there are no edges, but `edges` is true.
    """
    folder = Path(folder)
    heads = io.read_json(folder / "heads.json")
    try:
        data = Inputs(
            tokens=io.read_array(folder / "tokens.npy", mapped=True),
            vocabulary=io.read_lines(folder / "vocabulary.txt"),
            vectors=io.read_array(folder / "embedding.npy"),
            labels={head: entry["labels"] for head, entry in heads.items()},
            rule=io.read_json(folder / "text.json")["rule"],
            splits={split: _load_split(folder / split, list(heads)) for split in splits},
            descriptions={head: io.read_array(folder / f"descriptions.{head}.npy") for head in heads if descriptions},
            edges=_load_edges(folder) if edges else {},
            linked={head: io.read_array(folder / f"linked.{head}.npy") for head in heads if linked},
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: cannot be read ({error}); make it again (dvc repro inputs)") from error
    return data if subword is None else _in_subwords(data, TokenizedNotes.read(subword, SUBWORD_IDS))


def _in_subwords(data: Inputs, notes: TokenizedNotes) -> Inputs:
    """Replace the words of the documents with subwords."""
    splits = {name: replace(split, offsets=notes.spans(split.documents)) for name, split in data.splits.items()}
    return replace(data, tokens=notes.ids, splits=splits)


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
    return Split(
        documents=io.read_lines(folder / "documents.txt"),
        offsets=io.read_array(folder / "offsets.npy"),
        targets={
            head: Targets(
                matrix=binary_csr.read(folder / f"labels.{head}.npz"),
                is_coded=io.read_array(folder / f"has.{head}.npy"),
            )
            for head in heads
        },
    )


def write(folder: str | os.PathLike, data: Inputs) -> None:
    """Write data/inputs, all or nothing; `load` reads it."""
    with io.atomic_folder(folder) as target:
        for name, split in data.splits.items():
            _write_split(target / name, split)
        io.write_array(target / "tokens.npy", data.tokens)
        io.write_array(target / "embedding.npy", data.vectors)
        io.write_text(target / "vocabulary.txt", "".join(f"{word}\n" for word in data.vocabulary))
        io.write_json(target / "heads.json", {head: {"labels": records} for head, records in data.labels.items()})
        for head in data.labels:
            io.write_array(target / f"descriptions.{head}.npy", data.descriptions[head])
            io.write_array(target / f"linked.{head}.npy", data.linked[head])
        for head, (pairs, weights) in data.edges.items():
            io.write_array(target / f"edges.{head}.npy", pairs)
            io.write_array(target / f"edge_weights.{head}.npy", weights)
        io.write_json(target / "text.json", {"rule": data.rule})


def _write_split(folder: Path, split: Split) -> None:
    io.write_text(folder / "documents.txt", "".join(f"{name}\n" for name in split.documents))
    io.write_array(folder / "offsets.npy", split.offsets)
    for head, targets in split.targets.items():
        binary_csr.write(folder / f"labels.{head}.npz", targets.matrix)
        io.write_array(folder / f"has.{head}.npy", targets.is_coded)
