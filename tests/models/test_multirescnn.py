"""MultiResCNN against its formula, position by position."""

from __future__ import annotations

import plain
import pytest
import torch

from medcode.models.multirescnn import MultiResCnn, MultiResCnnConfig

NOTES = [plain.note(11), plain.note(1, seed=1), plain.note(6, seed=2)]


def build(**changes) -> MultiResCnn:
    options = {"dropout": 0.0, "embedding": "trained", "mask_padding": True, "variant": "original"}
    torch.manual_seed(0)
    config = MultiResCnnConfig(filters=3, kernels=[3, 9], **options | changes)
    model = MultiResCnn(config, plain.inputs({"icd": 4}))
    return plain.scramble(model.eval().double())


def batch_norm(x, layer):
    return (x - layer.running_mean) / torch.sqrt(layer.running_var + layer.eps) * layer.weight + layer.bias


def features(model: MultiResCnn, words: list[int]) -> torch.Tensor:
    x = plain.vectors(model, words)
    pairs = zip(model.convolutions, model.residuals, strict=True)
    return torch.cat([plain.residual(torch.tanh(plain.same(x, c)), r, batch_norm) for c, r in pairs], dim=1)


def by_hand(model: MultiResCnn, words: list[int]) -> torch.Tensor:
    h = features(model, words)
    return plain.caml_attention(torch.tanh(h) if model.config.variant == "edin" else h, model.attention["icd"])


@pytest.mark.parametrize("variant", ["original", "edin"])
def test_logits_follow_the_formula(variant):
    plain.agree(build(variant=variant), NOTES, by_hand, padded=14)


def test_padding_is_read_as_zero_vectors_in_the_authors_code():
    model = build(match_released_code=True)
    plain.agree(model, [[3, 7, 1, 4, 0, 0, 0]], by_hand)
    padded = model(torch.tensor([[3, 7, 1, 4, 0, 0, 0]]), torch.tensor([4]))["icd"]
    assert not torch.allclose(padded, model(torch.tensor([[3, 7, 1, 4]]), torch.tensor([4]))["icd"])


def test_edins_variant_has_no_bias_in_the_first_convolutions():
    assert all(layer.bias is None for layer in build(variant="edin").convolutions)
    assert all(layer.bias is not None for layer in build().convolutions)


def test_running_statistics_exclude_padding():
    """Running statistics after training on a padded batch are those of its words alone."""
    states = []
    for padded in (0, 50):
        model = build().train()
        model(*plain.batch([plain.note(20)] * 2, padded))
        states.append(model.residuals[0].first_norm.running_var)
    torch.testing.assert_close(*states)
