"""Write data/inputs by hand, for tests of what reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from medcode import io


def write_split(folder: Path, ends: np.ndarray, labels: dict[str, sparse.csr_matrix]) -> None:
    """Write one split, all of whose documents were coded in the system of each head.

    Args:
        folder: of the split.
        ends: end of each document in the tokens, [n]; each begins where the one before ends.
        labels: gold labels by head, 0 or 1, [n, Y].
    """
    n = len(ends)
    io.write_array(folder / "offsets.npy", np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1))
    io.write_text(folder / "documents.txt", "".join(f"{number}\n" for number in range(n)))
    for head, matrix in labels.items():
        io.write_array(folder / f"has.{head}.npy", np.ones(n, bool))
        with io.atomic_write(folder / f"labels.{head}.npz") as file:
            sparse.save_npz(file, matrix)


def write_shared(folder: Path, tokens: np.ndarray, word: str, train_counts: dict[str, list[int]]) -> None:
    """Write what all splits share: the tokens, a vocabulary of one word, and the labels of each head.

    Args:
        folder: data/inputs.
        tokens: of all documents.
        word: the vocabulary.
        train_counts: training documents of each label, by head.
    """
    io.write_array(folder / "tokens.npy", tokens.astype(np.int32))
    io.write_array(folder / "embedding.npy", np.zeros((3, 2), np.float32))
    io.write_text(folder / "vocabulary.txt", f"{word}\n")
    io.write_json(folder / "text.json", {"rule": "caml"})
    labels = {
        head: [
            {"system": "icd9cm", "code": str(number), "description": "", "train_documents": count}
            for number, count in enumerate(counts)
        ]
        for head, counts in train_counts.items()
    }
    io.write_json(folder / "heads.json", {head: {"labels": records} for head, records in labels.items()})
