"""Rows of the table of metrics on the report page, grouped by what the metrics need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medcode.evaluation import metric_table


def groups(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return groups of rows: a heading, and for each row a name, the values and an explanation.

    Args:
        measured: metrics of one head as in test.json; the numbers may be formatted texts.

    Raises:
        KeyError: a metric of the table is missing, or a metric is not in the table.
    """
    rows = {"decisions": _decision_rows(measured), "ranking": _rows_without_threshold(measured, "ranking")}
    rows["auc"] = _rows_without_threshold(measured, "auc")
    rows["official"] = _official_rows(measured.get("official", {}))
    rows["official"] += _official_rows(measured.get("official_open", {}), "with unseen codes")
    return [
        {"name": title, "one": needs != "decisions", "rows": rows[needs]}
        for needs, title in metric_table.NEEDS.items()
        if rows[needs]
    ]


def _official_rows(official: Mapping[str, Any], scored: str = "") -> list[dict[str, Any]]:
    """Return the rows of all code systems together, then those of each system.

    Args:
        official: a section of test.json with official measures; empty for none.
        scored: what is scored besides labels, for the names of the rows.
    """
    systems = {name: section for name, section in official.items() if isinstance(section, Mapping)}
    metrics = [metric for metric in metric_table.TABLE if metric.needs == "official" and official]
    return [
        {"name": ", ".join(filter(None, (metric.title, scored, name))), "fixed": section[metric.key]}
        | {"note": metric.explanation}
        for name, section in {"": official, **systems}.items()
        for metric in metrics
    ]


def _decision_rows(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    metrics = [metric for metric in metric_table.TABLE if metric.needs == "decisions" and metric.title]
    return [
        {"name": metric.title, **{at: _dotted(measured[at], metric.key) for at in metric_table.THRESHOLDS}}
        | {"note": metric.explanation}
        for metric in sorted(metrics, key=lambda metric: metric.row)
    ]


def _rows_without_threshold(measured: Mapping[str, Any], needs: metric_table.Needs) -> list[dict[str, Any]]:
    rows = []
    for key, value in measured[needs].items():
        metric, k = metric_table.entry(needs, key)
        if metric.title:
            rows.append({"name": metric.title.format(k=k), "fixed": value, "note": metric.explanation.format(k=k)})
    return rows


def _dotted(values: Mapping[str, Any], key: str) -> float | None:
    for part in key.split("."):
        values = values[part]
    return values
