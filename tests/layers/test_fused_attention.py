"""Streaming label attention against the plain form: logits and all gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from medcode.layers import fused_attention as fused
from medcode.layers.label_attention import LabelAttention, attend_heads, label_attention_heads, run_heads
from medcode.layers.masks import position_mask
from medcode.layers.projected_attention import ProjectedLabelAttention

# Largest error of logits and of each gradient, as a share of their norm; in bf16, beyond the plain form's in bf16.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}

sizes = st.integers(1, 9)


def plain(queries, keys, values, outputs, mask):
    """Compute the formula with the whole tensor [B, Y, N]."""
    scores = queries @ keys.transpose(1, 2)
    if mask is not None:
        scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
    return (torch.softmax(scores, dim=2) * (outputs @ values.transpose(1, 2))).sum(2)


def problem(labels, documents, positions, width, value_width, *, masked, seed=0, dtype=torch.float64):
    """Return random inputs in float64, rounded to `dtype`, and a mask with gaps."""
    random = torch.Generator().manual_seed(seed)
    shapes = (labels, width), (documents, positions, width), (documents, positions, value_width), (labels, value_width)
    inputs = [torch.randn(shape, generator=random).to(dtype).double() for shape in shapes]
    mask = torch.rand(documents, positions, generator=random) < 0.5
    mask[torch.arange(documents), torch.randint(positions, (documents,), generator=random)] = True
    return inputs, mask if masked else None


def logits_and_gradients(function, inputs, mask):
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    logits = function(*leaves, mask)
    logits.sin().sum().backward()
    return [logits.detach(), *(leaf.grad for leaf in leaves)]


def distance(actual, expected):
    return (actual.double() - expected).norm().item()


def error(actual, expected):
    return distance(actual, expected) / max(expected.norm().item(), 1e-6)


@settings(max_examples=100, deadline=None)
@example(
    labels=4, documents=1, positions=20, width=4, value_width=5, masked=False, dtype=torch.bfloat16, share=2000, seed=1
)
@given(
    labels=sizes, documents=sizes, positions=st.integers(1, 40), width=sizes, value_width=sizes, masked=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)), share=st.integers(1, 2000), seed=st.integers(0, 99),
)  # fmt: skip
def test_it_agrees_with_the_plain_form(
    labels, documents, positions, width, value_width, masked, dtype, share, seed
):  # fmt: skip
    inputs, mask = problem(labels, documents, positions, width, value_width, masked=masked, seed=seed, dtype=dtype)
    expected = logits_and_gradients(plain, inputs, mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "CPU_SLICE", share)
        actual = logits_and_gradients(fused.fused_attention, [tensor.to(dtype) for tensor in inputs], mask)
    assert actual[0].dtype == torch.promote_types(dtype, torch.float32)
    assert [tensor.dtype for tensor in actual[1:]] == [dtype] * 4
    scale = max(1.0, *(tensor.norm().item() for tensor in expected[1:]))
    rounded = expected
    if dtype == torch.bfloat16:  # rounds so much that some gradients are wrong by several percent in any form
        rounded = logits_and_gradients(plain, [tensor.to(dtype) for tensor in inputs], mask)
    for result, oracle, plain_result in zip(actual, expected, rounded, strict=True):
        # A gradient that is a difference of larger numbers is as exact as those.
        margin = TOLERANCE[dtype] * max(scale, oracle.norm().item())
        assert distance(result, oracle) <= distance(plain_result, oracle) + margin


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("width", "value_width"), [(50, 50), (300, 300), (512, 1024)])
def test_fused_attention_agrees_at_the_widths_of_the_models(width, value_width, dtype, monkeypatch):
    monkeypatch.setattr(fused, "CPU_SLICE", 30 * 2 * 7)
    inputs, mask = problem(30, 2, 40, width, value_width, masked=True, dtype=dtype)
    inputs = [inputs[0] / width**0.5, *inputs[1:3], inputs[3] / value_width**0.5]
    inputs = [tensor.to(dtype).double() for tensor in inputs]
    expected = logits_and_gradients(plain, inputs, mask)
    actual = logits_and_gradients(fused.fused_attention, [tensor.to(dtype) for tensor in inputs], mask)
    for result, oracle in zip(actual, expected, strict=True):
        assert error(result, oracle) <= TOLERANCE[dtype]


def test_gradients_equal_finite_differences(monkeypatch):
    monkeypatch.setattr(fused, "CPU_SLICE", 40)
    inputs, mask = problem(4, 3, 11, 5, 7, masked=True)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(lambda *tensors: fused.fused_attention(*tensors, mask), leaves)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_large_scores_do_not_overflow(scale, monkeypatch):
    monkeypatch.setattr(fused, "CPU_SLICE", 30)
    inputs, mask = problem(3, 2, 33, 6, 6, masked=True)
    inputs[0] *= scale
    expected = logits_and_gradients(plain, inputs, mask)
    actual = logits_and_gradients(fused.fused_attention, [tensor.float() for tensor in inputs], mask)
    assert all(torch.isfinite(tensor).all() for tensor in actual)
    assert error(actual[0], expected[0]) < 1e-3


class Largest(TorchDispatchMode):
    """Records the largest number of elements of a tensor that is created under it."""

    numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def test_no_tensor_of_labels_by_positions_is_created(monkeypatch):
    labels, documents, positions, width = 400, 3, 100, 5
    monkeypatch.setattr(fused, "CPU_SLICE", labels * documents * 4)
    inputs, mask = problem(labels, documents, positions, width, width, masked=True)
    leaves, saved = [tensor.requires_grad_() for tensor in inputs], []
    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda x: x):
            logits = fused.fused_attention(*leaves, mask)
        logits.sum().backward()
    assert largest.numbers <= max(labels * documents * 4, documents * positions * width)
    assert sum(tensor.numel() for tensor in saved) == sum(x.numel() for x in [*leaves, mask]) + 2 * documents * labels
    with Largest() as largest:
        plain(*leaves, mask)
    assert largest.numbers >= labels * documents * positions  # the measure sees what it should


def layers_and_plain_forms(mask):
    """Return layers with their inputs, to run in both forms."""
    torch.manual_seed(0)
    features = torch.randn(3, 20, 6)
    return [
        (LabelAttention(6, 40), (features, mask)),
        (ProjectedLabelAttention(6, 4, 40, extra=2), (features, mask, torch.randn(3, 2))),
    ]


@pytest.mark.parametrize("mask", [None, position_mask(torch.tensor([20, 1, 7]), 20)], ids=["unmasked", "masked"])
@pytest.mark.parametrize("separate_queries", [False, True])
def test_layers_give_the_same_result_in_both_forms(mask, separate_queries, monkeypatch):
    for layer, inputs in layers_and_plain_forms(mask):
        queries = {"queries": torch.randn_like(layer.queries.weight)} if separate_queries else {}
        results = []
        for limit in (40, 39):
            monkeypatch.setattr(fused, "PLAIN_LABELS", limit)
            layer.zero_grad()
            logits = layer(*inputs, **queries)
            logits.sin().sum().backward()
            results.append([logits.detach(), *(x.grad.clone() for x in layer.parameters() if x.grad is not None)])
        for result, oracle in zip(*results, strict=True):
            torch.testing.assert_close(result, oracle)
        assert not torch.equal(results[0][1], results[1][1])  # it was not the same code twice


def test_under_autocast_the_products_are_in_bf16_and_gradients_in_fp32(monkeypatch):
    (layer, (features, mask)), _ = layers_and_plain_forms(None)
    expected = layer(features, mask)
    monkeypatch.setattr(fused, "PLAIN_LABELS", 39)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(features, mask)
    assert logits.dtype == torch.float32
    assert 0 < error(logits.detach(), expected.detach().double()) < TOLERANCE[torch.bfloat16]
    logits.sum().backward()
    assert layer.queries.weight.grad.dtype == layer.output.weight.grad.dtype == torch.float32


def test_heads_computed_together_equal_heads_computed_separately(monkeypatch):
    torch.manual_seed(0)
    heads, features = label_attention_heads(6, {"icd": 30, "ccs": 10}), torch.randn(3, 20, 6)
    monkeypatch.setattr(fused, "PLAIN_LABELS", 39)
    together = run_heads(heads, features, None)
    assert list(together) == ["icd", "ccs"]
    for name, head in heads.items():
        torch.testing.assert_close(together[name], head(features, None))  # 30 and 10: the plain form


def test_few_labels_use_the_plain_form():
    torch.manual_seed(0)
    layer, features = LabelAttention(6, 50), torch.randn(3, 20, 6)
    weights = torch.softmax(layer.queries.weight @ features.transpose(1, 2), dim=-1)
    values = layer.output.weight @ features.transpose(1, 2)
    assert torch.equal(layer(features, None), (weights * values).sum(2) + layer.output.bias)


def test_attention_can_be_computed_for_selected_labels():
    torch.manual_seed(0)
    heads, features = label_attention_heads(6, {"icd": 30, "ccs": 10}), torch.randn(3, 20, 6)
    chosen = {"icd": torch.tensor([7, 2])}
    actual, every = attend_heads(heads, features, None, chosen), attend_heads(heads, features, None)
    assert list(actual) == ["icd"]
    torch.testing.assert_close(actual["icd"], every["icd"][:, [7, 2]])
    projected = ProjectedLabelAttention(6, 4, 30)
    some = projected.weights(features, None, labels=torch.tensor([7, 2]))
    torch.testing.assert_close(some, projected.weights(features, None)[:, [7, 2]])
