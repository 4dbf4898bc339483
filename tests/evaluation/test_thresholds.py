"""The tuned threshold is the one with the best micro F1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError
from medcode.evaluation.metrics import counts, f1_micro
from medcode.evaluation.thresholds import sweep, tune_threshold


@st.composite
def problems(draw):
    """Scores that often lie exactly on a threshold of the grid."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    gold = (random.random(shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))).astype(np.uint8)
    gold.flat[random.integers(gold.size)] = 1
    grid = draw(st.integers(2, 40))
    scores = random.random(shape).astype(np.float32)
    on_grid = random.choice(np.linspace(0, 1, grid).astype(np.float32), shape)
    return gold, np.where(random.random(shape) < 0.5, on_grid, scores), grid


@given(problems())
def test_sweep_equals_one_pass_per_threshold(problem):
    gold, scores, grid = problem
    thresholds, f1 = sweep(gold, scores, grid)
    assert thresholds.dtype == np.float32
    np.testing.assert_array_equal(thresholds, np.linspace(0, 1, grid).astype(np.float32))
    naive = [f1_micro(counts(as_binary_csr(gold), scores, threshold)[0]) for threshold in thresholds]
    assert f1.tolist() == naive
    best, best_threshold = -1.0, None
    for threshold, f1 in zip(thresholds, naive, strict=True):
        if f1 > best:
            best, best_threshold = f1, threshold
    assert tune_threshold(gold, scores, grid) == best_threshold
    expected = f1_score(gold.ravel(), scores.ravel() > best_threshold, zero_division=0)
    assert best == pytest.approx(expected)


@given(problems())
def test_tuned_is_never_worse_than_fixed_on_the_data_it_was_tuned_on(problem):
    gold, scores, _ = problem
    tuned = tune_threshold(gold, scores, 101)  # this grid has 0.5
    at = [f1_micro(counts(as_binary_csr(gold), scores, threshold)[0]) for threshold in (0.5, tuned)]
    assert at[1] >= at[0]


def test_the_lowest_of_equally_good_thresholds_is_chosen():
    assert tune_threshold(np.array([[1, 0]]), np.array([[0.9, 0.2]], np.float32), 11) == np.float32(0.2)


def test_tuning_without_gold_codes_raises_a_user_error():
    with pytest.raises(UserError, match="no document has a gold code"):
        tune_threshold(np.zeros((2, 2)), np.zeros((2, 2), np.float32), 10)
