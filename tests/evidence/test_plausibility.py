"""Agreement of weights with marked spans: by hand, and beside a slow program from the definitions of the paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from medcode.evidence.plausibility import MEASURES, THRESHOLDS, Explanation, plausibility, shares, tune


def explanation(weights: list[float], gold: list[int]) -> Explanation:
    marked = np.zeros(len(weights), bool)
    marked[gold] = True
    return Explanation(shares(np.array(weights)), marked)


# Two spans, of tokens 1 and 2, and of token 4; shares 0.1, 0.4, 0.1, 0.4, 0.
FIRST = explanation([1, 4, 1, 4, -9], [1, 2, 4])
# One span, at the end; shares 0.5, 0, 0.5.
SECOND = explanation([2, 0, 2], [2])


def test_measures_by_hand():
    found = plausibility([FIRST, SECOND], 0.2)
    # Above 0.2: tokens 1 and 3 of the first, 0 and 2 of the second; two of these four are gold, of four gold tokens.
    assert found.pop("auprc") == pytest.approx(by_definition([FIRST, SECOND], 0.2)["auprc"])
    assert found == {
        "explanations": 2,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "iou": pytest.approx((1 / 5 + 0) / 2),  # tokens 1, 3 and 0 beside 1, 2 and 4; token 0 beside 2
        "precision_at_1": 0.5,  # token 1, the earlier of two with 0.4, is gold; token 0 is not
        "span_recall": pytest.approx((1 / 2 + 1) / 2),
        "tokens": 2.0,
        "without_tokens": 0.0,
    }
    high = plausibility([FIRST, SECOND], 0.45)
    assert (high["without_tokens"], high["tokens"], high["precision"], high["recall"]) == (0.5, 1.0, 0.5, 0.25)
    assert high["span_recall"] == pytest.approx((0 + 1) / 2)


def test_a_share_equal_to_the_threshold_is_no_evidence():
    assert plausibility([SECOND], 0.5)["without_tokens"] == 1
    assert plausibility([SECOND], 0.0)["tokens"] == 2  # nor is a token without weight at threshold 0


def test_shares_are_of_the_positive_weight():
    found = shares(np.array([[3.0, -5, 1], [-1, -2, -3], [0, 0, 0]], np.float32))
    assert found.dtype == np.float64 and found.tolist() == [[0.75, 0, 0.25], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("weights", [[0, 0, 0], [-1, -2, -3]])
def test_without_positive_weights_there_is_no_evidence(weights):
    found = plausibility([explanation(weights, [1])], 0.0)
    expected = dict.fromkeys(("precision", "recall", "f1", "auprc", "span_recall", "tokens", "iou"), 0.0)
    assert found == {"explanations": 1, **expected, "precision_at_1": 0.0, "without_tokens": 1.0}
    assert tune([explanation(weights, [1])]) == 0


def test_of_equal_shares_the_earlier_tokens_are_the_largest():
    assert plausibility([explanation([1, 1, 1, 1], [0, 1])], 0.1)["iou"] == 1
    assert plausibility([explanation([1, 1, 1, 1], [2, 3])], 0.1)["iou"] == 0
    assert plausibility([explanation([1, 1, 1, 1], [0])], 0.1)["precision_at_1"] == 1


def test_perfect_weights_are_perfect_below_their_shares():
    found = plausibility([explanation([0, 1, 1, 0, 2], [1, 2, 4])] * 2, 0.2)
    assert {found[name] for name in ("precision", "recall", "f1", "iou", "precision_at_1", "span_recall")} == {1.0}


@pytest.mark.parametrize(("explanations", "threshold"), [([], 0.1), ([FIRST], None), ([], None)])
def test_nothing_is_measured_without_explanations_or_without_a_threshold_of_dev(explanations, threshold):
    assert plausibility(explanations, threshold) == {"explanations": len(explanations), **dict.fromkeys(MEASURES)}


def test_the_threshold_is_the_lowest_with_the_best_f1():
    # Shares 0.02, 0.36, 0.62, and the second and third are gold: best from 0.02 on, up to 0.36.
    assert tune([explanation([1, 18, 31], [1, 2])]) == pytest.approx(0.02)
    assert tune([explanation([1, 18, 31], [2])]) == pytest.approx(0.36)
    assert tune([explanation([1, 18, 31], [0, 1, 2])]) == 0
    assert (np.diff(THRESHOLDS) > 0).all() and THRESHOLDS[0] == 0 and THRESHOLDS[-1] < 1
    assert set(np.round(np.linspace(0, 0.1, 101), 9)) <= set(np.round(THRESHOLDS, 9))  # those of the authors


def pooled(explanations: list[Explanation], limit: float) -> tuple[float, float, float]:
    """Count tokens above a threshold, and return precision, recall and F1."""
    chosen = hits = gold = 0
    for of_code in explanations:
        for share, marked in zip(of_code.shares.tolist(), of_code.gold.tolist(), strict=True):
            chosen, gold, hits = chosen + (share > limit), gold + marked, hits + (share > limit and marked)
    precision, recall = (hits / chosen if chosen else 0.0), hits / gold
    return precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0


def by_definition(explanations: list[Explanation], threshold: float) -> dict[str, float]:
    """Compute the measures token by token."""
    curve = [pooled(explanations, limit) for limit in np.linspace(0, 1, 101)]
    precision, recall, f1 = pooled(explanations, threshold)
    ious, firsts, spans, sizes = [], [], [], []
    for share, marked in explanations:
        ranked = sorted(range(len(share)), key=lambda token, share=share: (-share[token], token))
        gold = {token for token in range(len(share)) if marked[token]}
        best = set(ranked[: len(gold)])
        ious.append(len(best & gold) / len(best | gold))
        firsts.append(ranked[0] in gold)
        chosen = {token for token in range(len(share)) if share[token] > threshold}
        runs, place = [], 0
        for is_gold, run in itertools.groupby(marked):
            tokens = set(range(place, place := place + len(list(run))))
            runs += [tokens] if is_gold else []
        spans.append(sum(bool(run & chosen) for run in runs) / len(runs))
        sizes.append(len(chosen))
    return {
        "explanations": len(explanations),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auprc": float(auc([row[1] for row in curve], [row[0] for row in curve])),
        "iou": math.fsum(ious) / len(ious),
        "precision_at_1": sum(firsts) / len(firsts),
        "span_recall": math.fsum(spans) / len(spans),
        "tokens": sum(sizes) / len(sizes),
        "without_tokens": sizes.count(0) / len(sizes),
    }


@st.composite
def explained(draw: st.DrawFn) -> Explanation:
    size = draw(st.integers(1, 12))
    weight = st.sampled_from([0.0, 1, 1, 2, 7, -3]) | st.floats(-1, 1, width=32)
    weights = draw(st.lists(weight, min_size=size, max_size=size))
    gold = draw(st.sets(st.integers(0, size - 1), min_size=1))
    return explanation(weights, sorted(gold))


@given(st.lists(explained(), min_size=1, max_size=5), st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 0.99]))
def test_measures_are_those_of_the_definitions(explanations, threshold):
    assert plausibility(explanations, threshold) == pytest.approx(by_definition(explanations, threshold), abs=1e-12)


@given(st.lists(explained(), min_size=1, max_size=5))
def test_the_tuned_threshold_is_the_first_of_the_best(explanations):
    values = [pooled(explanations, limit)[2] for limit in THRESHOLDS]
    best = max(values)
    first = next(limit for limit, value in zip(THRESHOLDS, values, strict=True) if value > best - 1e-12)
    assert tune(explanations) == pytest.approx(first, abs=1e-12)
