"""Seconds and memory of every metric at a given size; by default the test split of MIMIC-III with all codes.

Run as `python benchmarks/metrics.py --documents 3372 --labels 8921` from the root of the repository.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from medcode.config import Evaluation
from medcode.evaluation import frequency, metrics, monitor, ranking, summary, thresholds


def problem(documents: int, labels: int, codes: float, seed: int) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Sample long-tailed gold labels, scores correlated with them, and training counts."""
    random = np.random.default_rng(seed)
    share = 1 / (np.arange(labels) + 3)
    share = np.minimum(0.5, codes * share / share.sum())
    rows = [np.flatnonzero(random.random(labels) < share) for _ in range(documents)]
    gold = np.zeros((documents, labels), np.uint8)
    for row, columns in zip(gold, rows, strict=True):
        row[columns] = 1
    scores = random.random((documents, labels), dtype=np.float32)
    np.power(scores, 12, out=scores)
    gold = sparse.csr_array(gold)
    where = gold.nonzero()
    scores[where] = np.clip(scores[where] + random.random(gold.nnz, dtype=np.float32), 0, 1)
    return gold, scores, np.ceil(share * 47_719).astype(int)


def peak_mib() -> float:
    """Peak memory of the process."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main() -> None:
    """Print one line per metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=3372)
    parser.add_argument("--labels", type=int, default=8921)
    parser.add_argument("--codes", type=float, default=16.0, help="mean number of codes per document")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = Evaluation(
        macro_f1="caml", fixed_threshold=0.5, threshold_grid=100, at=[5, 8, 15], frequency_bins=[10, 50, 100, 500],
        batch_size=32,
    )  # fmt: skip
    gold, scores, train = problem(arguments.documents, arguments.labels, arguments.codes, arguments.seed)
    initial_mib = peak_mib()
    size = f"{arguments.documents} documents x {arguments.labels} labels"
    print(f"{size}, {gold.nnz} gold; peak so far {initial_mib:.0f} MiB")
    work: dict[str, Callable[[], Any]] = {
        "counts at one threshold": lambda: metrics.counts(gold, scores, 0.5),
        "ranks of the gold labels": lambda: ranking.gold_ranks(gold, scores),
        "AUC of every label": lambda: ranking.auc_per_label(gold, scores),
        "AUC micro": lambda: ranking.auc_micro(gold, scores),
        "tuning the threshold": lambda: thresholds.tune_threshold(gold, scores, options.threshold_grid),
        "frequency table": lambda: frequency.frequency_table(gold, scores, train, 0.3, options),
        "dev, F1 micro": lambda: monitor.dev_metrics(gold, scores, ["f1_micro"]),
        "dev, all": lambda: monitor.dev_metrics(gold, scores, list(monitor.MONITORS)),
        "test, one head": lambda: summary.head_metrics(gold, scores, train, 0.3, options),
    }
    for name, function in work.items():
        start = time.perf_counter()
        function()
        seconds = time.perf_counter() - start
        print(f"{name:28} {seconds:7.2f} s   peak +{peak_mib() - initial_mib:.0f} MiB")


if __name__ == "__main__":
    main()
