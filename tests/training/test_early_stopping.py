"""Early stopping, by the rule of caml-mimic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.training.early_stopping import best, should_stop

values = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=30)


@given(values=values, patience=st.integers(1, 5), lowest=st.booleans())
def test_stopping_follows_the_rule_of_caml_mimic(values, patience, lowest):
    numbers = [value for value in values if not np.isnan(value)]
    if numbers:
        pick = np.nanargmin if lowest else np.nanargmax
        assert best(values, lowest=lowest) == pick(values)
        assert should_stop(values, patience, lowest=lowest) == (pick(values) < len(values) - patience)


@pytest.mark.parametrize(
    ("values", "stops"), [([0.5, 0.4, 0.4], False), ([0.5, 0.4, 0.4, 0.5], True), ([0.1, 0.2, 0.3, 0.4], False)]
)
def test_an_equal_value_is_no_improvement(values, stops):
    assert should_stop(values, 3) is stops


def test_training_without_patience_never_stops():
    assert not should_stop([0.9] + [0.1] * 500, None)


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([0.0] * 9, False),  # has not begun to learn
        ([0.11, 0.12, 0.1, 0.1, 0.1], False),  # hardly above base rates
        ([0.0, 0.0, 0.3, 0.2, 0.2], False),
        ([0.0, 0.0, 0.3, 0.2, 0.2, 0.2], True),
    ],
)
def test_patience_does_not_run_at_the_floor(values, stops):
    assert should_stop(values, 3, floor=0.1) is stops


def test_a_metric_without_a_floor_stops_wherever_it_stands():
    assert should_stop([0.0] * 4, 3)
