"""The transformer layer against torch's, and its position table."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medcode.errors import UserError
from medcode.layers.masks import position_mask
from medcode.layers.transformer_layer import PositionTable, TransformerLayer, sinusoids


def test_a_padded_document_gives_the_outputs_of_torch():
    torch.manual_seed(0)
    layer, reference = TransformerLayer(12, 4, 7), nn.TransformerEncoderLayer(12, 4, 7, dropout=0.0, batch_first=True)
    parts = (layer.query, layer.key, layer.value)
    reference.self_attn.in_proj_weight.data = torch.cat([part.weight for part in parts])
    reference.self_attn.in_proj_bias.data = torch.cat([part.bias for part in parts])
    reference.self_attn.out_proj.load_state_dict(layer.output.state_dict())
    reference.linear1.load_state_dict(layer.widen.state_dict())
    reference.linear2.load_state_dict(layer.narrow.state_dict())
    x, mask = torch.randn(2, 6, 12), position_mask(torch.tensor([6, 3]), 6)
    actual, expected = layer(x, mask), reference(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(actual[mask], expected[mask])
    torch.testing.assert_close(actual[1:, :3], layer(x[1:, :3], None))


def test_positions_beyond_the_table_follow_the_same_formula():
    short, long, x = PositionTable(3, 6), PositionTable(50, 6), torch.zeros(1, 20, 6)
    torch.testing.assert_close(short(x), long(x))
    torch.testing.assert_close(short(x)[0], sinusoids(0, 20, 6))
    assert x.any().item() is False


def test_the_position_table_has_the_published_size_and_is_not_trained():
    table = PositionTable(2_500, 300).table
    assert table.numel() == 750_300 and not table.requires_grad
    assert not table[0].any()
    assert table[1, :2].tolist() == [0, 1]


def test_dropout_is_in_the_same_places_as_in_torch(monkeypatch):
    """Dropout applies to the attention weights, within torch's kernel, and three more times by the layer."""
    layer, x, calls = TransformerLayer(8, 2, 16, dropout=0.5), torch.randn(1, 3, 8), []
    layer.dropout.register_forward_hook(lambda module, inputs, output: calls.append((inputs[0].shape[2], output)))
    attend = nn.functional.scaled_dot_product_attention
    probabilities = []
    monkeypatch.setattr(
        nn.functional,
        "scaled_dot_product_attention",
        lambda *parts, dropout_p, **options: probabilities.append(dropout_p) or attend(*parts, **options),
    )
    layer.train()(x, None)
    layer.eval()(x, None)
    assert probabilities == [0.5, 0.0]
    assert [width for width, _ in calls] == [8, 16, 8] * 2
    dropped = [bool((output == 0).any()) for width, output in calls if width == 8]
    assert dropped == [True, True, False, False]


def test_heads_that_do_not_divide_the_features_are_refused():
    with pytest.raises(UserError, match="attention heads: expected a divisor of the 12 features of the layer, found 5"):
        TransformerLayer(12, 5, 7)
