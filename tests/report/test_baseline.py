from __future__ import annotations

import pytest

from medcode.report import baseline
from medcode.report.tiles import tiles


def of(micro: float) -> dict:
    return {
        "auc": {"macro": 0.9, "micro": None},
        "ranking": {"precision_at_5": micro, "precision_at_8": 0.5, "r_precision": 0.4, "map": micro + 0.1},
        "fixed": {"f1": {"micro": micro - 0.1, "macro": 0.3}},
        "tuned": {"f1": {"micro": micro, "macro": 0.2}},
    }


def test_a_better_model_has_a_line_with_both_numbers():
    assert baseline.lines("caml", {"icd": of(0.894)}, {"icd": of(0.761)}) == [
        "micro F1 0.894, linear baseline 0.761 (thresholds tuned on dev)"
    ]


@pytest.mark.parametrize("micro", [0.57, 0.761])
def test_a_model_that_does_not_pass_the_baseline_has_a_note_with_a_hint(micro):
    (line,) = baseline.lines("caml", {"icd": of(micro)}, {"icd": of(0.761)})
    assert line.startswith(f"note: micro F1 {micro:.3f} does not pass the linear baseline's 0.761 (thresholds tuned on")
    assert "train for more epochs" in line and "\n" not in line


def test_the_linear_model_itself_gets_no_note():
    (line,) = baseline.lines("linear", {"icd": of(0.761)}, {"icd": of(0.761)})
    assert line == "micro F1 0.761, linear baseline 0.761 (thresholds tuned on dev)"


def test_each_head_with_a_baseline_has_a_line():
    measured = {"icd9": of(0.8), "icd10": of(0.5), "ccs": of(0.9)}
    lines = baseline.lines("jams", measured, {"icd9": of(0.7), "icd10": of(0.7)})
    assert [line.split(" F1")[0] for line in lines] == ["icd9: micro", "note: icd10: micro"]
    assert baseline.lines("jams", measured, {}) == []


def test_tiles_show_each_headline_metric_beside_the_baseline():
    shown = {tile["name"]: tile["baseline"] for tile in tiles(of(0.8), of(0.7))}
    assert shown == {
        "Micro F1": "linear baseline 0.600; 0.700 if tuned on dev",
        "Macro F1": "linear baseline 0.300; 0.200 if tuned on dev",
        "Macro AUC": "linear baseline 0.900; micro \N{EN DASH}",
        "Precision at 5": "linear baseline 0.700; at 8 0.500",
        "MAP": "linear baseline 0.800; R-precision 0.400",
    }
    assert {tile["baseline"] for tile in tiles(of(0.8))} == {""}
