"""Section of the report page about scores: calibration, thresholds of codes, and abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from medcode.evaluation.abstention import PRECISION, SHARES
from medcode.evaluation.reliability import CONSIDERED
from medcode.report.tiles import score

TEMPLATE = Path(__file__).with_name("scores.html")
CALIBRATION = (
    ("brier", "Brier score", "Mean squared distance of the probability from 1 or 0; lower is better."),
    ("ece", "Expected calibration error", "Mean distance of probability and share right, over bins of all decisions."),
    ("ece_considered", "The same, considered", f"Of the most probable decisions, {CONSIDERED} for each gold code."),
)
THRESHOLDS = (
    ("f1_micro", "Micro F1", "Over all decisions together."),
    ("f1_macro", "Macro F1", "Its headline definition."),
)


def section(test: Mapping[str, Any], heads: Sequence[str], figures: Mapping[str, Markup]) -> Markup:
    """Return the section; empty if the metrics have none of these measures.

    Args:
        test: metrics/test.json.
        heads: measured heads, in the order of the page.
        figures: `reliability` and `risk_coverage`, ready for the page.
    """
    measured = {head: scores for head in heads if (scores := test[head].get("scores"))}
    if not measured:
        return Markup("")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["score"] = lambda value: "" if value == "" else score(value)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        figures=figures,
        considered=CONSIDERED,
        tables=[
            table | {"name": table["name"] + (f", {head}" if len(measured) > 1 else "")}
            for head, scores in measured.items()
            for table in _tables(scores)
        ],
    )
    return Markup(text)  # safe: the template escapes what it shows


def _tables(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    calibration, thresholds = scores["calibration"], scores["thresholds"]
    stages = [stage for stage in ("before", "after") if stage in calibration]
    columns = ["Before calibration", "After calibration"] if len(stages) > 1 else ["Probabilities"]
    names = {"global": "One threshold", "per_code": "One for each code"}
    kinds = [kind for kind in names if kind in thresholds]
    return [
        {
            "name": "Calibration",
            "caption": "How far probabilities are from what is right, on test.",
            "columns": columns,
            "rows": [
                _row(title, note, [_precise(calibration[stage][key]) for stage in stages])
                for key, title, note in CALIBRATION
            ],
        },
        {
            "name": "Thresholds",
            "caption": "F1 on test with one threshold of all codes, and with one for each if these were learned.",
            "columns": [names[kind] for kind in kinds],
            "rows": [_row(title, note, [thresholds[kind][key] for kind in kinds]) for key, title, note in THRESHOLDS],
        },
        {
            "name": "Abstention",
            "caption": "What remains right or wrong on test if the most confident part goes without a coder.",
            "columns": ["Value"],
            "rows": _abstention(scores["abstention"]),
        },
    ]


def _abstention(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    codes, notes = scores["codes"], scores["notes"]
    rows = [
        _row(
            f"Codes at a precision of {PRECISION} %", "Share of the predicted codes, most probable first, of which so "
            "many are right.", [codes[f"coverage_at_precision_{PRECISION}"]],
        ),
        _row("Area, codes", "Under the curve of risk against coverage; lower is better.", [codes["area"]]),
        _row("Area, notes", "Likewise.", [notes["area"]]),
    ]  # fmt: skip
    for share in SHARES:
        name = "all notes" if share == 100 else f"the most confident {share} %"
        rows.append(_row(f"Micro F1, {name}", "", [notes[f"f1_micro_at_coverage_{share}"]]))
    return rows


def _precise(value: float | None) -> str:
    """Format a measure of which the third decimal says little."""
    return score(None) if value is None else f"{value:.4f}"


def _row(name: str, note: str, cells: list[Any]) -> dict[str, Any]:
    return {"name": name, "note": note, "cells": cells}
