"""Map of the label vectors of codes and CCS categories: do the codes of a category lie around it?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medcode import io
from medcode.evaluation.label_losses import name_of

if TYPE_CHECKING:
    from medcode.inference.saved_model import TrainedModel

COLUMNS = ("head", "category", "code", "chosen", "nearest", "x", "y")
# The categories that MARN's authors show, by number without "D" or "P".
SHOWN = ("3", "11", "195", "223")
POINTS = 500  # at most, whatever the number of labels: t-SNE takes quadratic time

Labels = Sequence[dict[str, Any]]


def of_model(trained: TrainedModel, ccs: Path) -> list[dict[str, Any]]:
    """Return the map of a model's labels; empty unless the model has vectors of both codes and CCS categories.

    Args:
        trained: the model.
        ccs: table of the CCS category of each code.
    """
    vectors = {head: tensor.detach().float().cpu().numpy() for head, tensor in trained.model.label_vectors().items()}
    if not {"icd", "ccs"} <= vectors.keys():
        return []
    category_of = {(row["system"], row["code"]): row["category"] for row in io.read_table(ccs).to_pylist()}
    labels = trained.labels
    return label_map(vectors["icd"], vectors["ccs"], labels["icd"], labels["ccs"], category_of)


def label_map(
    icd: np.ndarray, ccs: np.ndarray, icd_labels: Labels, ccs_labels: Labels, category_of: dict[tuple[str, str], str]
) -> list[dict[str, Any]]:
    """Map the vectors of codes and categories to a plane by t-SNE on their cosine distances.

    Source: the slides on MARN, whose authors show four categories with their codes.

    Args:
        icd, ccs: vectors in one space, [codes, D] and [categories, D].
        icd_labels, ccs_labels: their records: system, code, train_documents.
        category_of: category of (system, code).

    Returns:
        One row per point with `COLUMNS`, no rows for fewer than four points:
        head: icd or ccs.
        category: of the code; the category's number for a category.
        code: "" if it is too rare to be named.
        chosen: 1 to 4 for the categories that `choose` returns and their codes, else 0.
        nearest: 1 if the vector of the code's category is the nearest category vector, else 0; -1 for categories, and
            for codes without one.
        x, y: position.
    """
    from sklearn.manifold import TSNE

    icd_categories = [category_of.get((label["system"], label["code"]), "") for label in icd_labels]
    names = [label["code"] for label in ccs_labels]
    number_of = {category: number for number, category in enumerate(choose(ccs_labels, icd_categories), start=1)}
    order = sorted(range(len(names)), key=lambda n: (names[n] not in number_of, -ccs_labels[n]["train_documents"]))
    categories = order[: POINTS // 2]
    order = sorted(
        range(len(icd_categories)),
        key=lambda n: (icd_categories[n] not in number_of, -icd_labels[n]["train_documents"]),
    )
    codes = order[: POINTS - len(categories)]
    vectors = np.concatenate([ccs[categories], icd[codes]]).astype(np.float64)
    if len(vectors) < 4:
        return []
    # The exact method sums in the same order for every number of threads.
    plane = TSNE(metric="cosine", method="exact", perplexity=min(30, (len(vectors) - 1) / 3), random_state=0)
    positions = plane.fit_transform(vectors)
    nearest = _nearest(icd, ccs)
    points = [("ccs", names[n], ccs_labels[n], -1) for n in categories]
    for n in codes:
        category = icd_categories[n]
        points.append(("icd", category, icd_labels[n], int(names[nearest[n]] == category) if category else -1))
    return [
        {
            "head": head,
            "category": category,
            "code": name_of(label),
            "chosen": number_of.get(category, 0),
            "nearest": is_nearest,
            "x": float(x),
            "y": float(y),
        }
        for (head, category, label, is_nearest), (x, y) in zip(points, positions, strict=True)
    ]


def choose(ccs_labels: Labels, categories: Sequence[str]) -> list[str]:
    """Choose the categories to highlight: first the authors', then the most frequent ones with several codes.

    The authors give bare numbers. If diagnoses and procedures both have one, the more frequent is taken.

    Args:
        ccs_labels: code, perhaps with "D" or "P" before its number, and train_documents.
        categories: category of each code.
    """
    frequent = sorted(ccs_labels, key=lambda label: -label["train_documents"])
    most = {label["code"].lstrip("DP"): label["code"] for label in reversed(frequent)}
    published = [most[number] for number in SHOWN if number in most]
    with_several_codes = [label["code"] for label in frequent if categories.count(label["code"]) > 1]
    return list(dict.fromkeys([*published, *with_several_codes]))[: len(SHOWN)]


def _nearest(icd: np.ndarray, ccs: np.ndarray) -> np.ndarray:
    """Return the number of the category with the highest cosine similarity to each code, [codes]."""
    icd, ccs = (x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12) for x in (icd, ccs))
    return (icd @ ccs.T).argmax(1)
