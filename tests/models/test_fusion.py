"""Fusion against its formula, position by position; its ablations, and the authors' block-local attention."""

from __future__ import annotations

import math

import plain
import pytest
import torch
from torch import nn

from medcode.layers.transformer_layer import TransformerLayer
from medcode.models.fusion import Fusion, FusionConfig

NOTES = [plain.note(12), plain.note(1, seed=1), plain.note(7, seed=2)]
HEADS, FEATURES = 2, 8


def build(**changes) -> Fusion:
    options = {
        "dropout": 0.0, "embedding": "trained", "mask_padding": True, "pooling": "soft",
        "window": 2, "transformer": True, "positions": 4, "attention": "code", "block_local": False,
    }  # fmt: skip
    torch.manual_seed(0)
    config = FusionConfig(filters=4, kernels=[3, 5], attention_heads=HEADS, feed_forward=9, **options | changes)
    model = Fusion(config, plain.inputs({"icd": 4}))
    return plain.scramble(model.eval().double())


def group_norm(x, layer):
    mean, variance = x.mean(), x.var(correction=0)
    return (x - mean) / torch.sqrt(variance + layer.eps) * layer.weight + layer.bias


def pooled(model: Fusion, x: torch.Tensor, number: int) -> torch.Tensor:
    """Pool windows of two; the last one is completed by a zero for soft pooling, and shorter for the maximum."""
    windows = []
    for start in range(0, len(x), model.config.window):
        window = x[start : start + model.config.window]
        if model.config.pooling == "max":
            windows.append(window.max(0).values)
            continue
        missing = model.config.window - len(window)
        window = torch.cat([window, torch.zeros(missing, x.shape[1], dtype=x.dtype)])
        scores = [math.exp(float(model.pools[number].score.weight[0, :, 0] @ row)) for row in window]
        windows.append(sum(score / sum(scores) * row for score, row in zip(scores, window, strict=True)))
    return torch.stack(windows)


def sinusoid(position: int, column: int) -> float:
    angle = position / 10_000 ** (2 * (column // 2) / FEATURES)
    return math.cos(angle) if column % 2 else math.sin(angle)


def reference_layer(layer: TransformerLayer) -> nn.TransformerEncoderLayer:
    """Build torch's layer with the same weights."""
    reference = nn.TransformerEncoderLayer(FEATURES, HEADS, 9, dropout=0.0, batch_first=True, dtype=torch.double)
    parts = [layer.query, layer.key, layer.value]
    attention = reference.self_attn
    attention.in_proj_weight.data = torch.cat([part.weight for part in parts])
    attention.in_proj_bias.data = torch.cat([part.bias for part in parts])
    pairs = [
        (attention.out_proj, layer.output), (reference.linear1, layer.widen), (reference.linear2, layer.narrow),
        (reference.norm1, layer.attention_norm), (reference.norm2, layer.norm),
    ]  # fmt: skip
    for target, source in pairs:
        target.load_state_dict(source.state_dict())
    return reference.eval()


def by_hand(model: Fusion, words: list[int]) -> torch.Tensor:
    x, parts = plain.vectors(model, words), []
    for number, (convolution, residual) in enumerate(zip(model.convolutions, model.residuals, strict=True)):
        windows = pooled(model, torch.tanh(plain.same(x, convolution)), number)
        parts.append(plain.residual(windows, residual, group_norm))
    h = torch.cat(parts, dim=1)
    if model.config.transformer:
        if model.config.positions:
            h = h + torch.tensor([[sinusoid(p, d) for d in range(FEATURES)] for p in range(len(h))])
        h = torch.tanh(reference_layer(model.transformer)(h.unsqueeze(0))[0])
    head = model.attention["icd"]
    if model.config.attention == "code":
        return plain.caml_attention(h, head)
    labels = len(head.output.bias)
    return plain.attend(h, head.query.weight.expand(labels, -1), head.output.weight, head.output.bias)


@pytest.mark.parametrize(
    "changes",
    [{}, {"pooling": "max"}, {"attention": "document"}, {"transformer": False}, {"positions": 0}, {"window": 3}],
    ids=str,
)
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=17)


def test_pooling_halves_the_number_of_positions_rounded_up():
    for length in (1, 2, 7, 8):
        weights = build().label_attention(*plain.batch([plain.note(length)]))
        assert weights["icd"].shape[2] == (length + 1) // 2


@pytest.mark.parametrize("changes", [{"match_released_code": True}, {"block_local": True}])
def test_each_head_sees_one_part_of_the_positions_in_the_authors_code(changes):
    """The last of 40 positions changes only the outputs of four heads for the last quarter."""
    torch.manual_seed(0)
    layer = TransformerLayer(8, heads=4, feed_forward=9, block_local=build(**changes).config.local)
    x = torch.randn(1, 40, 8)
    changed = x.clone()
    changed[0, 39] += 1
    moved = (layer(x, None) - layer(changed, None)).abs().amax(2)[0] > 1e-7
    assert moved.nonzero().squeeze(1).tolist() == list(range(30, 40))
    everywhere = TransformerLayer(8, heads=4, feed_forward=9)
    assert ((everywhere(x, None) - everywhere(changed, None)).abs().amax(2) > 1e-7).all()


def test_block_local_attention_equals_the_authors_view():
    """Compute attention as the authors' view does: each head reads a block as shorter positions."""
    torch.manual_seed(0)
    width, heads, positions = 18, 3, 4
    layer = TransformerLayer(width, heads, feed_forward=5, block_local=True).double()
    x = torch.randn(1, positions, width, dtype=torch.double)
    query, key, value = (part(x).flatten().tolist() for part in (layer.query, layer.key, layer.value))
    short = width // heads
    expected = []
    for start in range(0, positions * width, positions * short):
        rows = [slice(start + short * other, start + short * (other + 1)) for other in range(positions)]
        for row in rows:
            dots = [sum(a * b for a, b in zip(query[row], key[other], strict=True)) for other in rows]
            scores = [math.exp(dot * (short // heads) ** -0.5) for dot in dots]
            expected += [
                sum(score / sum(scores) * number for score, number in zip(scores, column, strict=True))
                for column in zip(*(value[row] for row in rows), strict=True)
            ]
    assert layer._attend(x, None).flatten().tolist() == pytest.approx(expected)


def test_residual_blocks_have_dropout_only_without_a_transformer():
    for transformer, expected in ((True, 0.0), (False, 0.2)):
        model = build(transformer=transformer, dropout=0.2)
        assert {residual.dropout.p for residual in model.residuals} == {expected}


def test_padding_is_not_masked_in_the_authors_code():
    model = build(mask_padding=False)
    plain.agree(model, [[3, 7, 1, 4, 0, 0, 0]], by_hand)
