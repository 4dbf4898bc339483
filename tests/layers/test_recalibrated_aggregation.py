"""RAM against its formula, note by note and position by position."""

from __future__ import annotations

import plain
import pytest
import small_models
import torch

from medcode.layers.masks import position_mask
from medcode.layers.recalibrated_aggregation import RecalibratedAggregation

LENGTHS = [9, 1, 4]


def build(combine: str = "multiply", dropout: float = 0.0, features: int = 10) -> RecalibratedAggregation:
    torch.manual_seed(0)
    return plain.scramble(RecalibratedAggregation(features, combine, dropout)).eval().double()


def example(padded: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features of three notes, with nonzero values at padding."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, padded, 10, generator=generator).double(), position_mask(torch.tensor(LENGTHS), padded)


@pytest.mark.parametrize(("features", "expected"), [(600, 3_178_500), (300, 796_125), (50, 22_342)])
def test_parameter_count_is_as_published_and_the_shape_is_kept(features, expected):
    layer = RecalibratedAggregation(features, "multiply", 0.2)
    assert sum(parameter.numel() for parameter in layer.parameters()) == expected
    assert layer(torch.randn(2, 7, features), None).shape == (2, 7, features)


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("combine", ["multiply", "add"])
def test_padding_does_not_change_recalibrated_words(combine, training):
    layer, (x, mask) = build(combine).train(training), example()
    expected = plain.recalibrate([row[:length] for row, length in zip(x, LENGTHS, strict=True)], layer)
    actual = layer(x, mask)
    for row, note in zip(actual, expected, strict=True):
        torch.testing.assert_close(row[: len(note)], note, rtol=1e-5, atol=1e-6)  # fp32 in batch normalization
        assert (row[len(note) :] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_without_a_mask_padding_changes_recalibrated_words(training):
    layer, (x, _) = build().train(training), example()
    expected = plain.recalibrate(list(x), layer)
    torch.testing.assert_close(layer(x, None), torch.stack(expected), rtol=1e-5, atol=1e-6)


def test_statistics_and_gradients_do_not_depend_on_padding():
    results = []
    for padded in (12, 30):
        layer, (x, mask) = build().train(), example(12)
        x = torch.nn.functional.pad(x, (0, 0, 0, padded - 12), value=7.0).requires_grad_()
        mask = torch.nn.functional.pad(mask, (0, padded - 12))
        layer(x, mask)[mask].sin().sum().backward()
        gradients = [parameter.grad for parameter in layer.parameters()]
        results.append([x.grad[:, :12], *gradients, layer.second_up.second_norm.running_var])
    assert results[0][0][0, 11:].abs().sum() == 0, "a pad got a gradient"
    for short, long in zip(*results, strict=True):
        torch.testing.assert_close(short, long, rtol=1e-5, atol=1e-7)


def test_ram_reads_ten_positions_on_each_side():
    layer, x = build(), torch.randn(1, 41, 10).double()
    changed = x.clone()
    changed[0, 20] += 1
    moved = (layer(x, None) != layer(changed, None)).any(2)[0].nonzero().flatten().tolist()
    assert moved == list(range(10, 31))


def test_dropout_applies_to_the_output():
    layer, (x, mask) = build(dropout=0.5).train(), example()
    dropped = (layer(x, mask)[mask] == 0).double().mean()
    assert 0.3 < dropped < 0.7
    assert (layer.eval()(x, mask)[mask] != 0).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("combine", ["multiply", "add"])
def test_ram_that_begins_as_the_identity_passes_features_on_and_learns(combine, training):
    torch.manual_seed(0)
    layer, (x, mask) = RecalibratedAggregation(10, combine, 0.0, identity=True).double().train(training), example()
    y = layer(x, mask)
    torch.testing.assert_close(y[mask], torch.tanh(x)[mask])
    y.square().sum().backward()
    assert layer.second_up.second_norm.weight.grad.abs().min() > 0


def test_match_released_code_ignores_the_identity():
    for changes, expected in (({}, 0.0), ({"match_released_code": True}, 1.0)):
        model = small_models.build("mt_ram", ram_init="identity", **changes)
        assert (model.recalibration.second_up.second_norm.weight == expected).all()
