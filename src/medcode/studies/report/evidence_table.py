"""The table of a study's evidence: a line for each row and method."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from medcode.evidence.results import RANDOM
from medcode.studies.definition.study import Study
from medcode.studies.report.times import DASH
from medcode.studies.results.evidence_results import MEASURES, Evidence, summaries
from medcode.studies.results.run_results import Summary

TITLES = {
    "f1": "F1", "precision": "Precision", "recall": "Recall", "auprc": "AUPRC", "iou": "IoU",
    "precision_at_1": "Best token right", "span_recall": "Spans found", "without_tokens": "Without tokens",
    "comprehensiveness": "Comprehensiveness", "sufficiency": "Sufficiency",
}  # fmt: skip
HEADING = "Evidence"
EXPLANATION = (
    "Each method beside the spans of annotators, on test: precision, recall and F1 of tokens whose share of the weight "
    "is above a threshold tuned on dev; AUPRC and IoU need no threshold. Comprehensiveness is the fall of the "
    "probability of predicted codes without the tokens of the most weight (higher is better), sufficiency the fall "
    f"with these alone (lower is better), both over tenths of the note. The method {RANDOM} draws its weights: the "
    "floor."
)


def lines(study: Study, evidence: Evidence) -> Iterator[tuple[list[str], dict[str, Summary | None]]]:
    """Yield the labels of each line (row, method; label set and head where there are several), and its measures."""
    label_sets = {label_set for _, label_set in evidence}
    for (row, label_set), of_seeds in evidence.items():
        measured = summaries(of_seeds)
        heads = {head for head, _ in measured}
        for (head, method), values in measured.items():
            place = [label_set] * (len(label_sets) > 1) + [head] * (len(heads) > 1)
            yield [", ".join([study.definition.rows[row].title, *place]), method.replace("_", " ")], values


def markdown(study: Study, evidence: Evidence) -> list[str]:
    """Return the parts of table.md about the evidence; none if nothing was measured."""
    rows = [
        f"| {' | '.join([*labels, *(_text(values[name]) for name in MEASURES)])} |"
        for labels, values in lines(study, evidence)
    ]
    if not rows:
        return []
    head = f"| Row | Method | {' | '.join(TITLES[name] for name in MEASURES)} |"
    return [f"## {HEADING}", "\n".join([head, "|---" * 2 + "|--:" * len(MEASURES) + "|", *rows]), EXPLANATION]


def page_rows(study: Study, evidence: Evidence) -> list[dict[str, Any]]:
    """Return the lines of the report page: labels, cells, and keys by which they are sorted."""
    return [
        {
            "labels": labels,
            "cells": [_text(values[name]) for name in MEASURES],
            "keys": [*labels, *(None if (of_name := values[name]) is None else of_name.mean for name in MEASURES)],
        }
        for labels, values in lines(study, evidence)
    ]


def as_csv(study: Study, evidence: Evidence) -> str:
    """Return the content of evidence.csv: one line per row, method and measure."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["system", "method", "measure", "mean", "deviation", "seeds"])
    for labels, values in lines(study, evidence):
        for name, of_name in values.items():
            if of_name is not None:
                deviation = f"{of_name.deviation:.4g}" if len(of_name.values) > 1 else ""
                writer.writerow([*labels, name, f"{of_name.mean:.4f}", deviation, len(of_name.values)])
    return buffer.getvalue()


def _text(summary: Summary | None) -> str:
    if summary is None:
        return DASH
    return f"{summary.mean:.3f}" + (f" ± {summary.deviation:.3f}" if len(summary.values) > 1 else "")
