"""Cross attention of labels against its formula, and what follows from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medcode.layers.cross_attention import CrossLabelAttention
from medcode.models.base import count_parameters

D, Y = 6, 4


def layer(*, shared: bool) -> CrossLabelAttention:
    torch.manual_seed(0)
    made = CrossLabelAttention(D, Y, shared_output=shared).double()
    made.sample_weights(0.6)
    return made


def features(*lengths: int, padded: int = 0, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    longest = max(padded, *lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), longest, D, generator=generator, dtype=torch.float64), mask


@pytest.mark.parametrize("shared", [True, False])
@torch.no_grad()
def test_logits_follow_the_formula(shared):
    cross, (h, mask) = layer(shared=shared), features(7, 3)
    logits = cross(h, mask)
    for row, length in enumerate((7, 3)):
        for label, query in enumerate(cross.queries.weight):
            scores = torch.stack([query @ (cross.key.weight @ x) for x in h[row, :length]]).softmax(0)
            values = torch.stack([cross.value.weight @ x + cross.value.bias for x in h[row, :length]])
            context = scores @ values
            centered = context - context.mean()
            context = centered / (centered.square().mean() + 1e-5).sqrt()
            output = 0 if shared else label
            expected = cross.output.weight[output] @ context + cross.output.bias[output]
            torch.testing.assert_close(logits[row, label], expected, rtol=1e-6, atol=1e-7)  # softmax is in fp32


@torch.no_grad()
def test_all_labels_read_a_document_of_one_token_alike():
    logits = layer(shared=True)(*features(1))
    assert (logits == logits[:, :1]).all()
    assert layer(shared=False)(*features(1)).unique().numel() == Y


@pytest.mark.parametrize("shared", [True, False])
@torch.no_grad()
def test_the_scale_of_values_does_not_matter(shared):
    cross, batch = layer(shared=shared), features(5, 3)
    before = cross(*batch)
    cross.value.weight.mul_(3)
    cross.value.bias.mul_(3)
    torch.testing.assert_close(cross(*batch), before, rtol=0, atol=1e-3)


@torch.no_grad()
def test_queries_of_zero_read_the_mean_of_the_document():
    cross, (h, mask) = layer(shared=True), features(5, 3)
    cross.queries.weight.zero_()
    means = torch.stack([cross.value(x[real]).mean(0) for x, real in zip(h, mask, strict=True)])
    expected = cross.norm(means) @ cross.output.weight[0] + cross.output.bias
    torch.testing.assert_close(cross(h, mask), expected[:, None].expand(2, Y), rtol=1e-6, atol=1e-7)


@torch.no_grad()
def test_neither_padding_nor_other_documents_nor_the_order_of_positions_matter():
    cross, (h, mask) = layer(shared=False), features(5, 3)
    expected = cross(h, mask)
    changed = h.masked_fill(~mask.unsqueeze(2), 7.0)
    torch.testing.assert_close(cross(changed, mask), expected)
    longer = torch.nn.functional.pad(changed, (0, 0, 0, 4), value=2.0)
    torch.testing.assert_close(cross(longer, torch.nn.functional.pad(mask, (0, 4))), expected)
    torch.testing.assert_close(cross(h[1:, :3], None), expected[1:])
    torch.testing.assert_close(cross(h[:1].flip(1), None), expected[:1])


@torch.no_grad()
def test_without_a_mask_padding_of_zero_features_draws_labels_towards_the_bias_of_the_values():
    cross, (h, _) = layer(shared=True), features(5)
    distances, shares = [], []
    for pads in (0, 20, 400):
        longer = torch.nn.functional.pad(h, (0, 0, 0, pads))
        weights = cross.weights(longer, None)
        shares.append(weights[0, :, :5].sum(1))
        distances.append((weights.double() @ cross.value(longer) - cross.value.bias).norm(dim=2)[0])
    assert (shares[0] > shares[1]).all() and (shares[1] > shares[2]).all()
    assert (distances[1] < distances[0]).all() and (distances[2] < distances[1]).all()


@torch.no_grad()
def test_some_labels_have_the_attention_that_they_have_among_all():
    cross, (h, mask) = layer(shared=True), features(5, 3)
    weights = cross.weights(h, mask)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, Y))
    torch.testing.assert_close(cross.weights(h, mask, labels=torch.tensor([2, 0])), weights[:, [2, 0]])
    own = cross.weights(h, mask, labels=torch.tensor([[2, 0], [3, 3]]))
    torch.testing.assert_close(own, torch.stack([weights[0, [2, 0]], weights[1, [3, 3]]]))


@pytest.mark.parametrize(("shared", "labels"), [(True, 50), (False, 50), (True, 8_921), (False, 8_921)])
def test_parameters_count_as_published(shared, labels):
    d = 768
    with torch.device("meta"):
        total = count_parameters(CrossLabelAttention(d, labels, shared_output=shared))["total"]
    assert total == (1_182_721 + d * labels if shared else 1_181_952 + 1_537 * labels)


def test_initial_weights_are_those_of_the_authors():
    cross = CrossLabelAttention(200, 300, shared_output=False)
    for one in (cross.key, cross.value, cross.queries, cross.output):
        assert one.weight.std().item() == pytest.approx(0.03, rel=0.05)
    assert cross.value.bias.abs().max() > 0 and (cross.norm.weight == 1).all() and (cross.norm.bias == 0).all()
