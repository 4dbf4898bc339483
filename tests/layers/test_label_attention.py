"""Label attention: the scalar form and the published form agree, gradients included."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcode.layers.label_attention import LabelAttention
from medcode.layers.masks import masked_softmax, position_mask

sizes = st.integers(1, 12)


@settings(max_examples=50, deadline=None)
@given(batch=sizes, positions=sizes, features=sizes, labels=sizes, masked=st.booleans(), seed=st.integers(0, 99))
def test_the_scalar_form_equals_the_published_form(batch, positions, features, labels, masked, seed):
    torch.manual_seed(seed)
    layer = LabelAttention(features, labels).double()
    mask = position_mask(torch.randint(1, positions + 1, (batch,)), positions) if masked else None
    results = []
    for form in (layer, layer.logits_from_context):
        torch.manual_seed(seed)
        x = torch.randn(batch, positions, features, dtype=torch.double, requires_grad=True)
        layer.zero_grad()
        logits = form(x, mask)
        logits.sin().sum().backward()
        results.append([logits.detach(), x.grad, layer.queries.weight.grad.clone(), layer.output.weight.grad.clone()])
    for quick, published in zip(*results, strict=True):
        torch.testing.assert_close(quick, published, rtol=1e-5, atol=1e-6)  # softmax is in fp32


def test_the_query_bias_does_not_change_the_logits():
    torch.manual_seed(0)
    layer, x = LabelAttention(4, 3), torch.randn(2, 5, 4)
    before = layer(x, None)
    with torch.no_grad():
        layer.queries.bias.add_(3.0)
    assert torch.equal(layer(x, None), before)


def test_parameters_count_as_in_the_authors_code():
    assert sum(p.numel() for p in LabelAttention(50, 8_921).parameters()) == 2 * 8_921 * 51


def test_masked_positions_have_weight_zero_even_with_large_scores():
    scores = torch.tensor([[[1.0, 2.0, 90.0, 4.0]]])
    weights = masked_softmax(scores, position_mask(torch.tensor([2]), 4))
    assert weights[0, 0, 2:].tolist() == [0, 0]
    assert weights.sum().item() == 1.0


def test_softmax_of_large_bf16_scores_is_in_fp32():
    scores = torch.tensor([[[300.0, 301.0, 299.0]]], dtype=torch.bfloat16)
    weights = masked_softmax(scores, None)
    assert weights.dtype == torch.float32
    assert torch.isfinite(weights).all()
