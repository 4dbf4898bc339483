"""Results of each code: numbers by hand, means over seeds, confusions, suppressed counts."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from scipy import sparse

from medcode.evaluation.measurement import Predictions
from medcode.evaluation.per_code import COLUMNS, CodeTable, confusions
from medcode.evaluation.small_counts import suppress

TRAIN = (40, 3, 12, 3)
CODES = ("b", "z", "a", "c")
# Four documents. The tuned threshold is 0.3, so 0.3 itself is not predicted.
GOLD = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
SCORES = np.array([[0.9, 0.3, 0.8, 0.1], [0.2, 0.1, 0.7, 0.4], [0.6, 0.2, 0.1, 0.1], [0.5, 0.1, 0.1, 0.1]], np.float32)


def predictions(scores=SCORES, gold=GOLD, train=TRAIN, codes=CODES) -> dict[str, Predictions]:
    labels = [
        {"system": "icd9cm", "code": code, "description": f"Disease {code}", "train_documents": count}
        for code, count in zip(codes, train, strict=True)
    ]
    documents = [str(number) for number in range(len(gold))]
    return {"icd": Predictions(documents, labels, sparse.csr_matrix(gold), scores, np.array(train), 0.5, 0.3)}


def table(*seeds: dict[str, Predictions], restricted: bool = False) -> list[dict]:
    measured = CodeTable()
    for seed in seeds:
        measured.add(seed)
    return measured.rows(restricted=restricted)


def test_numbers_of_each_code_by_hand():
    rows = table(predictions())
    assert [row["code"] for row in rows] == ["b", "a", "c", "z"]  # by training documents, then by code
    assert all(tuple(row) == COLUMNS for row in rows)
    first, second, third, last = rows
    assert (first["gold"], first["predicted"], first["correct"]) == (3, 3, 2)
    assert (first["precision"], first["recall"], first["f1"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert first["auc"] == pytest.approx(2 / 3)  # 0.9 and 0.6 are above 0.5, 0.2 is not
    assert (second["gold"], second["predicted"], second["precision"], second["auc"]) == (0, 2, 0, None)
    assert (last["gold"], last["predicted"], last["recall"], last["auc"]) == (2, 0, 0, pytest.approx(2.5 / 4))
    assert (third["description"], third["train_documents"], third["head"]) == ("Disease c", 3, "icd")


def test_confusions_are_wrong_codes_in_the_notes_in_which_the_code_is_missed():
    shown = {row["code"]: row["confusions"] for row in table(predictions())}
    # Document 0 misses z and has a wrong; document 1 misses b and z and has a and c wrong; document 3 misses nothing.
    assert shown == {"b": "icd9cm a (1); icd9cm c (1)", "z": "icd9cm a (2); icd9cm c (1)", "a": "", "c": ""}


def test_the_three_most_frequent_confusions_over_the_seeds_are_kept():
    random = np.random.default_rng(2)
    missed, wrong = (
        [sparse.csr_array((random.random((50, 300)) < share).astype(np.uint8)) for _ in range(2)]
        for share in (0.2, 0.1)
    )
    shown = random.random(300) < 0.8
    counts = sum(m.toarray().astype(int).T @ w.toarray() for m, w in zip(missed, wrong, strict=True)) / 2
    counts[~shown], counts[:, ~shown] = 0, 0
    found = confusions(missed, wrong, shown, 1.5)
    assert sum(map(len, found)) > 300
    for label, pairs in enumerate(found):
        best = sorted(range(300), key=lambda other: (-counts[label, other], other))[:3]
        assert pairs == [(other, counts[label, other]) for other in best if counts[label, other] >= 1.5]


def test_numbers_are_means_over_the_seeds():
    other = SCORES.copy()
    other[1] = 0.9, 0.9, 0.1, 0.1  # now b and z are found there, and nothing is wrong
    rows = {row["code"]: row for row in table(predictions(), predictions(other))}
    assert rows["b"]["correct"] == 2.5 and rows["b"]["gold"] == 3 and rows["b"]["train_documents"] == 40
    assert rows["b"]["recall"] == pytest.approx((2 / 3 + 1) / 2)
    assert rows["z"]["confusions"] == "icd9cm a (1.5); icd9cm c (0.5)"
    assert rows["a"]["auc"] is None and rows["b"]["description"] == "Disease b"


def test_a_large_table_of_a_restricted_corpus():
    gold, scores = np.zeros((60, 4), np.uint8), np.zeros((60, 4), np.float32)
    gold[:30, 0] = 1
    scores[:12, 0] = scores[40:51, 0] = 0.9  # 12 right, 18 missed, 11 wrong
    gold[50:, 1] = 1
    scores[12:28, 1] = 0.9  # 16 wrong where the first is missed; none of its 10 found
    scores[12:23, 2] = 0.9  # 11 wrong where the first is missed
    gold[40:50, 2] = 1  # 10 of it, none found
    gold[:15, 3] = scores[:6, 3] = scores[15:29, 3] = 1  # 6 right, 9 missed, 14 wrong where the first is missed
    seed = predictions(scores, gold, (100, 9, 10, 20))
    rows = {row["code"]: row for row in table(seed, restricted=True)}
    assert list(rows) == ["b", "c", "a", "z"]  # the count of z is not shown, and does not place it among others
    # The code c is wrong in 14 notes in which b is missed, but its own numbers are hidden.
    assert rows["b"]["confusions"] == "icd9cm z (16); icd9cm a (11)"
    assert rows["a"]["confusions"] == "icd9cm b (10)" and rows["c"]["confusions"] == ""
    assert (rows["z"]["train_documents"], rows["z"]["gold"], rows["z"]["correct"], rows["z"]["f1"]) == ("<10", 10, 0, 0)
    assert (rows["c"]["gold"], rows["c"]["predicted"], rows["c"]["correct"], rows["c"]["recall"]) == (15, 20, "", "")
    assert rows["c"]["auc"] != ""
    assert "icd9cm c (14)" in {row["code"]: row for row in table(seed)}["b"]["confusions"]


def row(gold: float, predicted: float, correct: float, train: int = 50) -> dict:
    f1 = 2 * correct / (gold + predicted) if gold + predicted else 0
    counts = {"train_documents": train, "gold": gold, "predicted": predicted, "correct": correct}
    precision, recall = correct / predicted if predicted else 0, correct / gold if gold else 0
    # Whoever knows the number of documents learns the denominator of the area, hence gold.
    return counts | {"precision": precision, "recall": recall, "f1": f1, "auc": f"of {gold}"}


def test_small_counts_are_suppressed():
    assert suppress(row(20, 30, 10)) == row(20, 30, 10)  # 10 missed, 20 wrong
    hidden = {"precision": "", "recall": "", "f1": ""}
    assert suppress(row(20, 30, 11)) == row(20, 30, 11) | hidden | {"correct": ""}  # 9 missed
    assert suppress(row(9, 30, 8, 9)) == row(9, 30, 8) | hidden | {
        "train_documents": "<10", "gold": "<10", "correct": "<10", "auc": ""
    }  # fmt: skip
    assert suppress(row(20, 20, 20)) == row(20, 20, 20)
    assert suppress(row(9, 0, 0, 0)) == row(9, 0, 0, 0) | {"gold": "<10", "auc": ""}
    assert suppress(row(20, 19.5, 0.5)) == row(20, 19.5, 0.5) | hidden | {"correct": ""}


def test_no_suppressed_count_can_be_computed_from_its_row():
    """Of every row that is written, list all counts that give it. None of its small counts is the same in all."""
    behind = defaultdict(list)
    for gold, predicted in itertools.product(range(45), repeat=2):
        for correct in range(min(gold, predicted) + 1):
            written = tuple(suppress(row(gold, predicted, correct)).items())
            behind[written].append((gold, predicted, correct, gold - correct, predicted - correct))
    assert len(behind) > 1000
    for written, possible in behind.items():
        for values in map(set, zip(*possible, strict=True)):
            assert len(values) > 1 or not 0 < min(values) < 10, (written, possible)
            # Nor is it known to within a few: as many values remain as the small ones, but for what the sums rule out.
            assert len(values) >= 8 or not 0 < min(values) < 10, (written, possible)


def test_suppression_hides_nothing_else():
    for gold, predicted, correct in ((0, 0, 0), (0, 25, 0), (25, 0, 0), (30, 40, 20), (10, 10, 10)):
        assert suppress(row(gold, predicted, correct)) == row(gold, predicted, correct)


def test_a_head_without_a_document_in_test_has_rows_of_zeros():
    for row in table(predictions(SCORES[:0], GOLD[:0]), restricted=True):
        assert (row["gold"], row["predicted"], row["f1"], row["auc"], row["confusions"]) == (0, 0, 0, None, "")
