"""The table of metrics is complete, and a metric has the same name everywhere."""

from __future__ import annotations

import html
from typing import get_args

import pytest

from medcode import io
from medcode.config import MonitorName
from medcode.evaluation import metric_table, monitor
from medcode.evaluation.metric_table import NEEDS, TABLE, THRESHOLDS

# Of the recipe alone: test.json has no such number.
NOT_MEASURED_ON_TEST = {"mean_of_seven"}
REMEASURE = "the committed results are not those of the table; run `make repro`, then the tests"


def keys(values: dict, before: str = "") -> list[str]:
    """Dotted keys of nested mappings."""
    names = []
    for key, value in values.items():
        names += keys(value, f"{before}{key}.") if isinstance(value, dict) else [f"{before}{key}"]
    return names


def test_a_recipe_may_monitor_every_dev_metric_and_the_loss():
    assert set(get_args(MonitorName)) == {*monitor.MONITORS, "loss"}


def test_every_monitor_is_in_the_table_under_the_same_name():
    names = {metric.name.format(k=k) for metric in TABLE for k in metric_table.COLUMN_KS}
    assert set(monitor.MONITORS) - names == NOT_MEASURED_ON_TEST


def test_names_and_rows_are_unique_and_shown_metrics_are_explained():
    assert len({metric.name for metric in TABLE}) == len({(metric.needs, metric.key) for metric in TABLE}) == len(TABLE)
    decisions = {metric.key for metric in TABLE if metric.needs == "decisions" and metric.title}
    assert set(metric_table.ROWS) <= decisions and len(set(metric_table.ROWS)) == len(metric_table.ROWS)
    for metric in TABLE:
        assert metric.needs in NEEDS
        assert bool(metric.title) == bool(metric.explanation), metric.name


def test_the_table_has_every_metric_of_the_committed_test_json_and_no_other(root):
    for head in io.read_json(root / "metrics/test.json").values():
        for needs, sections in {"auc": ["auc"], "ranking": ["ranking"], "decisions": THRESHOLDS}.items():
            in_table = [metric.key for metric in TABLE if metric.needs == needs]
            expected = [key.format(k=k) for key in in_table for k in ((5, 8, 15) if "{k}" in key else (0,))]
            for section in sections:
                measured = [key for key in keys(head[section]) if key != "threshold"]
                assert measured == expected, REMEASURE


def test_the_committed_page_has_every_title_and_explanation(root):
    page = html.unescape((root / "plots/report.html").read_text(encoding="utf-8"))
    shown = [metric for metric in TABLE if metric.title and metric.needs != "official"]
    assert len(shown) > 15
    for metric in shown:
        for k in (5, 8, 15):
            shown_texts = metric.title.format(k=k), metric.explanation.format(k=k)
            assert all(text in page for text in shown_texts), f"plots/report.html has no {metric.name}: {REMEASURE}"


def test_every_column_is_somewhere_in_test_json(root):
    (measured, *_) = io.read_json(root / "metrics/test.json").values()
    for name in metric_table.columns():
        if name.startswith("official_"):  # of the label set full
            continue
        value = measured
        for part in metric_table.path_in_test(name, "tuned", "per_label_all"):
            assert part in value, f"metrics/test.json has no {name}: {REMEASURE}"
            value = value[part]
        assert isinstance(value, float), name
    assert metric_table.path_in_test("f1_macro", "tuned", "caml") == ("tuned", "macro_f1", "caml")


def test_every_headline_metric_has_a_column():
    assert metric_table.headlines() == ["f1_micro", "f1_macro", "auc_macro", "precision_at_5", "precision_at_8", "map"]
    assert set(metric_table.headlines()) <= metric_table.columns().keys()
    assert {metric.name for metric in TABLE if metric.headline} == set(metric_table.HEADLINE)


def test_metrics_that_training_computes_are_computed_by_the_same_functions():
    for metric in TABLE:
        if metric.name in monitor.MONITORS:
            assert metric.function is monitor.MONITORS[metric.name].function, metric.name


def test_a_metric_at_k_is_found_by_its_key():
    assert metric_table.entry("ranking", "precision_at_25")[1] == "25"
    assert metric_table.entry("ranking", "map")[0].title == "MAP"
    for needs, key in (("ranking", "precision_at_0"), ("auc", "map"), ("decisions", "f1_micro")):
        with pytest.raises(KeyError):
            metric_table.entry(needs, key)
    assert metric_table.path_in_test("recall_at_25", "fixed", "caml") == ("ranking", "recall_at_25")
    with pytest.raises(KeyError):
        metric_table.path_in_test("recall_at_0", "fixed", "caml")
