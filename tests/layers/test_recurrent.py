"""Recurrent networks: padding changes no output."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from medcode.layers.recurrent import Recurrent


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_does_not_change_outputs(cell_type, bidirectional):
    torch.manual_seed(0)
    layer = Recurrent(cell_type, 3, 4, bidirectional=bidirectional)
    x, lengths = torch.randn(3, 6, 3), torch.tensor([4, 6, 0])
    outputs, last = layer(x, lengths)
    assert outputs.shape == (3, 6, layer.features) and last.shape == (3, layer.features)
    for row, length in enumerate([4, 6, 1]):
        alone, state = layer(x[row : row + 1, :length], None)
        torch.testing.assert_close(outputs[row, :length], alone[0])
        torch.testing.assert_close(last[row], state[0])
        assert not outputs[row, length:].any()


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_gradients_equal_torch_with_packed_sequences(cell_type):
    torch.manual_seed(0)
    layer = Recurrent(cell_type, 3, 4, bidirectional=True)
    reference = {"gru": nn.GRU, "lstm": nn.LSTM}[cell_type](3, 4, batch_first=True, bidirectional=True)
    weights = {f"{name}_reverse": value for name, value in layer.backwards.state_dict().items()}
    reference.load_state_dict(weights | layer.forwards.state_dict())
    x, lengths = torch.randn(3, 6, 3), torch.tensor([4, 6, 1])
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    actual, _ = layer(a, lengths)
    packed = reference(pack_padded_sequence(b, lengths, batch_first=True, enforce_sorted=False))[0]
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    torch.testing.assert_close(actual, expected)
    actual.sin().sum().backward()
    expected.sin().sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    for name, parameter in layer.forwards.named_parameters():
        torch.testing.assert_close(parameter.grad, reference.get_parameter(name).grad)
    for name, parameter in layer.backwards.named_parameters():
        torch.testing.assert_close(parameter.grad, reference.get_parameter(f"{name}_reverse").grad)


def test_last_states_are_taken_at_the_end_of_each_direction():
    layer = Recurrent("gru", 3, 4, bidirectional=True)
    outputs, last = layer(torch.randn(1, 5, 3), None)
    torch.testing.assert_close(last, torch.cat([outputs[:, -1, :4], outputs[:, 0, 4:]], dim=1))


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_autocast_on_a_cpu_computes_in_fp32(cell_type):
    """Some processors have no LSTM in bf16."""
    torch.manual_seed(0)
    layer, x, lengths = Recurrent(cell_type, 3, 4, bidirectional=True), torch.randn(2, 5, 3), torch.tensor([5, 2])
    expected = layer(x, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        actual = layer(x, lengths)
    for result, oracle in zip(actual, expected, strict=True):
        assert torch.equal(result, oracle)
