"""Official measures, on cases that show each difference from our other metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from medcode import io
from medcode.evaluation.official import Candidates, ScoredDocuments, gold_codes, tasks
from medcode.evaluation.summary import official_metrics

LABELS = [{"system": "icd10cm", "code": code} for code in ("A01", "B02", "C03")]
# Every document of dev has one code with a clear score, so that any threshold from 0.1 to 0.8 is as good.
DEV = ScoredDocuments(["d1", "d2"], np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1]], np.float32))
DEV_CODES = [("d1", "icd10cm", "A01"), ("d2", "icd10cm", "B02")]
CODES = ["admission_id", "system", "code"]
FEW = np.full((2, 2), 0.05, np.float32)
GRID = 101


def measure(codes, documents, scores, labels=LABELS, dev=DEV):
    codes = pd.DataFrame([*DEV_CODES, *codes], columns=["admission_id", "system", "code"])
    return official_metrics(tasks(labels, codes, dev, ScoredDocuments(documents, np.float32(scores)), GRID))


def test_a_gold_code_outside_the_label_set_is_missed():
    # The label comes second (precision 1/2); the other gold code has no label, so it is never found.
    found = measure([("t1", "icd10cm", "A01"), ("t1", "icd10cm", "Z99")], ["t1"], [[0.8, 0.9, 0.05]])
    assert found["map"] == (1 / 2 + 0) / 2
    assert found["precision"] == 1 / 2 and found["recall"] == 1 / 2 and found["f1"] == 1 / 2
    assert found["gold"] == 2 and found["gold_outside_label_set"] == 1


def test_candidates_are_codes_of_their_own_for_each_document():
    # t1 has a label and the first candidate; t2 the second candidate, and a code that is neither label nor candidate.
    gold = [("t1", "A01"), ("t1", "Z98"), ("t2", "Z99"), ("t2", "Z97")]
    table = pd.DataFrame([*((one, "icd10cm", code) for one, code in gold), *DEV_CODES], columns=CODES)
    candidates = Candidates(np.array([[True, False], [False, True]]), np.float32([[0.9, 0.05], [0.05, 0.95]]))
    scores = np.float32([[0.95, 0.1, 0.1], [0.1, 0.92, 0.1]])
    dev = ScoredDocuments(DEV.documents, DEV.probabilities, {"icd10cm": Candidates(np.zeros((2, 2), bool), FEW)})
    test = ScoredDocuments(["t1", "t2"], scores, {"icd10cm": candidates})
    found = official_metrics(tasks(LABELS, table, dev, test, GRID))
    # Average precision: t1 1, t2 (1 + 0) / 2. Predicted: A01 and Z98; B02, which is wrong, and Z99.
    assert found["map"] == (1 + 1 / 2) / 2
    assert found["precision"] == 3 / 4 and found["recall"] == 3 / 4
    assert found["gold"] == 4 and found["gold_outside_label_set"] == 1
    # Another system's candidates are none of this task.
    other = ScoredDocuments(["t1", "t2"], scores, {"icd10pcs": candidates})
    without = official_metrics(tasks(LABELS, table, DEV, other, GRID))
    assert without == official_metrics(tasks(LABELS, table, DEV, ScoredDocuments(["t1", "t2"], scores), GRID))


def test_a_document_with_unlabeled_codes_alone_counts_zero():
    found = measure([("t1", "icd10cm", "A01"), ("t2", "icd10cm", "Z99")], ["t1", "t2"], [[0.9, 0, 0], [0, 0, 0]])
    assert found["map"] == 1 / 2 and found["recall"] == 1 / 2 and found["precision"] == 1
    assert found["documents"] == found["documents_with_gold"] == 2


def test_a_document_without_a_gold_code_counts_zero_for_map_and_its_predictions_are_wrong():
    found = measure([("t1", "icd10cm", "A01")], ["t1", "t2"], [[0.9, 0, 0], [0.9, 0, 0]])
    assert found["map"] == 1 / 2 and found["recall"] == 1 and found["precision"] == 1 / 2
    assert found["documents"] == 2 and found["documents_with_gold"] == 1


@pytest.mark.parametrize(("missed", "low", "high"), [(0, 0.4, 0.9), (9, 0, 0.3)])
def test_the_threshold_counts_codes_of_dev_outside_the_label_set(missed, low, high):
    # Above 0.4 one of one is right, and one of two found; above 0 two of five: F1 2/3 or 4/7. With nine codes missed
    # they are 2/12 and 4/16.
    dev = ScoredDocuments(["d1", "d2"], np.array([[0.9, 0.4, 0.4], [0.3, 0.4, 0]], np.float32))
    codes = [("d1", "A01"), ("d2", "A01"), *(("d1", f"Z{number}") for number in range(missed))]
    table = pd.DataFrame(codes, columns=["admission_id", "code"]).assign(system="icd10cm")
    (task,) = tasks(LABELS, table, dev, ScoredDocuments(["t1"], np.zeros((1, 3), np.float32)), GRID).values()
    assert low <= task.decided.threshold < high


def test_map_reads_a_thousand_codes():
    labels = [{"system": "icd10cm", "code": f"A{number:04}"} for number in range(1200)]
    scores = np.linspace(1, 0, 1200)[None]
    dev = ScoredDocuments(["d1"], np.float32(scores))
    for rank, expected in ((1000, 1 / 1000), (1001, 0)):
        codes = [(document, "icd10cm", f"A{rank - 1:04}") for document in ("d1", "t1")]
        assert measure(codes, ["t1"], scores, labels, dev)["map"] == expected


def test_f1_of_icdo3_leaves_out_the_code_of_a_metastasis_and_map_does_not():
    labels = [{"system": "icdo3", "code": code} for code in ("8000/6", "8140/3")]
    dev = ScoredDocuments(["d3", "d4"], np.array([[0.9, 0.9], [0.1, 0.1]], np.float32))
    codes = [(document, "icdo3", code) for document in ("d3", "t1") for code in ("8000/6", "8140/3")]
    found = measure(codes, ["t1"], [[0.9, 0.05]], labels, dev)
    assert found["map"] == 1 and found["precision"] == found["recall"] == 0
    assert found["gold"] == 2


def test_every_system_has_measures_of_its_own_beside_those_of_all():
    labels = [LABELS[0], {"system": "icd10pcs", "code": "0DTJ4ZZ"}, {"system": "icd10pcs", "code": "0DTJ0ZZ"}]
    dev = ScoredDocuments(["d1"], np.array([[0.9, 0.9, 0.1]], np.float32))
    codes = [("d1", "icd10pcs", "0DTJ4ZZ"), ("t1", "icd10cm", "A01"), ("t1", "icd10pcs", "0DTJ0ZZ")]
    found = measure(codes, ["t1"], [[0.9, 0.8, 0.7]], labels, dev)
    assert found["map"] == pytest.approx((1 + 2 / 3) / 2) and found["gold"] == 2
    assert found["icd10cm"]["map"] == 1 and found["icd10pcs"]["map"] == 1 / 2
    assert found["icd10cm"]["gold"] == found["icd10pcs"]["gold"] == 1


def test_codes_of_a_system_without_any_label_are_missed():
    found = measure([("t1", "icd10cm", "A01"), ("t1", "icd10pcs", "0DTJ4ZZ")], ["t1"], [[0.9, 0, 0]])
    assert found["gold"] == 2 and found["gold_outside_label_set"] == 1
    assert found["map"] == found["recall"] == 1 / 2 and found["precision"] == 1


def test_a_document_of_another_edition_is_no_document_of_a_system():
    labels = [LABELS[0], {"system": "icd9cm", "code": "038.9"}]
    dev = ScoredDocuments(["d1", "d2"], np.array([[0.9, 0.1], [0.1, 0.9]], np.float32))
    codes = [
        ("d2", "icd9cm", "038.9"),
        ("t1", "icd10cm", "A01"),
        ("t2", "icd9proc", "38.93"),
        ("t3", "icd9cm", "038.9"),
    ]
    found = measure(codes, ["t1", "t2", "t3", "t4"], np.full((4, 2), 0.5), labels, dev)
    assert found["documents"] == 4 and found["gold"] == 3
    assert found["icd10cm"]["documents"] == 2  # t1, and t4 without any code
    assert found["icd9cm"]["documents"] == 3 and found["icd9cm"]["documents_with_gold"] == 1


def test_a_system_without_a_label_in_dev_has_no_measures_of_its_own():
    labels = [*LABELS, {"system": "icd10pcs", "code": "0DTJ4ZZ"}]
    dev = ScoredDocuments(DEV.documents, np.hstack([DEV.probabilities, DEV.probabilities[:, :1]]))
    found = measure([("t1", "icd10cm", "A01")], ["t1"], [[0.9, 0, 0, 0]], labels, dev)
    assert "icd10pcs" not in found and "icd10cm" in found


def test_map_is_that_of_a_plain_walk_down_the_ranking():
    random = np.random.default_rng(3)
    names = [f"A{number:02}" for number in range(40)]
    labels = [{"system": "icd10cm", "code": name} for name in names[:30]]
    documents = [f"t{number}" for number in range(25)]
    scores = random.random((25, 30)).astype(np.float32)
    gold = {document: set(random.choice(names, random.integers(0, 9), replace=False)) for document in documents}
    codes = [(document, "icd10cm", code) for document, codes in gold.items() for code in sorted(codes)]
    expected = []
    for document, row in zip(documents, scores, strict=True):
        ranked = [names[number] for number in np.argsort(-row)]
        hits, total = 0, 0.0
        for rank, code in enumerate(ranked, start=1):
            if code in gold[document]:
                hits += 1
                total += hits / rank
        expected.append(total / len(gold[document]) if gold[document] else 0)
    dev = ScoredDocuments(["d1", "d2"], scores[:2])
    assert {0 if gold[document] else 1 for document in documents} == {0, 1}
    assert measure(codes, documents, scores, labels, dev)["map"] == pytest.approx(np.mean(expected), abs=1e-12)


def test_only_a_label_set_that_leaves_no_code_out_has_them(tmp_path):
    table = pa.table({"admission_id": ["1"], "system": ["icd10cm"], "code": ["A01"]})
    io.write_table(tmp_path / "codes.parquet", table)
    assert gold_codes(tmp_path / "codes.parquet", "top50") is None
    assert gold_codes(tmp_path / "codes.parquet", "full").equals(table.to_pandas())
