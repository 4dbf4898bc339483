"""The section of the report page about scores, and its figures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from markupsafe import Markup

from medcode.report import score_figures, scores

BIN = {"bin": 1, "decisions": 20, "mean_probability": 0.7, "share_right": 0.6}
BINS = [
    {"head": head, "probabilities": stage, **BIN} for head in ("icd9", "icd10") for stage in ("before", "after")
]  # fmt: skip
POINTS = [
    {"head": head, "of": of, "coverage": coverage, "risk": coverage / 4}
    for head in ("icd9", "icd10") for of in ("codes", "notes") for coverage in (0.5, 1.0)
]  # fmt: skip
CALIBRATION = {"brier": 0.0123, "ece": 0.0234, "ece_considered": None}
SCORES = {
    "calibration": {"before": CALIBRATION, "considered": 20, "decisions": 400},
    "thresholds": {"global": {"f1_micro": 0.5012, "f1_macro": 0.4012}},
    "abstention": {
        "codes": {"area": 0.1234, "coverage_at_precision_90": 0.6543},
        "notes": {
            "area": 0.2345, "f1_micro_at_coverage_100": 0.5678, "f1_micro_at_coverage_80": 0.6789,
            "f1_micro_at_coverage_50": 0.7891,
        },
    },
}  # fmt: skip
FIGURES = {"reliability": Markup("<svg>first</svg>"), "risk_coverage": Markup("<svg>second</svg>")}


def section(*heads: str, **changes: dict) -> str:
    return scores.section({head: {"scores": SCORES | changes} for head in heads}, heads, FIGURES)


def test_metrics_without_scores_have_no_section():
    assert scores.section({"icd": {"auc": {}}}, ["icd"], FIGURES) == ""


def test_every_number_is_shown_and_an_undefined_one_is_a_dash():
    html = section("icd")
    for number in (
        "0.0123",
        "0.0234",
        "0.501",
        "0.401",
        "0.123",
        "0.654",
        "0.234",
        "0.568",
        "0.679",
        "0.789",
        "\N{EN DASH}",
    ):
        assert f">{number}<" in html, number
    assert "<svg>first</svg>" in html and "<svg>second</svg>" in html and "After calibration" not in html


def test_before_and_after_stand_side_by_side():
    after = {"before": CALIBRATION, "after": CALIBRATION | {"brier": 0.0101}, "considered": 20, "decisions": 400}
    two = {"global": {"f1_micro": 0.5012, "f1_macro": 0.4012}, "per_code": {"f1_micro": 0.5112, "f1_macro": 0.4212}}
    html = section("icd", calibration=after, thresholds=two)
    assert re.search(r">0\.0123</td>\s*<td class=\"number\">0\.0101<", html)
    assert re.search(r">0\.401</td>\s*<td class=\"number\">0\.421<", html)
    assert "Before calibration" in html and "After calibration" in html and "One for each code" in html


def test_each_head_has_tables_with_its_name():
    html = section("icd9", "icd10")
    assert html.count("Calibration, icd9<") == html.count("Calibration, icd10<") == 1
    ElementTree.fromstring(f"<all>{html}</all>".replace("<br>", "<br/>"))


@pytest.mark.parametrize("heads", [["icd9"], ["icd9", "icd10"], []])
def test_figures_are_valid_and_say_their_numbers(heads):
    bins, points = ([row for row in rows if row["head"] in heads] for rows in (BINS, POINTS))
    for draw, rows in ((score_figures.reliability_figure, bins), (score_figures.risk_coverage_figure, points)):
        svg = draw(rows)
        assert svg == draw(rows), "the same bytes"
        ElementTree.fromstring(svg)
        description = re.search(r"<desc[^>]*>(.*?)</desc>", svg, re.S)[1]
        assert description == score_figures.NOTHING if not heads else all(head in description for head in heads)
        sizes = {float(size) for size in re.findall(r"font(?:-size)?: ?([\d.]+)px", svg)}
        width = float(re.search(r'viewBox="0 0 ([\d.]+) ', svg)[1])
        assert all(size * 400 / width >= 10 for size in sizes) and (sizes or not heads), "read at 400 pixels"


def test_the_curves_are_named():
    svg = score_figures.reliability_figure(BINS[:2]) + score_figures.risk_coverage_figure(POINTS[:4])
    for text in ("Before calibration", "After calibration", "Predicted codes: share wrong", "Coverage"):
        assert text in svg
    assert "After calibration" not in score_figures.reliability_figure(BINS[:1])
