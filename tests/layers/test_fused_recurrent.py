"""Parallel recurrent networks with manual gradients against torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medcode.layers import fused_recurrent as fused
from medcode.layers.masks import position_mask

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


def results(function, cells, words, lengths):
    """Return outputs without padding, and gradients of words and weights."""
    cells, words = copy.deepcopy(cells), [x.clone().requires_grad_() for x in words]
    outputs = [
        output * position_mask(lengths, output.shape[1]).unsqueeze(2) for output in function(cells, words, lengths)
    ]
    sum((output * (1 + index)).sin().sum() for index, output in enumerate(outputs)).backward()
    weights = [parameter.grad for cell in cells for parameter in cell.parameters()]
    return [*(output.detach() for output in outputs), *(x.grad for x in words), *weights]


def by_torch(cells, words, lengths):
    return [cell(x)[0] for cell, x in zip(cells, words, strict=True)]


@settings(max_examples=40, deadline=None)
@given(
    cell_type=st.sampled_from(list(CELLS)), networks=st.integers(1, 3), documents=st.integers(1, 5),
    positions=st.integers(1, 7), inputs=st.integers(1, 5), hidden=st.integers(1, 9), seed=st.integers(0, 99),
)  # fmt: skip
def test_outputs_and_gradients_equal_torch(cell_type, networks, documents, positions, inputs, hidden, seed):
    torch.manual_seed(seed)
    cells = [CELLS[cell_type](inputs, hidden, batch_first=True, dtype=torch.float64) for _ in range(networks)]
    words = [torch.randn(documents, positions, inputs, dtype=torch.float64) for _ in range(networks)]
    lengths = torch.randint(1, positions + 1, (documents,))
    actual = results(fused.fused_recurrent, cells, words, lengths)
    for result, oracle in zip(actual, results(by_torch, cells, words, lengths), strict=True):
        torch.testing.assert_close(result, oracle, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell_type", CELLS)
def test_backward_can_run_twice(cell_type):
    torch.manual_seed(0)
    cells, words = [CELLS[cell_type](3, 4, batch_first=True)], [torch.randn(2, 5, 3)]
    (outputs,) = fused.fused_recurrent(cells, words, torch.tensor([5, 5]))
    first, second = (
        torch.autograd.grad(outputs.sum(), cells[0].parameters(), retain_graph=keep) for keep in (True, False)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("cell_type", CELLS)
def test_under_autocast_outputs_are_in_its_type_and_gradients_in_that_of_the_weights(cell_type):
    torch.manual_seed(0)
    cells, words = (
        [CELLS[cell_type](3, 40, batch_first=True) for _ in range(2)],
        [torch.randn(2, 5, 3) for _ in range(2)],
    )
    lengths = torch.tensor([5, 2])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = fused.fused_recurrent(cells, words, lengths)
    assert all(output.dtype == torch.bfloat16 for output in outputs)
    actual = results(torch.autocast("cpu", torch.bfloat16)(fused.fused_recurrent), cells, words, lengths)
    expected = results(by_torch, cells, words, lengths)
    scale = max(tensor.norm().item() for tensor in expected[2:])
    for result, oracle in zip(actual[2:], expected[2:], strict=True):
        assert result.dtype == torch.float32
        assert (result - oracle).norm().item() <= 2e-2 * scale
