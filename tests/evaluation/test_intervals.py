"""Intervals agree with a loop that calls the metrics on resampled documents, for every definition and with ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from medcode import config
from medcode.config import Evaluation
from medcode.evaluation import bootstrap, intervals, ranking
from medcode.evaluation.intervals import SEED, Intervals, auc_macro, resampled, share_lacking
from medcode.evaluation.measurement import Predictions
from medcode.evaluation.summary import head_metrics

DOCUMENTS, LABELS, RESAMPLES = 60, 12, 230  # more than a block of resamples


class Section(config.Section):
    label_set: config.LabelSet
    evaluation: Evaluation


@pytest.fixture(scope="module")
def options(root) -> Evaluation:
    return config.load(Section, root / "params.yaml").evaluation.model_copy(update={"at": [3, 5, 100]})


def predictions(seed: int = 1, documents: int = DOCUMENTS) -> Predictions:
    """Return predictions with equal scores, a label without gold, and documents without gold."""
    gold = (np.random.default_rng(0).random((documents, LABELS)) < 0.3).astype(np.uint8)
    gold[:, 4], gold[:5] = 0, 0
    scores = 0.4 * gold + 0.6 * np.random.default_rng(seed).random(gold.shape)
    labels = [{"system": "s", "code": str(number)} for number in range(LABELS)]
    names = [str(number) for number in range(documents)]
    return Predictions(
        names, labels, sparse.csr_matrix(gold), scores.round(1).astype(np.float32), np.ones(LABELS), 0.5, 0.37
    )


def resampled_documents(weights: np.ndarray) -> list[np.ndarray]:
    return [np.repeat(np.arange(len(row)), row.astype(int)) for row in weights]


def naive(one: Predictions, options: Evaluation) -> dict[str, np.ndarray]:
    """Return the metrics of the resampled documents one by one, with those labels measured that test itself has."""
    (weights,) = [np.concatenate(list(bootstrap.document_weights(len(one.documents), RESAMPLES, SEED)))]
    gold = sparse.csr_array(one.gold)
    labels = np.arange(LABELS) if options.labels == "all" else np.unique(gold.indices)
    everything = options.model_copy(update={"labels": "all"})
    rows = []
    for documents in resampled_documents(weights):
        area = ranking.auc_macro(ranking.auc_per_label(gold[documents], one.probabilities[documents]))
        if options.labels == "present":
            documents = documents[gold[documents].sum(1) > 0]
        of_labels = gold[documents][:, labels], one.probabilities[documents][:, labels]
        metrics = head_metrics(*of_labels, one.train_counts[labels], one.tuned_threshold, everything)
        rows.append({
            **{f"{at}.f1.{average}": metrics[at]["f1"][average] for at in ("fixed", "tuned") for average in
               ("micro", "macro")},
            **{f"ranking.{key}": metrics["ranking"][key] for key in ("precision_at_3", "precision_at_5", "map")},
            "auc.macro": area,
        })  # fmt: skip
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("labels", ["all", "present"])
@pytest.mark.parametrize("definition", ["caml", "per_label_all", "per_label_present"])
def test_intervals_are_those_of_a_loop_over_resampled_documents(options, labels, definition):
    options = options.model_copy(update={"labels": labels, "macro_f1": definition})
    seeds = [predictions(1), predictions(2)]
    found = Intervals(options, RESAMPLES)
    for one in seeds:
        found.add({"icd": one})
    expected = [naive(one, options) for one in seeds]
    for one, loop in zip(seeds, expected, strict=True):
        values = resampled(one, options, RESAMPLES)
        assert values.keys() == loop.keys()
        for name in loop:
            np.testing.assert_allclose(values[name], loop[name], rtol=1e-12, atol=1e-12, err_msg=name)
    (of_head,) = found.values().values()
    for name, ends in of_head.items():
        means = np.mean([loop[name] for loop in expected], axis=0)
        assert ends == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=1e-12)
        assert ends[0] < means.mean() < ends[1]


def test_a_resample_that_is_test_itself_has_the_metrics_of_test(options, monkeypatch):
    one = predictions()
    monkeypatch.setattr(bootstrap, "document_weights", lambda n, *_: [np.ones((1, n))])
    metrics = head_metrics(one.gold, one.probabilities, one.train_counts, one.tuned_threshold, options)
    for path, (value,) in resampled(one, options).items():
        section, *keys = path.split(".")
        expected = metrics[section]
        for key in keys:
            expected = expected[key]
        assert value == pytest.approx(expected, abs=1e-12), path


def test_there_is_no_interval_of_auc_where_it_would_take_long(options, monkeypatch):
    monkeypatch.setattr(intervals, "AUC_LIMIT", DOCUMENTS * LABELS * RESAMPLES - 1)
    assert "auc.macro" not in resampled(predictions(), options, RESAMPLES)


def test_there_is_no_interval_of_macro_f1_where_resamples_lack_codes(options):
    one = predictions()
    rare = one.gold.toarray()
    rare[:, :4] = 0
    rare[[20, 30, 40, 50], [0, 1, 2, 3]] = 1
    assert share_lacking(sparse.csr_array(rare)) == pytest.approx(4 / 11 * (59 / 60) ** 60, abs=1e-3)
    one = Predictions(**vars(one) | {"gold": sparse.csr_matrix(rare)})
    for definition, has_interval in (("caml", False), ("per_label_all", False), ("per_label_present", True)):
        found = resampled(one, options.model_copy(update={"macro_f1": definition}), 10)
        assert ("fixed.f1.macro" in found) == ("tuned.f1.macro" in found) == has_interval
        assert "fixed.f1.micro" in found


def test_auc_is_undefined_where_a_resample_has_one_class():
    gold = sparse.csr_array(np.array([[1], [0], [0]], np.uint8))
    scores = np.array([[0.9], [0.1], [0.2]], np.float32)
    weights = np.array([[1.0, 1, 1], [0, 2, 1], [3, 0, 0]])
    np.testing.assert_array_equal(auc_macro(gold, scores, weights), [1, np.nan, np.nan])


def test_the_same_predictions_give_the_same_intervals(options):
    first, second = Intervals(options, 50), Intervals(options, 50)
    for found in (first, second):
        found.add({"icd": predictions(), "ccs": predictions(3, 40)})
    assert first.values() == second.values() and list(first.values()) == ["icd", "ccs"]


@pytest.mark.parametrize("labels", ["all", "present"])
@pytest.mark.parametrize("documents", [0, DOCUMENTS])
def test_without_a_gold_code_there_is_no_interval(options, labels, documents):
    one = predictions()
    gold = sparse.csr_matrix((documents, LABELS), dtype=np.uint8)
    without = Predictions(**vars(one) | {"gold": gold, "probabilities": one.probabilities[:documents]})
    found = Intervals(options.model_copy(update={"labels": labels}), 50)
    found.add({"icd": without})
    assert found.values() == {"icd": {}}
