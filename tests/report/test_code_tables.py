"""Tables of codes on the report page: cells, and which codes are shown."""

from __future__ import annotations

from medcode.evaluation import per_code
from medcode.report import tables
from medcode.report.code_tables import SHOWN, code_tables


def cells(head: str = "icd", **changes: str) -> dict[str, str]:
    row = dict.fromkeys(per_code.COLUMNS, "0") | {"head": head, "system": "icd9cm", "code": "1", "confusions": ""}
    return row | {"description": "Disease"} | changes


def test_the_columns_are_those_that_evaluate_writes():
    assert tables.CODES == per_code.COLUMNS


def test_counts_ratios_and_confusions():
    changes = {"train_documents": "1234", "gold": "12.3333", "predicted": "<10", "correct": "", "auc": "0.98765"}
    (table,) = code_tables([cells(f1="", confusions="icd9cm 2 (5); icd9cm 3 (1)", **changes)], ["icd"])
    (row,) = table["rows"]
    assert row["numbers"] == ["1,234", "12.3", "<10", "\N{EN DASH}", "0.000", "0.000", "\N{EN DASH}", "0.988"]
    assert row["confusions"] == ["icd9cm 2 (5)", "icd9cm 3 (1)"] and row["code"] == "icd9cm 1"
    assert table["suppressed"]


def test_an_undefined_area_is_no_suppression():
    (table,) = code_tables([cells(auc="")], ["icd"])
    assert not table["suppressed"] and table["rows"][0]["confusions"] == []


def test_heads_come_in_the_order_of_the_page_and_show_a_part():
    rows = [cells("ccs"), *(cells("icd", code=str(number)) for number in range(SHOWN + 5)), cells("other")]
    shown = code_tables(rows, ["icd", "ccs", "without"])
    assert [(table["head"], table["codes"], len(table["rows"])) for table in shown] == [
        ("icd", SHOWN + 5, SHOWN), ("ccs", 1, 1)
    ]  # fmt: skip
    assert shown[0]["rows"][-1]["code"] == f"icd9cm {SHOWN - 1}"
