"""Several models measured as one: the mean of their probabilities, with a threshold of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import trainers
from scipy import sparse

from medcode.config import Evaluation, Scoring
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.evaluation.ensemble import Ensemble
from medcode.evaluation.measurement import Measurements, measure
from medcode.evaluation.thresholds import tune_threshold
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import MeanProbabilities, probabilities, score

OPTIONS = Evaluation(
    macro_f1="caml", fixed_threshold=0.5, threshold_grid=11, at=[1], frequency_bins=[10], batch_size=4
)  # fmt: skip
# Every gold code of the corpus, one outside the label set.
CODES = pd.DataFrame({"admission_id": ["a0", "b0", "b1"], "system": "icd9cm", "code": ["100", "101", "999"]})
MACHINE = Scoring(device="cpu", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def data(tiny_inputs) -> Inputs:
    splits = {"dev": tiny_inputs.splits["dev"], "test": tiny_inputs.splits["train"].first(20)}
    return replace(tiny_inputs, splits=splits, linked={"icd": np.zeros(6, bool)})


@pytest.fixture(scope="module")
def trained(data, recipe) -> list[TrainedModel]:
    """Two untrained models with different weights."""
    model = trainers.build(data, recipe)
    other = trainers.build(data, recipe)
    with torch.no_grad():
        for weights in other.parameters():
            weights.add_(torch.randn_like(weights))
    return [TrainedModel("caml", one, [], data.labels, {}, 50, "caml", "full") for one in (model, other)]


def measured(trained: TrainedModel, data: Inputs) -> Measurements:
    return measure(OPTIONS, MACHINE, CODES, trained, data)


@pytest.mark.parametrize("models", [1, 3, 7])
def test_an_ensemble_of_identical_models_has_their_metrics(trained, data, models):
    one, ensemble = measured(trained[0], data), Ensemble()
    for _ in range(models):
        ensemble.add(one.probabilities)
    assert ensemble.of_split["test"].models == models
    assert ensemble.metrics(OPTIONS, CODES, data) == one.metrics


def test_an_ensemble_is_measured_on_the_mean_of_the_probabilities(trained, data):
    ensemble = Ensemble()
    for model in trained:
        ensemble.add(measured(model, data).probabilities)
    means = {
        name: np.mean(
            [probabilities(score(one.model, data.tokens, split.offsets, 50, 4, "fp32")["icd"]) for one in trained], 0
        )
        for name, split in data.splits.items()
    }
    metrics, gold = ensemble.metrics(OPTIONS, CODES, data)["icd"], data.splits["test"].targets["icd"].matrix.toarray()
    threshold = tune_threshold(data.splits["dev"].targets["icd"].matrix, means["dev"], 11)
    assert metrics["tuned"]["threshold"] == threshold
    predicted = means["test"] > np.float32(threshold)
    expected = 2 * (predicted & (gold == 1)).sum() / (predicted.sum() + gold.sum())
    assert metrics["tuned"]["f1"]["micro"] == pytest.approx(expected)
    assert metrics["official"]["documents"] == 20
    for one in trained:
        assert metrics["auc"] != measured(one, data).metrics["icd"]["auc"]


def by_hand(gold: dict[str, list[list[int]]]) -> Inputs:
    """Return inputs with two labels and the gold labels of dev and test."""
    splits = {
        name: Split(
            ["a", "b"],
            np.zeros((2, 2), np.int64),
            {"icd": Targets(sparse.csr_matrix(np.array(rows, np.uint8)), np.ones(2, bool))},
        )
        for name, rows in gold.items()
    }
    labels = {"icd": [{"system": "icd9cm", "code": str(y), "train_documents": 5} for y in range(2)]}
    return Inputs(np.zeros(0, np.int32), [], np.zeros((2, 2), np.float32), labels, "caml", splits)


def predicting(dev: list[list[float]], test: list[list[float]]) -> Measurements:
    of_split = {"dev": {"icd": np.array(dev, np.float32)}, "test": {"icd": np.array(test, np.float32)}}
    return Measurements({}, [], [], [], {}, of_split)


def test_the_threshold_is_tuned_with_the_mean():
    data, ensemble = by_hand({"dev": [[1, 0], [0, 1]], "test": [[0, 1], [1, 1]]}), Ensemble()
    # On dev no threshold separates either model's probabilities; the means are 0.7 0.1 and 0.38 0.5.
    ensemble.add(predicting([[0.9, 0.2], [0.55, 0.3]], [[0.1, 0.64], [0.9, 0.2]]).probabilities)
    ensemble.add(predicting([[0.5, 0.0], [0.21, 0.7]], [[0.3, 0.2], [0.3, 0.76]]).probabilities)
    metrics = ensemble.metrics(OPTIONS, None, data)["icd"]
    assert metrics["tuned"]["threshold"] == pytest.approx(0.4)
    # On test the means are 0.2 0.42 and 0.6 0.48.
    assert metrics["tuned"]["f1"]["micro"] == 1
    assert metrics["fixed"]["f1"]["micro"] == pytest.approx(2 / (1 + 3))
    assert metrics["tuned"]["predicted_per_document"] == 1.5


def test_a_mean_of_equal_probabilities_is_exact_and_any_mean_is_a_probability():
    random = np.random.default_rng(0)
    values, mean = random.random((50, 4), dtype=np.float32), MeanProbabilities()
    for _ in range(9):
        mean.add({"icd": values})
    assert np.array_equal(mean.values["icd"], values)
    added, mean = [random.choice(np.float32([0, 1, 1 - 2**-24, 0.3]), 1_000) for _ in range(5)], MeanProbabilities()
    for one in added:
        mean.add({"icd": one})
    assert np.allclose(mean.values["icd"], np.mean(np.float64(added), axis=0), rtol=1e-6)
    assert mean.values["icd"].min() >= 0 and mean.values["icd"].max() <= 1


def test_adding_leaves_the_probabilities_of_a_model_unchanged():
    first, mean = np.float32([0.2, 0.4]), MeanProbabilities()
    mean.add({"icd": first})
    mean.add({"icd": np.float32([0.4, 0.8])})
    assert first.tolist() == np.float32([0.2, 0.4]).tolist()
    assert mean.values["icd"] == pytest.approx([0.3, 0.6])
