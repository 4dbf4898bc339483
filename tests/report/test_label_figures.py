"""Figures of labels: well-formed, complete, and the same whatever matplotlib's settings are."""

from __future__ import annotations

from xml.etree import ElementTree

import matplotlib
import pytest

from medcode.report import label_figures

SVG = "{http://www.w3.org/2000/svg}"

LOSSES = [
    {"head": head, "rank": float(rank), "normalized_loss": float("nan") if rank == 3 else rank / 10}
    for head, codes in (("icd", 6), ("ccs <&>", 4))
    for rank in range(1, codes + 1)
]  # fmt: skip
POINTS = [
    {"head": "ccs", "category": "D98", "code": "ccs D98", "chosen": 1.0, "nearest": -1.0, "x": 0.0, "y": 1.0},
    {"head": "icd", "category": "D98", "code": "icd9cm 401.9", "chosen": 1.0, "nearest": 1.0, "x": 0.5, "y": 1.5},
    {"head": "icd", "category": "D98", "code": "", "chosen": 1.0, "nearest": 0.0, "x": 3.0, "y": -1.0},
    {"head": "icd", "category": "", "code": "icd9proc 99.99", "chosen": 0.0, "nearest": -1.0, "x": 2.0, "y": 2.0},
]

DRAW = {
    "losses": lambda: label_figures.loss_figure({"mt_ram": LOSSES}),
    "vectors": lambda: label_figures.map_figure(POINTS),
}


def texts(svg: str) -> list[str]:
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def described(svg: str) -> str:
    return ElementTree.fromstring(svg).find(f"{SVG}desc").text


@pytest.mark.parametrize("name", DRAW)
def test_figures_are_well_formed_and_do_not_depend_on_matplotlibrc(name):
    svg = DRAW[name]()
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) and all(element_id.startswith(f"{name}-") for element_id in ids)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None}):
        assert DRAW[name]() == svg


def test_losses_are_shown_for_every_head_and_several_models():
    shown = texts(DRAW["losses"]())
    assert {"Loss of each code, icd", "Loss of each code, ccs <&>"} <= set(shown)
    assert "mt_ram, icd: on average 0.150 for the more frequent half of the codes and 0.500 for the other" in described(
        DRAW["losses"]()
    )
    svg = label_figures.loss_figure({"bce": LOSSES[:6], "focal": LOSSES[:6]})
    assert {"bce", "focal", "Loss of each code"} <= set(texts(svg))


def test_many_codes_are_plotted_with_few_points():
    rows = [{"head": "icd", "rank": float(rank), "normalized_loss": 1.0} for rank in range(1, 9_001)]
    assert len(label_figures.loss_figure({"caml": rows})) < 60_000


def test_losses_may_all_be_undefined():
    rows = [row | {"normalized_loss": float("nan")} for row in LOSSES[:2]]
    assert "undefined" in described(label_figures.loss_figure({"caml": rows}))


def test_the_map_names_codes_and_categories_and_counts_near_codes():
    svg = DRAW["vectors"]()
    assert {"CCS D98 and its codes", "401.9"} <= set(texts(svg))
    assert "99.99" not in texts(svg)
    assert described(svg) == "Of 2 codes that have a category, 1 have its vector nearest among those of all categories."


def test_an_empty_map_gives_the_reason():
    assert "no comparable vectors" in described(label_figures.map_figure([]))
