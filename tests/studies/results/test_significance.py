"""Significance tests agree with scipy, scikit-learn and plain counting."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import f1_score

from medcode.evaluation.decisions import Decisions, decide
from medcode.evaluation.measurement import Predictions
from medcode.evaluation.metrics import Counts, f1_macro
from medcode.studies.results import significance

DOCUMENTS, LABELS = 80, 6


def model(seed: int, quality: float) -> tuple[Decisions, np.ndarray, np.ndarray]:
    gold = (np.random.default_rng(0).random((DOCUMENTS, LABELS)) < 0.3).astype(np.uint8)
    noise = np.random.default_rng(seed).random(gold.shape)
    scores = (quality * gold + (1 - quality) * noise).astype(np.float32)
    names = [f"d{number}" for number in range(DOCUMENTS)]
    labels = [{"system": "s", "code": str(number)} for number in range(LABELS)]
    decided = decide(Predictions(names, labels, gold, scores, np.ones(LABELS), 0.5, 0.4))
    return decided, gold, (scores > 0.5).astype(np.uint8)


def test_micro_f1_bootstrap_agrees_with_scikit_learn_and_scipy():
    (one, gold, first), (other, _, second) = model(1, 0.4), model(2, 0.45)
    result = significance.bootstrap([one], [other], "fixed", None, resamples=4000)

    def micro(*columns, axis=-1):
        tp_a, made_a, tp_b, made_b, true = (column.sum(axis) for column in columns)
        return 2 * tp_b / (made_b + true) - 2 * tp_a / (made_a + true)

    data = [(gold * first).sum(1), first.sum(1), (gold * second).sum(1), second.sum(1), gold.sum(1)]
    expected = bootstrap(data, micro, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=3)
    observed = f1_score(gold, second, average="micro") - f1_score(gold, first, average="micro")
    assert result.observed == pytest.approx(observed)
    interval = expected.confidence_interval
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), abs=0.01)


@pytest.mark.parametrize("definition", ["caml", "per_label_all", "per_label_present"])
def test_the_macro_f1_difference_agrees_with_the_metrics(definition):
    (one, gold, first), (other, _, second) = model(1, 0.4), model(2, 0.45)

    def macro(predicted):
        return f1_macro(Counts((gold * predicted).sum(0), predicted.sum(0), gold.sum(0)), definition)

    result = significance.bootstrap([one], [other], "fixed", definition, resamples=50)
    assert result.observed == pytest.approx(macro(second) - macro(first))


def test_seeds_are_averaged_and_equal_models_do_not_differ():
    seeds = [model(seed, 0.4)[0] for seed in (1, 2, 3)]
    same = significance.bootstrap(seeds, seeds, "fixed", None, resamples=200)
    assert (same.observed, same.low, same.high, same.p) == (0, 0, 0, 1)
    better = [model(seed, 0.7)[0] for seed in (4, 5, 6)]
    result = significance.bootstrap(seeds, better, "fixed", "caml", resamples=500)
    assert result.low > 0 and result.p < 0.01
    worse = significance.bootstrap(better, seeds, "fixed", "caml", resamples=500)
    assert worse.observed == pytest.approx(-result.observed)


def test_mcnemar_counts_decisions_that_only_one_row_got_right():
    (one, gold, first), (other, _, second) = model(1, 0.4), model(2, 0.5)
    result = significance.mcnemar([one], [other], "fixed")
    b = int(((first == gold) & (second != gold)).sum())
    c = int(((first != gold) & (second == gold)).sum())
    assert (result.first_right, result.second_right) == (b, c)
    assert result.p == pytest.approx(binomtest(b, b + c).pvalue)
    assert significance.mcnemar([one], [one], "fixed") == significance.Disagreement(0, 0, 1.0)
    thrice = significance.mcnemar([one] * 3, [other] * 3, "fixed")
    assert thrice == result  # more seeds do not pass for more decisions


def test_rows_are_aligned_by_document_and_code():
    run = model(1, 0.4)[0]
    order, labels = np.random.default_rng(9).permutation(DOCUMENTS), np.array([4, 2, 0, 1, 3])
    other = dataclasses.replace(
        run, documents=run.documents[order], codes=run.codes[labels], train_counts=run.train_counts[labels],
        **{name: getattr(run, name)[order][:, labels] for name in ("gold", "fixed", "tuned")},
    )  # fmt: skip
    (first,), (second,) = significance.align([run], [other])
    assert list(first.documents) == list(second.documents) and list(first.codes) == list(second.codes)
    assert len(first.codes) == 5
    np.testing.assert_array_equal(first.fixed.toarray(), second.fixed.toarray())
    with pytest.raises(ValueError, match="in common"):
        significance.align([run], [dataclasses.replace(run, codes=np.array([f"x{n}" for n in range(LABELS)]))])


def test_holm_multiplies_the_smallest_p_and_is_monotonic():
    # Holm 1979 by hand: 4 x 0.01, 3 x 0.02, then 2 x 0.03 = 0.06 and 1 x 0.04, which may not fall below it.
    assert significance.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert significance.holm([0.5, 0.9]) == [1.0, 1.0]
    with_gap = significance.holm([0.01, math.nan])
    assert with_gap[0] == 0.01 and math.isnan(with_gap[1])
