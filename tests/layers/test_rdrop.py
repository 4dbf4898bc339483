"""R-Drop and the cosine distance against numbers by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from medcode.layers.rdrop import cosine_distance, rdrop


def test_two_passes_have_the_divergence_of_the_specification():
    first, second = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    # The two divergences are 0.14384 and 0.13081, each over two labels.
    assert rdrop(first, second).item() == pytest.approx((0.14384 / 2 + 0.13081 / 2) / 2, abs=1e-5)
    assert rdrop(first, second).item() == pytest.approx(0.06866, abs=1e-5)
    torch.testing.assert_close(rdrop(second, first), rdrop(first, second))
    assert (rdrop(first, first) == 0).all()


@pytest.mark.parametrize("distribution", ["softmax", "bernoulli"])
def test_it_is_the_symmetric_divergence_of_each_document(distribution):
    torch.manual_seed(0)
    first, second = torch.randn(3, 5), torch.randn(3, 5)
    make = {"softmax": Categorical, "bernoulli": Bernoulli}[distribution]
    p, q = make(logits=first), make(logits=second)
    divergence = (kl_divergence(p, q) + kl_divergence(q, p)) / 2
    expected = divergence / 5 if distribution == "softmax" else divergence.mean(1)
    torch.testing.assert_close(rdrop(first, second, distribution), expected)


def test_a_constant_added_to_one_pass_changes_the_softmax_form_alone_not():
    first, second = torch.randn(2, 4), torch.randn(2, 4)
    torch.testing.assert_close(rdrop(first + 3, second), rdrop(first, second))
    assert not torch.allclose(rdrop(first + 3, second, "bernoulli"), rdrop(first, second, "bernoulli"))


def test_the_distance_is_over_the_gold_labels_of_each_document():
    first = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]])
    second = torch.tensor([[[3.0, 0.0], [1.0, 0.0]], [[-2.0, -2.0], [5.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    gold = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(cosine_distance(first, second, gold), torch.tensor([0.5, 2.0, 0.0]))
