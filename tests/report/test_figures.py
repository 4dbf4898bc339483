"""Figures of the report."""

from __future__ import annotations

import functools
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from medcode.report import figures, label_figures
from medcode.report.evidence_figure import NOTHING, evidence_figure

SVG = "{http://www.w3.org/2000/svg}"

FREQUENCY = [
    {"head": head, "group": group, "codes": codes, "gold": 9,
     "f1_micro": low, "f1_macro": low / 2, "f1_micro_tuned": low + 0.1, "f1_macro_tuned": low / 2 + 0.1}
    for head in ("icd", "ccs <&>")
    for group, codes, low in (("0", 3, 0.0), ("1-10", 1234, 0.21), ("11+", 7, 0.64))
]  # fmt: skip
CURVE = [
    {"epoch": float(epoch), "train_loss": 1 / epoch, "dev_loss": 0.2 + 1 / epoch, "f1_micro": 0.1 * epoch,
     "f1_macro": 0.08 * epoch, "map": float("nan")}
    for epoch in range(1, 6)
]  # fmt: skip
TWO_HEADS = [
    row | {"train_loss_icd": 0.5, "dev_loss_icd": 0.6, "train_loss_<&>": 0.1, "dev_loss_<&>": 0.2} for row in CURVE
]
COUNTS = {"icd": np.array([500, 40, 3, 1, 0, 0]), "ccs": np.array([900, 30])}
LENGTHS = np.array([100, 200, 300, 400, 500, 9000])

LINKAGE = [
    {"head": head, "group": group, "linked": linked, "codes": 12, "f1_macro_tuned": value}
    for head in ("icd9", "icd10")
    for group, linked, value in (("1-100", "yes", 0.31), ("1-100", "no", 0.22), ("101+", "yes", 0.6))
]

NAN = float("nan")
EVIDENCE = [
    {"head": head, "method": method, "f1": f1, "auprc": f1, "comprehensiveness": drop, "sufficiency": 0.07}
    for head, f1 in (("icd", 0.61), ("other <&>", NAN))
    for method, drop in (("gradient_x_input", 0.83), ("random", -0.14))
]

DRAW = {
    "evidence": lambda: evidence_figure(EVIDENCE),
    "linkage": lambda: label_figures.linkage_figure(LINKAGE, "per_label_present"),
    "frequency": lambda: figures.frequency_figure(FREQUENCY, "caml"),
    "learning": lambda: figures.learning_figure(CURVE, 4, "decision"),
    "labels": lambda: figures.label_figure(COUNTS),
    "lengths": lambda: figures.length_figure(LENGTHS, 1000),
}


@functools.cache
def figure(name: str) -> str:
    """Render a figure, once per process."""
    return DRAW[name]()


def texts(svg: str) -> list[str]:
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", DRAW)
def test_figures_are_well_formed_named_and_without_date_or_version(name):
    svg = figure(name)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text and len(root.find(f"{SVG}desc").text) > 20
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) and all(element_id.startswith(f"{name}-") for element_id in ids)
    assert {used.strip("#") for used in re.findall(r"#[a-z]+-[\w.]+", svg)} <= set(ids)
    assert "metadata" not in svg and matplotlib.__version__ not in svg


@pytest.mark.parametrize("name", DRAW)
def test_figures_do_not_depend_on_matplotlibrc(name):
    svg = figure(name)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "svg.hashsalt": None, "svg.fonttype": "path"}):
        assert DRAW[name]() == svg


def test_linkage_shows_linked_and_unlinked_codes():
    shown = texts(figure("linkage"))
    assert {"0.31", "0.22", "0.60", "n = 12", "With a link", "Without"} <= set(shown)
    assert [text for text in shown if "per_label_present" in text] == [
        "Macro F1 (per_label_present), icd9", "Macro F1 (per_label_present), icd10",
    ]  # fmt: skip


def test_evidence_shows_the_methods_of_every_head_and_what_was_not_measured():
    shown, description = texts(figure("evidence")), ElementTree.fromstring(figure("evidence")).find(f"{SVG}desc").text
    assert shown.count("gradient x input") == 2 and shown.count("0.61") == 4 and shown.count("Not measured") == 1
    assert {"Faithfulness to the model, icd", "0.83", "-0.14", "0.07"} <= set(shown)
    assert "icd, random: f1 0.610, auprc 0.610, comprehensiveness -0.140, sufficiency 0.070" in description
    assert "other <&>, random: comprehensiveness -0.140, sufficiency 0.070" in description
    one_head = texts(evidence_figure(EVIDENCE[:2]))
    assert "Faithfulness to the model" in one_head and "Not measured" not in one_head


def test_without_measures_of_evidence_the_figure_says_why():
    svg = evidence_figure([])
    assert texts(svg) == [NOTHING] and ElementTree.fromstring(svg).find(f"{SVG}desc").text == NOTHING


def test_nothing_of_the_evidence_may_be_measured():
    nothing = [row | dict.fromkeys(("f1", "auprc", "comprehensiveness", "sufficiency"), NAN) for row in EVIDENCE[:1]]
    svg = evidence_figure(nothing)
    assert texts(svg).count("Not measured") == 2
    assert "nan" not in svg


def test_frequency_shows_groups_sizes_and_values_of_every_head():
    shown = texts(figure("frequency"))
    assert shown.count("n = 1,234") == 4 and shown.count("1\N{EN DASH}10") == 4  # two panels, two heads
    assert {"Micro F1, icd", "Macro F1 (caml), ccs <&>", "0.21", "0.31", "0.64", "0.74", "0.32"} <= set(shown)
    assert "Micro F1" in texts(figures.frequency_figure(FREQUENCY[:3], "caml"))


def test_learning_curve_marks_the_best_epoch():
    svg = figure("learning")
    assert texts(svg).count("best epoch") == 2
    assert "epoch 4, micro F1 on dev was 0.400" in svg
    ElementTree.fromstring(figures.learning_figure(CURVE[:1], 1, "decision"))


def test_learning_curve_shows_the_loss_of_each_of_several_heads():
    shown = texts(figures.learning_figure(TWO_HEADS, 4, "document"))
    assert {"Loss", "Loss, icd", "Loss, <&>", "Loss per document"} <= set(shown)
    assert "Loss per decision" not in shown
    assert shown.count("best epoch") == 4
    one_more = [row | {"train_loss_third": 1.0, "dev_loss_third": 1.0} for row in TWO_HEADS]
    assert texts(figures.learning_figure(one_more, 4, "decision")).count("best epoch") == 5
    assert not any(text and text.startswith("Loss,") for text in texts(figure("learning")))


def test_labels_counts_codes_that_cannot_be_plotted():
    svg = figure("labels")
    assert {"icd: 6 codes", "ccs: 2 codes"} <= set(texts(svg))
    assert "the median code has 2 training documents; 2 codes have none" in svg


def test_lengths_marks_the_median_and_the_truncation():
    assert {"median 350", "read up to 1,000"} <= set(texts(figure("lengths")))
    assert "16.7% are longer than the 1,000" in figure("lengths")
    assert not any(text.startswith("read up to") for text in texts(figures.length_figure(LENGTHS, 9000)))
    whole = figures.length_figure(LENGTHS, None)
    assert not any(text.startswith("read up to") or "that the model reads" in text for text in texts(whole))


def test_many_labels_are_plotted_with_few_points():
    counts = np.maximum(1, 20_000 // np.arange(1, 9001))
    assert len(figures.label_figure({"icd": counts})) < 60_000
