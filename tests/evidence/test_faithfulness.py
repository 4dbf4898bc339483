"""Comprehensiveness and sufficiency: by hand, with weights that are right, equal or random, and of sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import HEADS, build, every_model, notes

from medcode.evidence.attributions import attribute, default_method
from medcode.evidence.faithfulness import decile_sizes, faithfulness
from medcode.evidence.hiding import hidden_logits
from medcode.models.base import Model

TOKENS = np.array([1, 2, 3, 4, 5], np.int32)
WORTH = np.array([0.0, 3.0, -1.0, 2.0, 0.5, 0.0])  # of each word for label 0, in the logit
BIAS = -1.0


def whole_note(n: int) -> np.ndarray:
    return np.array([[0, n]])


def summing() -> Model:
    """Return a model whose logit of label 0 is `BIAS` and five times the mean `WORTH` of all words.

    That of label 1 is the negative of the latter. It is CAML with a window of one word, whose labels attend to all
    words alike, so in a note of five words both are sums.
    """
    model = build("caml", heads={"icd": 2, "category": 1}, filters=1, kernel=1)
    with torch.no_grad():
        table = model.embedding.table.weight
        table.zero_()
        small = 1e-3  # where the hyperbolic tangent of the convolution is a straight line
        table[1 : len(WORTH), 0] = torch.from_numpy(WORTH[1:]).float() * small
        for parameter in model.convolution.parameters():
            parameter.zero_()
        next(p for p in model.convolution.parameters() if p.dim() == 3)[0, 0] = 1
        attention = model.attention["icd"]
        attention.queries.weight.zero_()
        attention.output.weight.copy_(torch.tensor([[5 / small], [-5 / small]]))
        attention.output.bias.copy_(torch.tensor([BIAS, 0.0]))
    return model


def probability(words: list[int], label: int = 0) -> float:
    total = WORTH[words].sum() + BIAS if label == 0 else -WORTH[words].sum()
    return 1 / (1 + np.exp(-total))


def test_measures_of_a_sum_by_hand():
    model = summing()
    whole = hidden_logits(model, torch.from_numpy(TOKENS).long(), "icd", torch.tensor([0, 1]), torch.zeros(1, 5) > 0)
    np.testing.assert_allclose(whole, [[3.5, -4.5]], rtol=1e-4)
    # The order of label 0 is words 1, 3, 4, 2, 5; of label 1, whose weights are equal, that of the note.
    weights = np.array([[5, -1, 3, 0, -2], [2, 2, 2, 2, 2]])
    found = faithfulness(model, TOKENS, whole_note(5), "icd", np.array([0, 1]), weights, np.array([1, 3]))
    p = probability([1, 2, 3, 4, 5])
    without, alone = [probability([2, 3, 4, 5]), probability([2, 5])], [probability([1]), probability([1, 3, 4])]
    expected = np.mean([(p - q) / p for q in without]), np.mean([max(0, p - q) / p for q in alone])
    np.testing.assert_allclose([x[0] for x in found.values()], expected, rtol=1e-3)
    p = probability([1, 2, 3, 4, 5], 1)
    without, alone = (
        [probability([2, 3, 4, 5], 1), probability([4, 5], 1)],
        [probability([1], 1), probability([1, 2, 3], 1)],
    )
    expected = np.mean([(p - q) / p for q in without]), np.mean([max(0, p - q) / p for q in alone])
    np.testing.assert_allclose([x[1] for x in found.values()], expected, rtol=1e-3)
    assert list(found) == ["comprehensiveness", "sufficiency"] and found["sufficiency"].dtype == np.float64


def test_tenths_of_a_note_are_rounded_up():
    assert decile_sizes(10).tolist() == list(range(1, 10))
    assert decile_sizes(1).tolist() == [1] * 9
    assert decile_sizes(7).tolist() == [1, 2, 3, 3, 4, 5, 5, 6, 7]
    for n in range(1, 300):
        assert decile_sizes(n).tolist() == [-(-n * tenth // 10) for tenth in range(1, 10)]


def test_without_sizes_they_are_tenths_of_the_note():
    model, tokens = summing(), np.array([1, 2, 3, 4, 5] * 4, np.int32)
    weights = np.random.default_rng(0).normal(size=(1, 20))
    arguments = model, tokens, whole_note(20), "icd", np.array([0]), weights
    given_sizes = faithfulness(*arguments, np.array([2, 4, 6, 8, 10, 12, 14, 16, 18]))
    assert faithfulness(*arguments) == given_sizes


@pytest.mark.parametrize("n", [130, 41])
def test_with_the_steps_of_the_authors_code_the_numbers_are_theirs(n):
    """That takes away the first 0, 2, ..., 98 words; and of the last 100 the first 0, 2, ..., 98 in ascending order."""
    model, (tokens, _) = build("caml"), notes([n])
    weights, labels = np.random.default_rng(n).random((2, n)), np.array([3, 1])
    arguments = model, tokens[0].numpy(), whole_note(n), "icd", labels, weights
    taken = np.arange(0, 100, 2)
    kept = n - np.minimum(max(n - 100, 0) + taken, n)
    found = {
        "comprehensiveness": faithfulness(*arguments, taken)["comprehensiveness"],
        "sufficiency": faithfulness(*arguments, kept)["sufficiency"],
    }
    for row, label in enumerate(labels):
        ascending = np.argsort(weights[row])

        def p(hidden: np.ndarray, label: int = label) -> float:
            way = torch.from_numpy(np.isin(np.arange(n), hidden))[None]
            return float(hidden_logits(model, tokens[0], "icd", torch.tensor([label]), way).sigmoid())

        whole = p(np.zeros(0))
        drops = [whole - p(ascending[::-1][:k]) for k in range(0, 100, 2)]
        assert found["comprehensiveness"][row] == pytest.approx(np.mean(drops) / whole, abs=1e-5)
        drops = [whole - p(ascending[: max(n - 100, 0) + k]) for k in range(0, 100, 2)]
        assert found["sufficiency"][row] == pytest.approx(np.mean(np.clip(drops, 0, 100)) / whole, abs=1e-5)


# Untrained, it tells labels so little apart that on one note alone its weights may happen to be the worse ones.
BETTER_IN_THE_MEAN = {"gki_icd"}


@every_model
def test_weights_of_the_models_own_method_are_better_than_random_ones(name):
    model, labels, gains = build(name), np.arange(HEADS["icd"]), []
    for note in range(1, 5):
        tokens, lengths = notes([40], seed=note)
        own = attribute(model, tokens, lengths, "icd", torch.from_numpy(labels), default_method(model))[0].numpy()
        arguments = model, tokens[0].numpy(), whole_note(40), "icd", labels
        random = [faithfulness(*arguments, np.random.default_rng(seed).random(own.shape)) for seed in range(3)]
        found = faithfulness(*arguments, own)
        assert all(values.shape == (7,) and np.isfinite(values).all() for values in found.values())
        assert (found["sufficiency"] >= 0).all() and (found["comprehensiveness"] <= 1).all()
        floor = np.mean([of_seed["comprehensiveness"] for of_seed in random])
        gains.append(found["comprehensiveness"].mean() - floor)
    assert (np.mean(gains) if name in BETTER_IN_THE_MEAN else min(gains)) > 0


def test_exact_weights_of_a_linear_model_are_better_than_random_ones_by_both_measures():
    model, (tokens, lengths) = build("linear"), notes([60])
    labels = np.arange(HEADS["icd"])
    own = attribute(model, tokens, lengths, "icd", torch.from_numpy(labels), "exact")[0].numpy()
    arguments = model, tokens[0].numpy(), whole_note(60), "icd", labels
    found = faithfulness(*arguments, own)
    for seed in range(5):
        random = faithfulness(*arguments, np.random.default_rng(seed).random(own.shape))
        assert (found["comprehensiveness"] > random["comprehensiveness"]).all()
        assert (found["sufficiency"] <= random["sufficiency"]).all()
        assert found["sufficiency"].mean() < random["sufficiency"].mean()


def test_another_sentence_takes_over_when_the_best_is_hidden():
    model = summing()
    # Two sentences of five words. The first has logit 14, the second 9; the floor of an empty one is -1.
    tokens = np.array([1, 1, 1, 1, 1, 3, 3, 3, 3, 3], np.int32)
    slices, label = np.array([[0, 5], [5, 5], [5, 10]]), np.array([0])
    of_first = np.array([[1.0] * 5 + [0.0] * 5])
    found = faithfulness(model, tokens, slices, "icd", label, of_first, np.array([5]))
    p, second = 1 / (1 + np.exp(-14)), 1 / (1 + np.exp(-9))
    assert found["comprehensiveness"][0] == pytest.approx((p - second) / p, abs=1e-6)
    assert found["sufficiency"][0] == pytest.approx(0, abs=1e-6)
    of_second = of_first[:, ::-1]
    found = faithfulness(model, tokens, slices, "icd", label, of_second, np.array([5]))
    assert found["comprehensiveness"][0] == pytest.approx(0, abs=1e-6)
    assert found["sufficiency"][0] == pytest.approx((p - second) / p, abs=1e-6)
    everything = faithfulness(model, tokens, slices, "icd", label, of_first, np.array([10]))
    assert everything["comprehensiveness"][0] == pytest.approx((p - probability([])) / p, rel=1e-3)


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_sufficiency_is_never_negative_and_comprehensiveness_never_above_one(seed, n):
    random = np.random.default_rng(seed)
    tokens = random.integers(1, 6, n).astype(np.int32)
    found = faithfulness(MODEL, tokens, whole_note(n), "icd", np.array([1, 0, 1]), random.normal(size=(3, n)))
    assert (found["sufficiency"] >= 0).all() and (found["sufficiency"] <= 1).all()
    assert (found["comprehensiveness"] <= 1).all()


MODEL = summing()


@every_model
def test_a_note_of_one_token(name):
    model, (tokens, _) = build(name), notes([1])
    found = faithfulness(model, tokens[0].numpy(), whole_note(1), "icd", np.array([2, 5]), np.ones((2, 1)))
    ways, labels = torch.tensor([[False], [True]]), torch.tensor([2, 5])
    whole, empty = hidden_logits(model, tokens[0], "icd", labels, ways).double().sigmoid().numpy()
    np.testing.assert_allclose(found["comprehensiveness"], (whole - empty) / whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["sufficiency"], 0, atol=1e-6)
