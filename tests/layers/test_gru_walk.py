"""The walk of a GRU on a CPU agrees with torch's GRU on packed documents, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from medcode.layers import gru_walk, kernels

POSITIONS, INPUTS, HIDDEN = 7, 5, 4
WEIGHTS = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"


def networks(bidirectional: bool) -> tuple[nn.GRU, list[nn.GRU]]:
    """Return torch's network, and one of each direction with its weights."""
    torch.manual_seed(0)
    whole = nn.GRU(INPUTS, HIDDEN, batch_first=True, bidirectional=bidirectional).double()
    parts = []
    for ending in ("", "_reverse")[: 1 + bidirectional]:
        part = nn.GRU(INPUTS, HIDDEN, batch_first=True).double()
        part.load_state_dict({name: getattr(whole, name + ending) for name in WEIGHTS})
        parts.append(part)
    return whole, parts


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[7, 3, 7, 1], [2, 6, 5, 6], [7, 7, 7, 7], [1, 1, 1, 1]])
def test_outputs_and_gradients_equal_torch(monkeypatch, lengths, bidirectional):
    monkeypatch.setattr(gru_walk, "POSITIONS", 3)  # so that a document has several parts
    whole, parts = networks(bidirectional)
    x, ends = torch.randn(4, POSITIONS, INPUTS, dtype=torch.double), torch.tensor(lengths)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    assert gru_walk.should_walk(parts[0], a)
    actual = gru_walk.walk(parts, a, ends)
    packed = whole(pack_padded_sequence(b, ends, batch_first=True, enforce_sorted=False))[0]
    expected, _ = pad_packed_sequence(packed, batch_first=True, total_length=POSITIONS)
    torch.testing.assert_close(actual, expected)
    weights = torch.randn_like(expected)
    (actual * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    for part, ending in zip(parts, ("", "_reverse"), strict=False):
        for name in WEIGHTS:
            torch.testing.assert_close(getattr(part, name).grad, getattr(whole, name + ending).grad)


def test_words_without_a_gradient_get_none():
    _, parts = networks(True)
    gru_walk.walk(parts, torch.randn(2, 3, INPUTS, dtype=torch.double), torch.tensor([3, 2])).sum().backward()
    assert all(weight.grad is not None for part in parts for weight in part.parameters())


def test_torch_computes_what_the_walk_is_not_for():
    gru, x = nn.GRU(INPUTS, HIDDEN), torch.randn(2, 3, INPUTS)
    assert gru_walk.should_walk(gru, x)
    assert not gru_walk.should_walk(nn.LSTM(INPUTS, HIDDEN), x)
    with torch.no_grad():
        assert not gru_walk.should_walk(gru, x)
    with kernels.replayed(True):
        assert not gru_walk.should_walk(gru, x)
    assert not gru_walk.should_walk(gru.requires_grad_(False), x)
