"""Labels of each head, and the gold labels of admissions."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from medcode.dataset import label_spaces
from medcode.errors import UserError

LABEL_COLUMNS = ("head", "system", "code", "description", "train_documents")
LABELS = [("icd", "icd9cm", "401.9", "a", 1), ("icd", "icd9cm", "486", "b", 2), ("icd", "icd9proc", "48.6", "c", 0)]
# 99.04 is no label; 48.6 has no category.
CCS = pa.table(
    {
        "system": ["icd9cm", "icd9cm", "icd9proc"],
        "code": ["486", "038.9", "99.04"],
        "category": ["D122", "D2", "P222"],
        "category_description": ["Pneumonia", "Septicemia", "Blood transfusion"],
    }
)
DOCUMENTS = pa.table({"admission_id": ["1", "2", "3"], "split": ["train", "dev", "test"]})


def table(columns: tuple[str, ...], rows: list[tuple]) -> pa.Table:
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})


def spaces(labels: list[tuple], codes: list[tuple]) -> dict[str, label_spaces.LabelSpace]:
    codes = table(("admission_id", "system", "code"), codes)
    return label_spaces.label_spaces(table(LABEL_COLUMNS, labels), codes, CCS, DOCUMENTS)


def test_columns_follow_the_labels_and_other_codes_have_column_minus_one():
    codes = [("2", "icd9cm", "486"), ("2", "icd9cm", "999"), ("1", "icd9cm", "401.9"), ("3", "other", "486")]
    heads = spaces(LABELS, codes)
    assert list(heads) == ["icd", "category", "ccs"]
    assert [(label["code"], label["train_documents"]) for label in heads["icd"].records] == [
        ("401.9", 1), ("486", 2), ("48.6", 0),
    ]  # fmt: skip
    assert heads["icd"].gold.to_dict("list") == {"admission_id": ["2", "2", "1"], "column": [1, -1, 0]}
    targets = heads["icd"].targets(["3", "2", "1"])
    assert targets.matrix.toarray().tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert targets.is_coded.tolist() == [False, True, True]
    assert heads["icd"].n_codes_outside_label_set(["3", "2", "1"]).tolist() == [0, 1, 0]


def test_group_heads_have_training_counts_and_coded_admissions():
    codes = [("1", "icd9cm", "486"), ("2", "icd9cm", "486"), ("2", "icd9cm", "401.9"), ("3", "icd9proc", "48.6")]
    heads = spaces(LABELS, codes)
    assert [(label["code"], label["train_documents"]) for label in heads["category"].records] == [
        ("401", 0), ("486", 1), ("48", 0),
    ]  # fmt: skip
    assert heads["ccs"].records == [{"system": "ccs", "code": "D122", "description": "Pneumonia", "train_documents": 1}]
    # No procedure among the labels has a CCS category, so nothing is known of the third admission.
    assert sorted(heads["ccs"].coded) == ["1", "2"]
    assert heads["ccs"].targets(["1", "2", "3"]).matrix.toarray().tolist() == [[1], [1], [0]]


def test_heads_of_two_editions_have_no_group_heads():
    labels = [("icd9", "icd9cm", "486", "", 1), ("icd10", "icd10cm", "I10", "", 1)]
    heads = spaces(labels, [("1", "icd9cm", "486"), ("1", "icd9proc", "48.6"), ("2", "icd10cm", "I10")])
    assert {head: sorted(space.coded) for head, space in heads.items()} == {"icd9": ["1"], "icd10": ["2"]}
    assert heads["icd9"].gold["column"].tolist() == [0, -1]


def test_an_empty_label_set_is_refused():
    codes = [("1", "icd9cm", "486"), ("2", "icd9proc", "48.6")]
    with pytest.raises(UserError, match=r"the label set chosen is empty in this corpus.* are of icd9cm, icd9proc$"):
        spaces([], codes)


def test_codes_of_one_group_become_one_label():
    hypertension, pneumonia = ("ccs", "D98", "Essential hypertension"), ("ccs", "D122", "Pneumonia")
    gold = {"a": [0, 2], "b": [2, 1, -1], "c": [0, 3], "d": [3]}
    frame = pd.DataFrame([(name, column) for name, columns in gold.items() for column in columns])
    frame.columns = ["admission_id", "column"]
    above = [hypertension, pneumonia, hypertension, None]
    records, groups = label_spaces.group_labels(above, frame, train=["a", "b"])
    assert [(record["code"], record["train_documents"]) for record in records] == [("D98", 2), ("D122", 1)]
    assert list(groups.itertuples(index=False, name=None)) == [("a", 0), ("b", 0), ("b", 1), ("c", 0)]


def test_labels_have_categories_and_ccs_groups():
    labels = [{"system": "icd9cm", "code": code} for code in ("401.9", "486", "401.1")]
    assert [code for _, code, _ in label_spaces.first_characters(labels)] == ["401", "486", "401"]
    assert label_spaces.clinical_categories(labels, CCS) == [None, ("ccs", "D122", "Pneumonia"), None]
