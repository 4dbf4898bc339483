"""F1 by training frequency of the codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from medcode.config import Evaluation
from medcode.dataset.binary_csr import as_binary_csr
from medcode.evaluation.measured_labels import measured
from medcode.evaluation.metrics import Counts, counts, f1_macro, f1_micro

COLUMNS = ("codes", "gold", "f1_micro", "f1_macro", "f1_micro_tuned", "f1_macro_tuned")


def frequency_groups(train_counts: np.ndarray, bins: Sequence[int]) -> list[tuple[str, np.ndarray]]:
    """Sort labels into groups by their number of training documents.

    Args:
        train_counts: training documents of each label, [labels].
        bins: upper ends of the groups, ascending: [100, 1000] makes 1-100, 101-1000 and 1001+, the groups of JAMS.

    Returns:
        Names and label numbers of the groups that have a label, rarest first. Labels never seen in training are a
        separate group, "0": no model can have learned them.
    """
    train_counts = np.asarray(train_counts)
    lows = [1, *(end + 1 for end in bins)]
    names = ["0", *(f"{low}-{high}" if low < high else str(low) for low, high in zip(lows, bins, strict=False))]
    names.append(f"{lows[-1]}+")
    group = np.searchsorted(np.array([0, *bins]), train_counts, side="left")
    members = [np.flatnonzero(group == number) for number in range(len(names))]
    return [(name, labels) for name, labels in zip(names, members, strict=True) if len(labels)]


def frequency_table(
    gold: sparse.spmatrix | sparse.sparray | np.ndarray,
    scores: np.ndarray,
    train_counts: np.ndarray,
    tuned_threshold: float,
    options: Evaluation,
    head: str = "icd",
) -> list[dict[str, Any]]:
    """Return the F1 of each group of training frequency, at the fixed and at the tuned threshold.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, [documents, labels].
        train_counts: training documents of each label, [labels].
        tuned_threshold: the threshold tuned on dev.
        options: groups, headline macro F1, fixed threshold, and whether labels absent from gold are measured.
        head: name of the label space, written in the first column.

    Returns:
        One row per group with labels: head, group, codes (number of labels), gold (number of gold codes), f1_micro,
        f1_macro (headline definition, over the labels of the group), f1_micro_tuned, f1_macro_tuned.
    """
    gold, scores, train_counts = measured(as_binary_csr(gold), scores, options, np.asarray(train_counts))
    fixed, _ = counts(gold, scores, options.fixed_threshold)
    tuned, _ = counts(gold, scores, tuned_threshold)
    return [
        {"head": head, "group": name, **_row(fixed[labels], tuned[labels], options)}
        for name, labels in frequency_groups(train_counts, options.frequency_bins)
    ]


def linkage_table(
    gold: sparse.spmatrix | sparse.sparray | np.ndarray,
    scores: np.ndarray,
    train_counts: np.ndarray,
    tuned_threshold: float,
    options: Evaluation,
    head: str,
    linked: np.ndarray,
) -> list[dict[str, Any]]:
    """Return the F1 of each group of training frequency, apart for codes with and without a link to the other edition.

    Source: figure 3 of JAMS, which shows the rarest group.

    Args:
        linked: whether each label has a link, bool [labels]; the other arguments as for `frequency_table`.

    Returns:
        Up to two rows per group, for its labels with and without a link: head, group, linked (yes or no), and the
        columns of `frequency_table`. No rows if no label has a link.
    """
    if not linked.any():
        return []
    gold, scores, train_counts, linked = measured(
        as_binary_csr(gold), scores, options, np.asarray(train_counts), linked
    )
    fixed, _ = counts(gold, scores, options.fixed_threshold)
    tuned, _ = counts(gold, scores, tuned_threshold)
    rows = []
    for name, labels in frequency_groups(train_counts, options.frequency_bins):
        for is_linked, members in (("yes", labels[linked[labels]]), ("no", labels[~linked[labels]])):
            if len(members):
                f1 = _row(fixed[members], tuned[members], options)
                rows.append({"head": head, "group": name, "linked": is_linked, **f1})
    return rows


def _row(fixed: Counts, tuned: Counts, options: Evaluation) -> dict[str, Any]:
    at_tuned = {f"{key}_tuned": value for key, value in _f1(tuned, options).items()}
    return {"codes": len(fixed.gold), "gold": int(fixed.gold.sum())} | _f1(fixed, options) | at_tuned


def _f1(labels: Counts, options: Evaluation) -> dict[str, float]:
    return {"f1_micro": f1_micro(labels), "f1_macro": f1_macro(labels, options.macro_f1)}
