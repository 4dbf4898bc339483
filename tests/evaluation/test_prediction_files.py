"""Files of predicted codes in the form of shared tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medcode.evaluation.official import DEPTH, Candidates, ScoredDocuments, tasks
from medcode.evaluation.prediction_files import write
from medcode.evaluation.summary import official_metrics

LABELS = [{"system": "icd10cm", "code": code} for code in ("A01", "B02", "C03")]
LABELS.append({"system": "icd10pcs", "code": "0DTJ4ZZ"})


def pairs(path):
    return [tuple(line.split("\t")) for line in path.read_text().splitlines()]


def test_each_system_has_a_ranked_file_and_one_of_predictions(tmp_path):
    scored = ScoredDocuments(["t1", "t2"], np.float32([[0.2, 0.9, 0.5, 0.1], [0.5, 0.3, 0.5, 0.8]]))
    written = write(tmp_path, LABELS, scored, {"icd10cm": 0.4, "icd10pcs": 0.1})
    assert {path.name: lines for path, lines in written.items()} == {
        "icd10cm.ranked.tsv": 6, "icd10cm.predicted.tsv": 4, "icd10pcs.ranked.tsv": 2, "icd10pcs.predicted.tsv": 1,
    }  # fmt: skip
    first, second = [("t1", "B02"), ("t1", "C03"), ("t1", "A01")], [("t2", "C03"), ("t2", "A01"), ("t2", "B02")]
    assert pairs(tmp_path / "icd10cm.ranked.tsv") == first + second
    assert pairs(tmp_path / "icd10cm.predicted.tsv") == first[:2] + second[:2]
    assert pairs(tmp_path / "icd10pcs.predicted.tsv") == [("t2", "0DTJ4ZZ")]  # 0.1 is not above 0.1


def test_candidates_stand_among_the_labels_by_their_probability(tmp_path):
    candidates = Candidates(np.zeros((2, 2), bool), np.float32([[0.7, 0.1], [0.3, 0.6]]))
    probabilities = np.float32([[0.2, 0.9, 0.5, 0.1], [0.5, 0.3, 0.5, 0.8]])
    scored = ScoredDocuments(["t1", "t2"], probabilities, {"icd10cm": candidates})
    unseen = {"icd10cm": [["D04", "E05"], ["F06", "D04"]]}
    write(tmp_path, LABELS, scored, {"icd10cm": 0.4, "icd10pcs": 0.1}, unseen)
    first = [("t1", code) for code in ("B02", "D04", "C03", "A01", "E05")]
    second = [("t2", code) for code in ("D04", "C03", "A01", "F06", "B02")]
    assert pairs(tmp_path / "icd10cm.ranked.tsv") == first + second
    assert pairs(tmp_path / "icd10cm.predicted.tsv") == first[:3] + second[:3]
    assert pairs(tmp_path / "icd10pcs.ranked.tsv") == [("t1", "0DTJ4ZZ"), ("t2", "0DTJ4ZZ")]


def test_codes_may_have_thresholds_of_their_own(tmp_path):
    scored = ScoredDocuments(["t1", "t2"], np.float32([[0.2, 0.9, 0.5, 0.1], [0.5, 0.3, 0.5, 0.8]]))
    thresholds = {"icd10cm": 0.4, "icd10pcs": 0.1}
    write(tmp_path, LABELS, scored, thresholds, code_thresholds=[0.1, 0.95, 0.5, 0.9])
    assert pairs(tmp_path / "icd10cm.predicted.tsv") == [("t1", "A01"), ("t2", "A01")]  # 0.5 is not above 0.5
    assert pairs(tmp_path / "icd10pcs.predicted.tsv") == []


def test_a_document_has_at_most_the_codes_that_map_reads(tmp_path):
    labels = [{"system": "icd10cm", "code": f"A{number}"} for number in range(DEPTH + 1)]
    (path, _) = write(tmp_path, labels, ScoredDocuments(["t1"], np.zeros((1, DEPTH + 1), np.float32)), {"icd10cm": 1})
    assert len(pairs(path)) == DEPTH and ("t1", "A0") not in pairs(path)


def test_the_files_have_the_measures_that_are_reported(tmp_path):
    random = np.random.default_rng(5)
    scores = random.integers(0, 8, (30, 4)).astype(np.float32) / 8  # many ties
    scored = ScoredDocuments([f"t{number}" for number in range(30)], scores)
    names = [(label["system"], label["code"]) for label in LABELS] + [("icd10cm", "Z99"), ("icd10pcs", "0DTJ0ZZ")]
    gold = [(document, *names[number]) for document in scored.documents for number in random.choice(6, 2, False)]
    codes = pd.DataFrame(gold, columns=["admission_id", "system", "code"])
    of_systems = tasks(LABELS, codes, scored, scored, 50)
    thresholds = {system: of_systems[system].decided.threshold for system in ("icd10cm", "icd10pcs")}
    write(tmp_path, LABELS, scored, thresholds)
    measured = official_metrics(of_systems)
    for system in thresholds:
        right = {(document, code) for document, of_code, code in gold if of_code == system}
        precisions = dict.fromkeys(scored.documents, 0.0)
        for document in scored.documents:
            ranked = [code for name, code in pairs(tmp_path / f"{system}.ranked.tsv") if name == document]
            of_document = {code for name, code in right if name == document}
            hits = 0
            for rank, code in enumerate(ranked, start=1):
                hits += code in of_document
                precisions[document] += (hits / rank) * (code in of_document) / len(of_document or [0])
        assert np.isclose(np.mean(list(precisions.values())), measured[system]["map"], atol=1e-12)
        predicted = set(pairs(tmp_path / f"{system}.predicted.tsv"))
        assert np.isclose(2 * len(predicted & right) / (len(predicted) + len(right)), measured[system]["f1"])
