"""Tables of the report are read strictly: a missing column, value or file is one line."""

from __future__ import annotations

import json
import math

import pytest

from medcode.errors import UserError
from medcode.report import tables


def test_numbers_are_parsed_and_names_stay_text(tmp_path):
    path = tmp_path / "frequency.csv"
    path.write_text("head,group,codes,more\nicd,0,12,x\nicd,1-10,,y\n", encoding="utf-8")
    first, second = tables.read_csv(path, ("head", "group", "codes"))
    assert first == {"head": "icd", "group": "0", "codes": 12.0}
    assert second["group"] == "1-10" and math.isnan(second["codes"])


def test_optional_columns_are_read_by_prefix(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("epoch,loss,loss_icd,loss_ccs\n1,2,3,4\n", encoding="utf-8")
    assert tables.read_csv(path, ("epoch",), ("loss_",)) == [{"epoch": 1.0, "loss_icd": 3.0, "loss_ccs": 4.0}]
    assert tables.read_csv(path, ("epoch",)) == [{"epoch": 1.0}]


def test_a_table_may_be_empty_if_allowed(tmp_path):
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
def test_missing_columns_and_values_are_refused(tmp_path, text, message):
    path = tmp_path / "curve.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        tables.read_csv(path, ("epoch", "map"))
    with pytest.raises(UserError, match="no such file"):
        tables.read_csv(tmp_path / "other.csv", ("epoch",))


def test_a_table_that_may_be_empty(tmp_path):
    (tmp_path / "linkage.csv").write_text("head,group\n", encoding="utf-8")
    assert tables.read_csv(tmp_path / "linkage.csv", ("head", "group"), may_be_empty=True) == []


def test_train_metrics_may_have_more_keys_but_not_fewer(tmp_path):
    path = tmp_path / "train.json"
    whole = dict.fromkeys(tables.TRAINED, 1) | {"more": 2}
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert tables.read_trained(path) == whole
    del whole["best_epoch"]
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(UserError, match="best_epoch is missing"):
        tables.read_trained(path)
