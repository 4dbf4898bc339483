"""Compact file of the decisions of a trained model on test, for significance tests and analysis of codes."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from medcode import io
from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError
from medcode.evaluation.measurement import Predictions

MATRICES = ("gold", "fixed", "tuned")


@dataclass(frozen=True)
class Decisions:
    """Decisions of one head on the test documents that are coded in its system.

    Attributes:
        documents: admission ids [n]. They are restricted, so the file must not leave the machine.
        codes: `system:code` of each label [Y].
        gold: gold labels 0/1, CSR [n, Y].
        fixed: predictions above the fixed threshold, CSR [n, Y].
        tuned: predictions above the threshold tuned on dev, CSR [n, Y].
        train_counts: training documents of each label, int64 [Y].
    """

    documents: np.ndarray
    codes: np.ndarray
    gold: sparse.csr_array
    fixed: sparse.csr_array
    tuned: sparse.csr_array
    train_counts: np.ndarray

    def predicted(self, threshold: str) -> sparse.csr_array:
        """Return the decisions at the `fixed` or the `tuned` threshold."""
        return self.fixed if threshold == "fixed" else self.tuned


def decide(predictions: Predictions) -> Decisions:
    """Turn the probabilities of one head into decisions at the fixed and at the tuned threshold."""
    scores = predictions.probabilities
    fixed, tuned = (
        sparse.csr_array(scores > scores.dtype.type(threshold), dtype=np.uint8)
        for threshold in (predictions.fixed_threshold, predictions.tuned_threshold)
    )
    return Decisions(
        documents=np.array(predictions.documents),
        codes=np.array([f"{label['system']}:{label['code']}" for label in predictions.labels]),
        gold=as_binary_csr(predictions.gold).astype(np.uint8),
        fixed=fixed,
        tuned=tuned,
        train_counts=np.asarray(predictions.train_counts),
    )


def write(path: str | os.PathLike, heads: dict[str, Decisions]) -> None:
    """Write the decisions of all heads as one compressed file."""
    arrays: dict[str, np.ndarray] = {}
    for head, decisions in heads.items():
        for name in MATRICES:
            matrix = getattr(decisions, name)
            arrays |= {f"{head}/{name}/indices": matrix.indices, f"{head}/{name}/indptr": matrix.indptr}
        for name in ("documents", "codes", "train_counts"):
            arrays[f"{head}/{name}"] = getattr(decisions, name)
    with io.atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: str | os.PathLike) -> dict[str, Decisions]:
    """Read the decisions of all heads.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with open(path, "rb") as file:
            arrays = dict(np.load(file, allow_pickle=False))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the study again") from error
    return {head: _head(arrays, head) for head in sorted({name.split("/")[0] for name in arrays})}


def _head(arrays: dict[str, np.ndarray], head: str) -> Decisions:
    documents, codes = arrays[f"{head}/documents"], arrays[f"{head}/codes"]

    def matrix(name: str) -> sparse.csr_array:
        indices, indptr = arrays[f"{head}/{name}/indices"], arrays[f"{head}/{name}/indptr"]
        return sparse.csr_array((np.ones(len(indices), np.uint8), indices, indptr), (len(documents), len(codes)))

    gold, fixed, tuned = (matrix(name) for name in MATRICES)
    return Decisions(documents, codes, gold, fixed, tuned, arrays[f"{head}/train_counts"])
