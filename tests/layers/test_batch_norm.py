"""Masked batch normalization equals torch's on the words without padding."""

from __future__ import annotations

import torch
from small_norms import example, normed
from torch import nn

from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.layers.masks import position_mask


def words_alone(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the real positions of all documents as one document, [1, D, words]."""
    return x.transpose(1, 2)[mask].T.unsqueeze(0)


def compare(masked: nn.BatchNorm1d, reference: nn.BatchNorm1d, actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(masked.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_without_a_mask_batch_norm_equals_torch():
    masked, reference = normed(MaskedBatchNorm), normed(nn.BatchNorm1d)
    assert masked.state_dict().keys() == reference.state_dict().keys()
    for _ in range(3):
        x, _ = example()
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        actual, expected = masked(a, None), reference(b)
        actual.sin().sum().backward()
        expected.sin().sum().backward()
        compare(masked, reference, actual, expected)
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masked.eval()(x, None), reference.eval()(x))


def test_with_a_mask_batch_norm_equals_torch_on_the_words_alone():
    masked, reference = normed(MaskedBatchNorm), normed(nn.BatchNorm1d)
    x, mask = example()
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    actual, expected = words_alone(masked(a, mask), mask), reference(words_alone(b, mask))
    compare(masked, reference, actual, expected)
    weights = torch.randn_like(expected)
    (actual * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    for parameter, expected_parameter in zip(masked.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected_parameter.grad, rtol=1e-4, atol=1e-5)


def test_gradients_at_padding_count_too():
    """Outputs at padding are undefined, but they are computed from the statistics of the words, and so is gradient."""
    layer = normed(MaskedBatchNorm).double()
    x, mask = example()

    def normalize(x):
        return layer(x, mask)

    assert torch.autograd.gradcheck(normalize, x.double().requires_grad_())


def test_a_single_word_can_be_normalized():
    layer = normed(MaskedBatchNorm)
    assert torch.isfinite(layer(torch.randn(1, 5, 3), position_mask(torch.tensor([1]), 3))).all()
    assert torch.isfinite(layer.running_var).all()
