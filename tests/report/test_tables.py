from __future__ import annotations

import json
import math

import pytest

from medcode.errors import UserError
from medcode.report import tables


def test_numbers_are_numbers_and_names_stay_names(tmp_path):
    path = tmp_path / "frequency.csv"
    path.write_text("head,group,codes,more\nicd,0,12,x\nicd,1-10,,y\n", encoding="utf-8")
    first, second = tables.read_csv(path, ("head", "group", "codes"))
    assert first == {"head": "icd", "group": "0", "codes": 12.0}
    assert second["group"] == "1-10" and math.isnan(second["codes"])


def test_columns_that_some_models_have_are_read_by_how_they_begin(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("epoch,loss,loss_icd,loss_ccs\n1,2,3,4\n", encoding="utf-8")
    assert tables.read_csv(path, ("epoch",), ("loss_",)) == [{"epoch": 1.0, "loss_icd": 3.0, "loss_ccs": 4.0}]
    assert tables.read_csv(path, ("epoch",)) == [{"epoch": 1.0}]


def test_a_table_may_be_empty_where_that_is_said(tmp_path):
    path = tmp_path / "vectors.csv"
    path.write_text("head,x\n", encoding="utf-8")
    assert tables.read_csv(path, ("head", "x"), may_be_empty=True) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch\n1\n", "no column map; found epoch"),
        ("epoch,map\n", "no rows"),
        ("epoch,map\n1,0.5\n2,half\n", "line 3, column map: expected a number"),
    ],
)
def test_what_the_report_needs_must_be_there(tmp_path, text, message):
    path = tmp_path / "curve.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        tables.read_csv(path, ("epoch", "map"))
    with pytest.raises(UserError, match="no such file"):
        tables.read_csv(tmp_path / "other.csv", ("epoch",))


def test_a_table_that_may_be_empty(tmp_path):
    (tmp_path / "linkage.csv").write_text("head,group\n", encoding="utf-8")
    assert tables.read_csv(tmp_path / "linkage.csv", ("head", "group"), may_be_empty=True) == []


def test_metrics_of_training_may_hold_more_but_not_less(tmp_path):
    path = tmp_path / "train.json"
    whole = dict.fromkeys(tables.TRAINED, 1) | {"more": 2}
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert tables.read_trained(path) == whole
    del whole["best_epoch"]
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(UserError, match="best_epoch is missing"):
        tables.read_trained(path)
