"""Codes and CCS categories as points of a plane: do the codes of a category lie around it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medcode.evaluation.label_losses import name_of

COLUMNS = ("head", "category", "code", "chosen", "nearest", "x", "y")
# The categories that MARN's authors show, in their bare numbers.
SHOWN = ("3", "11", "195", "223")
POINTS = 500  # at most, whatever the number of labels: t-SNE takes quadratic time

Labels = Sequence[dict[str, Any]]


def label_map(
    icd: np.ndarray, ccs: np.ndarray, icd_labels: Labels, ccs_labels: Labels, category_of: dict[tuple[str, str], str]
) -> list[dict[str, Any]]:
    """Lays out the vectors of codes and categories by t-SNE on their cosine distances.

    Source: the slides on MARN, whose authors show four categories with their codes.

    Args:
        icd, ccs: vectors in one space, [codes, D] and [categories, D].
        icd_labels, ccs_labels: their records: system, code, train_documents.
        category_of: category of (system, code).

    Returns:
        One row a point, `COLUMNS`: head; category, that of the code or its own; code, "" where it is too rare to be
        named; chosen, 1 to 4 for the categories to be shown and their codes, else 0; nearest, 1 where no other
        category's vector is nearer to the code's than its own is, 0 where one is, -1 where that says nothing; x, y.
        Chosen are the authors' four where they are present, and the most frequent of several codes for those that are
        not. Empty with fewer than four points.
    """
    from sklearn.manifold import TSNE

    above = [category_of.get((label["system"], label["code"]), "") for label in icd_labels]
    own = [label["code"] for label in ccs_labels]
    chosen = {category: number for number, category in enumerate(choose(ccs_labels, above), start=1)}
    order = sorted(range(len(own)), key=lambda n: (own[n] not in chosen, -ccs_labels[n]["train_documents"]))
    categories = order[: POINTS // 2]
    order = sorted(range(len(above)), key=lambda n: (above[n] not in chosen, -icd_labels[n]["train_documents"]))
    codes = order[: POINTS - len(categories)]
    vectors = np.concatenate([ccs[categories], icd[codes]]).astype(np.float64)
    if len(vectors) < 4:
        return []
    # The exact method adds up in one order whatever the number of threads.
    plane = TSNE(metric="cosine", method="exact", perplexity=min(30, (len(vectors) - 1) / 3), random_state=0)
    places = plane.fit_transform(vectors)
    nearest = _nearest(icd, ccs)
    points = [("ccs", own[n], ccs_labels[n], -1) for n in categories]
    points += [("icd", above[n], icd_labels[n], int(own[nearest[n]] == above[n]) if above[n] else -1) for n in codes]
    return [
        {
            "head": head,
            "category": category,
            "code": name_of(label),
            "chosen": chosen.get(category, 0),
            "nearest": is_nearest,
            "x": float(x),
            "y": float(y),
        }
        for (head, category, label, is_nearest), (x, y) in zip(points, places, strict=True)
    ]


def choose(ccs_labels: Labels, above: Sequence[str]) -> list[str]:
    """The categories to be shown: the authors' that are present, then the most frequent of several codes.

    The authors give bare numbers; where diagnoses and procedures both have one, the more frequent is shown.

    Args:
        ccs_labels: code, perhaps with "D" or "P" before its number, and train_documents.
        above: category of each code.
    """
    frequent = sorted(ccs_labels, key=lambda label: -label["train_documents"])
    most = {label["code"].lstrip("DP"): label["code"] for label in reversed(frequent)}
    listed = [most[number] for number in SHOWN if number in most]
    several = [label["code"] for label in frequent if above.count(label["code"]) > 1]
    return list(dict.fromkeys([*listed, *several]))[: len(SHOWN)]


def _nearest(icd: np.ndarray, ccs: np.ndarray) -> np.ndarray:
    """For each code the number of the category whose vector points most nearly where its own does, [codes]."""
    icd, ccs = (x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12) for x in (icd, ccs))
    return (icd @ ccs.T).argmax(1)
