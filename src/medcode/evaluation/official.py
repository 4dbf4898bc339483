"""Official measures of shared tasks: every gold code of a document counts, also one that is no label.

Sources: the organizers' code for CodiEsp (TeMU-BSC/codiesp-evaluation-script) and for CANTEMIST
(TeMU-BSC/cantemist-evaluation-library), with trectools for MAP. They differ from our other metrics in four points:
codes outside the label set are missed; MAP reads `DEPTH` codes of a document; a document without gold codes counts 0
for MAP, and what is predicted for it is wrong; and F1 leaves out the codes of `NOT_IN_F1`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from medcode import io
from medcode.dataset.label_spaces import label_space
from medcode.evaluation import metrics, ranking
from medcode.evaluation.monitor import Scored
from medcode.evaluation.thresholds import tune_threshold

DEPTH = 1000  # of trectools' get_map
# comp_f1_diag_proc.py of CANTEMIST drops the most frequent code, that of a metastasis, on both sides.
NOT_IN_F1 = {"icdo3": frozenset({"8000/6"})}

# The label sets that leave no code out on purpose.
LABEL_SETS = ("full", "open")

Labels = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Candidates:
    """Codes of one system that are no label, K for each document: other ones for each.

    Attributes:
        is_gold: whether each is a gold code of its document, bool [n, K].
        probabilities: float32 [n, K].
    """

    is_gold: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class ScoredDocuments:
    """Probabilities of a head's labels for all documents of a split.

    Attributes:
        documents: their admissions [n]; also those without a gold code.
        probabilities: float32 [n, Y].
        candidates: codes that are no label, by system; none of them is in `NOT_IN_F1`.
    """

    documents: list[str]
    probabilities: np.ndarray
    candidates: Mapping[str, Candidates] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """Gold codes and probabilities of a split as the official measures count them.

    Attributes:
        ranked: gold labels and probabilities of all codes, for MAP.
        unlabeled: number of gold codes of each document that are no label [n].
        decided: the same without the codes that F1 leaves out, at the tuned threshold.
        n_unlabeled: number of gold codes in all that are no label, without those that F1 leaves out.
    """

    ranked: Scored
    unlabeled: np.ndarray
    decided: Scored
    n_unlabeled: int

    @property
    def gold(self) -> sparse.csr_array:
        """Gold labels, 0 or 1 [n, Y]."""
        return self.ranked.gold


def gold_codes(path: str | os.PathLike, label_set: str) -> pd.DataFrame | None:
    """Read every gold code of the corpus: admission_id, system, code; None for a label set that leaves codes out."""
    return io.read_table(path).to_pandas() if label_set in LABEL_SETS else None


def mean_average_precision(task: Task) -> float:
    """Return the average precision over the first `DEPTH` codes, a mean over all documents.

    A document without a gold code counts 0, since trectools divides by the number of documents that a run ranks.
    """
    return metrics.mean(average_precisions(task))


def average_precisions(task: Task) -> np.ndarray:
    """Return the average precision of each document over its first `DEPTH` codes, float64 [n]."""
    ranked = task.ranked.ranking
    return metrics.ratio(ranking.precision_sums(ranked, DEPTH), ranked.gold + task.unlabeled)


def precision(task: Task) -> float:
    """Return the share of the predicted codes that are gold."""
    return metrics.precision_micro(task.decided.labels)


def recall(task: Task) -> float:
    """Return the share of the gold codes that are predicted."""
    return metrics.recall_micro(task.decided.labels, task.n_unlabeled)


def f1(task: Task) -> float:
    """Return the harmonic mean of precision and recall."""
    return metrics.f1_micro(task.decided.labels, task.n_unlabeled)


def tasks(
    labels: Labels, codes: pd.DataFrame, dev: ScoredDocuments, test: ScoredDocuments, grid: int
) -> dict[str, Task]:
    """Return the test split as a task for all code systems of a head, under "", and for each if there are several.

    A system without a gold label in dev has no task of its own. A document that was coded in another edition of ICD
    only is no document of the system's task.

    Args:
        labels: records with system and code [Y].
        codes: admission_id, system, code; every gold code of the corpus.
        dev: where the threshold of each task is tuned for the best F1.
        test: where the task is measured.
        grid: number of thresholds, as `tune_threshold` takes it.

    Raises:
        UserError: dev has no gold label, or a score is not a probability.
    """
    # Also a system of which no training document has a code, and one of which only those have one.
    systems = sorted({label["system"] for label in labels} | set(codes["system"]))
    gold_dev = codes[codes["admission_id"].isin(dev.documents)].merge(pd.DataFrame(labels)[["system", "code"]])
    tunable = sorted(gold_dev["system"].unique())
    named = {"": systems} | {system: [system] for system in tunable if len(systems) > 1}
    return {name: _task(labels, codes, of_task, dev, test, grid) for name, of_task in named.items()}


def thresholds(labels: Labels, of_systems: Mapping[str, Task]) -> dict[str, float]:
    """Return the tuned threshold of each code system; that of all together where it has no task of its own.

    Args:
        labels: records with system and code [Y].
        of_systems: as `tasks` returns them.
    """
    return {
        system: float(of_systems.get(system, of_systems[""]).decided.threshold)
        for system in sorted({label["system"] for label in labels})
    }


def counts(task: Task) -> dict[str, int]:
    """Return the numbers that the measures rest on."""
    gold = np.diff(task.gold.indptr) + task.unlabeled
    return {
        "documents": len(gold),
        "documents_with_gold": int(np.count_nonzero(gold)),
        "gold": int(gold.sum()),
        "gold_outside_label_set": int(task.unlabeled.sum()),
    }


def _task(
    labels: Labels, codes: pd.DataFrame, systems: list[str], dev: ScoredDocuments, test: ScoredDocuments, grid: int
) -> Task:
    dev, test = (_coded_alike(scored, codes, systems) for scored in (dev, test))
    codes = codes[codes["system"].isin(systems)]
    is_ranked = np.array([label["system"] in systems for label in labels])
    is_decided = np.array([label["code"] not in NOT_IN_F1.get(label["system"], ()) for label in labels]) & is_ranked
    left_out = [(system, code) for system in systems for code in NOT_IN_F1.get(system, ())]
    kept = codes[~pd.MultiIndex.from_frame(codes[["system", "code"]]).isin(left_out)] if left_out else codes
    gold_dev, scores_dev, unlabeled_dev = _scored(labels, is_decided, kept, dev, systems)
    threshold = tune_threshold(gold_dev, scores_dev, grid, int(unlabeled_dev.sum()))
    gold, scores, unlabeled = _scored(labels, is_ranked, codes, test, systems)
    gold_decided, scores_decided, unlabeled_decided = _scored(labels, is_decided, kept, test, systems)
    return Task(
        ranked=Scored(gold, scores, threshold),
        unlabeled=unlabeled,
        decided=Scored(gold_decided, scores_decided, threshold),
        n_unlabeled=int(unlabeled_decided.sum()),
    )


def _coded_alike(scored: ScoredDocuments, codes: pd.DataFrame, systems: list[str]) -> ScoredDocuments:
    """Return the documents that have a code of the systems' editions, or none at all."""
    # Each edition of ICD has a system for diagnoses and one for procedures.
    editions = tuple({re.sub(r"^(icd\d+).*", r"\1", system) for system in systems})
    of_editions = codes["admission_id"][codes["system"].str.startswith(editions)]
    documents = pd.Index(scored.documents)
    is_kept = documents.isin(of_editions) | ~documents.isin(codes["admission_id"])
    candidates = {
        system: Candidates(of_system.is_gold[is_kept], of_system.probabilities[is_kept])
        for system, of_system in scored.candidates.items()
    }
    return ScoredDocuments(documents[is_kept].tolist(), scored.probabilities[is_kept], candidates)


def _scored(
    labels: Labels, chosen: np.ndarray, codes: pd.DataFrame, scored: ScoredDocuments, systems: list[str]
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Return gold and probabilities of the chosen labels and the systems' candidates, and the other gold codes.

    Returns:
        Gold codes, CSR [n, chosen + K]; probabilities, float32 [n, chosen + K]; the number of gold codes of each
        document that are neither a chosen label nor a candidate [n]. A column of candidates has another code for each
        document, which these measures do not see: they count by document.
    """
    space = label_space([labels[number] for number in np.flatnonzero(chosen).tolist()], codes)
    gold, scores = space.targets(scored.documents).matrix, scored.probabilities[:, chosen]
    others = space.n_codes_outside_label_set(scored.documents)
    candidates = [scored.candidates[system] for system in systems if system in scored.candidates]
    if not candidates:
        return gold, scores, others
    is_gold = np.concatenate([of_system.is_gold for of_system in candidates], axis=1)
    gold = sparse.hstack([gold, sparse.csr_matrix(is_gold, dtype=np.uint8)], format="csr")
    scores = np.concatenate([scores, *(of_system.probabilities for of_system in candidates)], axis=1)
    return gold, scores, others - is_gold.sum(axis=1)
