from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from small_models import HEADS, ROWS, build, notes, options, settings, train_documents

from medcode.dataset.arrays import Targets
from medcode.engine.device_data import DeviceNotes
from medcode.models.inputs import ModelInputs
from medcode.models.linear import Linear, fit_label


def targets(gold: np.ndarray, is_coded: np.ndarray | None = None) -> Targets:
    coded = np.ones(len(gold), bool) if is_coded is None else is_coded
    return Targets(sparse.csr_matrix(gold.astype(np.uint8)), coded)


def of(documents: list[list[int]]) -> DeviceNotes:
    ends = np.cumsum([len(words) for words in documents])
    offsets = np.stack([np.append(0, ends[:-1]), ends], 1)
    return DeviceNotes(np.concatenate(documents).astype(np.int32), offsets, 100, torch.device("cpu"))


def all_logits(model: Linear, documents: DeviceNotes) -> dict[str, np.ndarray]:
    rows = torch.arange(len(documents))
    logits = model(*documents.gather(rows, int(documents.lengths.max())))
    return {head: values.detach().numpy() for head, values in logits.items()}


@pytest.fixture
def gold() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {head: random.random((40, labels)) < 0.4 for head, labels in HEADS.items()}


def test_logits_of_two_notes_by_hand():
    """With notes [1] and [2, 2], each twice, the features are the words 1 and 2 and the pair (2, 2)."""
    inputs = ModelInputs(heads={"icd": 2}, vocab_size=5, train_documents=of([[1], [1], [2, 2], [2, 2]]))
    model = Linear(options("linear"), inputs).eval()
    assert model.rebuild_metadata() == {"features": 3}
    layer = model.output["icd"]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]))
        layer.bias.copy_(torch.tensor([0.5, -0.5]))
    twice = 1 + math.log(2)  # the idf of every feature is the same, and cancels
    norm = math.sqrt(1 + twice**2 + 1)
    product = (1 * 1 + twice * 2 + 1 * 4) / norm
    logits = model(torch.tensor([[1, 3, 0], [1, 2, 2]]), torch.tensor([2, 3]))["icd"]
    torch.testing.assert_close(logits, torch.tensor([[1.5, 9.5], [product + 0.5, 10 * product - 0.5]]))
    torch.testing.assert_close(model(torch.tensor([[3], [0]]), torch.tensor([1, 0]))["icd"], layer.bias.expand(2, 2))


@pytest.mark.parametrize("cost", [0.3, 1.0])
def test_decision_values_equal_those_of_scikit_learn(gold, cost):
    documents, model = train_documents(), build("linear", cost=cost)
    model.fit(documents, {head: targets(labels) for head, labels in gold.items()})
    features, logits = model._matrix(documents), all_logits(model, documents)
    for head, labels in gold.items():
        oracle = OneVsRestClassifier(LinearSVC(C=cost, random_state=0)).fit(features, labels.astype(int))
        np.testing.assert_allclose(logits[head], oracle.decision_function(features), atol=1e-5)


def test_rows_follow_the_order_of_the_documents():
    documents = of([[1], [1, 2, 3, 4, 1, 1], [2, 3], [], [1, 2, 3, 4]])
    model = Linear(options("linear"), ModelInputs(heads={"icd": 1}, vocab_size=5, train_documents=documents))
    numbers = model._matrix(documents)
    for row in range(len(documents)):
        length = int(documents.lengths[row])
        alone = model.tfidf(*documents.gather(torch.tensor([row]), max(1, length)))
        assert numbers[row].indices.tolist() == alone.numbers.tolist()
        np.testing.assert_array_equal(numbers[row].data, alone.values.double())


def test_a_label_of_all_or_no_documents_has_its_log_odds_as_bias(gold):
    gold["icd"][:, 0], gold["icd"][:, 1] = True, False
    model = build("linear")
    model.fit(train_documents(), {head: targets(labels) for head, labels in gold.items()})
    layer = model.output["icd"]
    assert (layer.weight[:, :2] == 0).all() and (layer.weight[:, 2:] != 0).any(0).all()
    expected = [math.log(40.5 / 0.5), math.log(0.5 / 40.5)]
    torch.testing.assert_close(layer.bias[:2], torch.tensor(expected, dtype=torch.float32))


def test_documents_that_are_not_coded_are_left_out_for_their_head(gold):
    coded = np.arange(40) % 4 > 0
    models = []
    for noise in (False, True):  # the labels of such a document have no meaning
        labels = gold["icd"] | (noise & ~coded)[:, None]
        model = build("linear")
        model.fit(train_documents(), {"icd": targets(labels, coded), "category": targets(gold["category"])})
        models.append(model.output["icd"])
    torch.testing.assert_close(models[0].weight, models[1].weight, rtol=0, atol=0)
    matrix = build("linear")._matrix(train_documents())[coded]
    weights, bias = fit_label(matrix, gold["icd"][coded, 0].astype(float), model.config.cost)
    np.testing.assert_allclose(models[0].weight[:, 0].detach(), weights, rtol=1e-6, atol=1e-7)
    assert models[0].bias[0].item() == pytest.approx(bias)


def test_two_fits_give_the_same_bits(gold):
    first, second = build("linear", seed=1), build("linear", seed=2)
    for model in (first, second):
        model.fit(train_documents(), {head: targets(labels) for head, labels in gold.items()})
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_notes_without_any_feature_are_fitted_and_scored():
    documents = of([[1], [2], [3]])
    model = Linear(options("linear"), ModelInputs(heads={"icd": 2}, vocab_size=5, train_documents=documents))
    model.fit(documents, {"icd": targets(np.array([[1, 0], [0, 0], [0, 0]]))})
    expected = [math.log(1.5 / 2.5), math.log(0.5 / 3.5)]
    np.testing.assert_allclose(all_logits(model, documents)["icd"], [expected] * 3, rtol=1e-6)


def test_a_model_without_documents_has_the_most_features_that_it_may_have():
    model = Linear(options("linear", max_features=7), ModelInputs(heads=HEADS, vocab_size=ROWS))
    assert model.features == 7 and model(*notes([5, 0]))["icd"].shape == (2, HEADS["icd"])


def test_all_codes_have_fewer_features_than_fifty():
    fifty, everything = (settings("linear", label_set=name).config.max_features for name in ("top50", "full"))
    assert fifty > everything
