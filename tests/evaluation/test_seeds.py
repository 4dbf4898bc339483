"""Mean and deviation over seeds."""

from __future__ import annotations

import math
import statistics

import pytest

from medcode.evaluation import seeds

THREE = [
    {"icd": {"f1": {"micro": value}, "counts": {"labels": 50}, "auc": None}, "stopped": ended}
    for value, ended in ((0.5, "last epoch"), (0.7, "3 epochs without"), (0.9, "last epoch"))
]


def test_every_number_is_averaged():
    assert seeds.mean(THREE) == {
        "icd": {"f1": {"micro": pytest.approx(0.7)}, "counts": {"labels": 50}, "auc": None},
        "stopped": "last epoch; 3 epochs without",
    }


def test_the_deviation_is_the_sample_deviation():
    result = seeds.deviation(THREE)["icd"]
    assert result["f1"]["micro"] == pytest.approx(statistics.stdev([0.5, 0.7, 0.9]))
    assert result["counts"]["labels"] == 0
    assert result["auc"] is None


def test_a_single_seed_has_no_spread():
    assert seeds.mean(THREE[:1]) == THREE[0]
    assert seeds.spread({"1337": THREE[0]}) == {}


def test_the_spread_contains_the_numbers_of_each_seed():
    result = seeds.spread({"1": THREE[0], "2": THREE[1]})
    assert result["seeds"] == {"1": THREE[0], "2": THREE[1]}
    assert result["standard_deviation"]["icd"]["f1"]["micro"] == pytest.approx(statistics.stdev([0.5, 0.7]))


def test_tables_are_averaged_by_row_and_none_stays_none():
    tables = [[{"group": "1-10", "f1": 0.2}, {"group": "11+", "f1": math.nan}], [{"group": "1-10", "f1": 0.4}] * 2]
    tables[1][1] = {"group": "11+", "f1": math.nan}
    first, second = seeds.mean(tables)
    assert first == {"group": "1-10", "f1": pytest.approx(0.3)}
    assert second["group"] == "11+" and math.isnan(second["f1"])


def test_a_mean_curve_covers_the_seeds_that_reached_the_epoch():
    result = seeds.mean_curve([[{"epoch": 1, "map": 0.2}, {"epoch": 2, "map": 0.5}], [{"epoch": 1, "map": 0.4}]])
    assert result == [{"epoch": 1, "map": pytest.approx(0.3), "seeds": 2}, {"epoch": 2, "map": 0.5, "seeds": 1}]
    assert seeds.mean_curve([[]]) == []
