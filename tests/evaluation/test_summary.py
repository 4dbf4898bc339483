"""The metrics of one head, as in metrics/test.json and on dev."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from medcode.config import Evaluation
from medcode.errors import UserError
from medcode.evaluation import metrics, monitor, ranking, summary
from medcode.evaluation.thresholds import tune_threshold

OPTIONS = Evaluation(
    macro_f1="per_label_present", fixed_threshold=0.5, threshold_grid=100, at=[2, 5, 15], frequency_bins=[10],
    batch_size=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(1)
    gold = (random.random((60, 12)) < 0.2 / np.arange(1, 13) ** 0.5).astype(np.uint8)
    gold[3] = gold[:, 11] = 0
    scores = np.clip(random.normal(0.2 + 0.25 * gold, 0.15), 0, 1).astype(np.float32)
    return gold, scores


def test_summary_is_complete_and_nested(problem):
    gold, scores = problem
    tuned = tune_threshold(gold, scores, 100)
    values = summary.head_metrics(gold, scores, np.arange(12), tuned, OPTIONS)
    assert list(values) == ["auc", "ranking", "fixed", "tuned", "counts"]
    assert list(values["auc"]) == ["macro", "micro"]
    # 15 is more than there are labels.
    assert list(values["ranking"]) == [
        "precision_at_2", "precision_at_5", "recall_at_2", "recall_at_5", "r_precision", "map",
    ]  # fmt: skip
    for name, threshold in (("fixed", 0.5), ("tuned", tuned)):
        part, predicted = values[name], scores > threshold
        assert part["threshold"] == threshold
        assert part["f1"]["micro"] == pytest.approx(f1_score(gold, predicted, average="micro"))
        assert part["f1"]["macro"] == part["macro_f1"]["per_label_present"]
        assert part["predicted_per_document"] == pytest.approx(predicted.sum() / 60)
    assert values["tuned"]["f1"]["micro"] > values["fixed"]["f1"]["micro"]
    counts = values["counts"]
    assert counts["labels_in_gold"] == counts["labels_with_auc"] == 11
    assert counts["gold"] == gold.sum()
    assert counts["documents_without_gold"] == (~gold.any(axis=1)).sum()
    assert counts["labels_not_in_training"] == 1
    assert json.loads(json.dumps(values)) == values


def test_a_head_without_a_right_code_at_the_fixed_threshold_gets_a_note(problem):
    gold, scores = problem
    low = summary.head_metrics(gold, scores / 10, np.ones(12), 0.04, OPTIONS)
    (line,) = summary.zero_notes({"icd": low, "ccs": summary.head_metrics(gold, scores, np.ones(12), 0.5, OPTIONS)})
    assert line.startswith("note: icd: micro F1 is 0 at the threshold 0.5, and 0.") and "recipe" in line


def test_a_tuned_threshold_of_zero_gets_a_warning(problem):
    gold, scores = problem
    zero = summary.head_metrics(gold, scores, np.ones(12), 0.0, OPTIONS)
    good = summary.head_metrics(gold, scores, np.ones(12), 0.3, OPTIONS)
    assert summary.threshold_notes({"1": {"icd": good}}) == []
    (line,) = summary.threshold_notes({"1": {"icd": zero, "ccs": good}})
    assert line.startswith("WARNING: icd: tuned: the threshold tuned on dev is 0, so every code is predicted")
    official = good | {"official": {"threshold": 0.0}}
    lines = summary.threshold_notes({"1": {"icd": good}, "2": {"icd": zero}, "3": {"icd": official}})
    assert [line.split(": the")[0] for line in lines] == [
        "WARNING: icd, seed 2: tuned",
        "WARNING: icd, seed 3: official",
    ]


def test_undefined_metrics_are_nan():
    values = summary.head_metrics(np.ones((2, 3)), np.ones((2, 3), np.float32), np.ones(3), 0.5, OPTIONS)
    assert math.isnan(values["auc"]["macro"]) and math.isnan(values["auc"]["micro"])


def test_metrics_of_dev_agree_with_the_summary(problem):
    gold, scores = problem
    names = [name for name, metric in monitor.MONITORS.items() if metric.labels <= 12]
    # precision_at_15 and the mean of seven need more labels than there are.
    assert set(monitor.MONITORS) - set(names) == {"precision_at_15", "mean_of_seven"}
    values = monitor.dev_metrics(gold, scores, names)
    assert list(values) == names
    test_values = summary.head_metrics(gold, scores, np.ones(12), 0.5, OPTIONS)
    assert values["f1_macro"] == test_values["fixed"]["macro_f1"]["caml"]
    assert values["f1_micro"] == test_values["fixed"]["f1"]["micro"]
    assert values["auc_macro"] == test_values["auc"]["macro"] and values["auc_micro"] == test_values["auc"]["micro"]
    assert values["precision_at_5"] == test_values["ranking"]["precision_at_5"]
    assert (
        values["map"] == test_values["ranking"]["map"]
        and values["r_precision"] == test_values["ranking"]["r_precision"]
    )
    other = monitor.dev_metrics(gold, scores, ["f1_macro"], macro_f1="per_label_all")
    assert other["f1_macro"] == test_values["fixed"]["macro_f1"]["per_label_all"]


def test_only_the_requested_metrics_are_computed(problem, monkeypatch):
    calls = []
    for name in ("counts", "gold_ranks", "auc_per_label", "auc_micro"):
        module = metrics if name == "counts" else ranking
        true = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, true=true, name=name: calls.append(name) or true(*a))
    monitor.dev_metrics(*problem, names=["precision_at_5", "map"])
    assert calls == ["gold_ranks"]
    calls.clear()
    monitor.dev_metrics(*problem, names=["f1_micro", "f1_macro"])
    assert calls == ["counts"]


@pytest.mark.parametrize(
    ("name", "message"), [("f1_mico", "did you mean 'f1_micro'"), ("precision_at_15", "only 12 labels")]
)
def test_unknown_metric_names_raise_a_user_error(problem, name, message):
    with pytest.raises(UserError, match=message):
        monitor.dev_metrics(*problem, names=[name])


def test_the_mean_of_seven_matches_jams():
    random = np.random.default_rng(2)
    gold = (random.random((40, 20)) < 0.2).astype(np.uint8)
    gold[:, 19] = 0  # present in no document: it does not count
    scores = np.clip(random.normal(0.1 + 0.8 * gold, 0.2), 0, 1).astype(np.float32)
    test_values = summary.head_metrics(gold, scores, np.ones(20), 0.5, OPTIONS.model_copy(update={"at": [8, 15]}))
    fixed, ranks = test_values["fixed"], test_values["ranking"]
    expected = np.mean(
        [fixed["macro_f1"]["per_label_present"], fixed["f1"]["micro"], fixed["exact_match"], ranks["precision_at_8"],
         ranks["precision_at_15"], ranks["r_precision"], ranks["map"]]
    )  # fmt: skip
    assert fixed["exact_match"] > 0
    # The headline macro F1 is another; the mean does not follow it.
    values = monitor.dev_metrics(gold, scores, ["f1_macro", "mean_of_seven"], "caml")
    assert values["f1_macro"] == fixed["macro_f1"]["caml"]
    assert values["mean_of_seven"] == pytest.approx(expected)
    with pytest.raises(UserError, match="there are only 14 labels"):
        monitor.dev_metrics(gold[:, :14], scores[:, :14], ["mean_of_seven"])
