"""Suppression of small counts, from which a patient of a restricted corpus might be known."""

from __future__ import annotations

from typing import Any

SMALL = 10  # counts below it are suppressed
SUPPRESSED = f"<{SMALL}"

Row = dict[str, Any]


def suppress(row: Row) -> Row:
    """Return a row without the counts from 1 to 9, and without what they could be computed from.

    Such a count is written as `SUPPRESSED`. The numbers of missed and of wrongly predicted notes, which are differences
    of counts, are as protected as those that have a column. Where any of them is that small, `correct`, precision,
    recall and F1 are empty, because each tells it beside the counts that are shown. A code that is never predicted
    right keeps them: its zeros tell nothing. AUC is a fraction whose denominator tells `gold`.

    Args:
        row: train_documents, gold, predicted and correct, which may be means over seeds; and the ratios.
    """
    gold, predicted, correct = row["gold"], row["predicted"], row["correct"]
    hidden: Row = {name: SUPPRESSED for name in ("train_documents", "gold", "predicted") if _is_small(row[name])}
    if correct > 0 and any(map(_is_small, (correct, gold - correct, predicted - correct))):
        # Where gold and predicted are shown, "<10" would tell a small number of right ones from one of wrong ones.
        is_told = _is_small(gold) or _is_small(predicted)
        hidden |= {"correct": SUPPRESSED if is_told else "", "precision": "", "recall": "", "f1": ""}
    if _is_small(gold):
        hidden["auc"] = ""
    return row | hidden


def _is_small(count: float) -> bool:
    return 0 < count < SMALL
