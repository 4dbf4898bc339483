"""DCAN against its formula, position by position, and its receptive field."""

from __future__ import annotations

import plain
import pytest
import small_models
import torch

from medcode.models.dcan import Dcan, DcanConfig

NOTES = [plain.note(17), plain.note(1, seed=1), plain.note(6, seed=2)]


def build(**changes) -> Dcan:
    options = {
        "dropout": 0.0, "embedding": "trained", "mask_padding": True,
        "levels": 3, "hidden": 6, "projection": 4, "kernel": 2,
    }  # fmt: skip
    torch.manual_seed(0)
    model = Dcan(DcanConfig(**options | changes), plain.inputs({"icd": 3}))
    with torch.no_grad():  # weights as large as they become in training, so that every level counts
        for name, value in model.blocks.named_parameters():
            if "original0" in name:
                value.copy_(torch.rand_like(value) + 0.5)
    return plain.scramble(model.eval().double())


def causal(x: torch.Tensor, layer, dilation: int) -> torch.Tensor:
    magnitude, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    weight = torch.stack([g * v / v.square().sum().sqrt() for g, v in zip(magnitude, direction, strict=True)])
    return plain.convolve(x, weight, layer.bias, left=dilation * (weight.shape[2] - 1), dilation=dilation)


def features(model: Dcan, words: list[int]) -> torch.Tensor:
    z = plain.vectors(model, words)
    for level, block in enumerate(model.blocks):
        inner = torch.relu(causal(torch.relu(causal(z, block.first, 2**level)), block.second, 2**level))
        shortcut = z if z.shape[1] == inner.shape[1] else plain.same(z, block.shortcut)
        z = torch.relu(inner + shortcut)
    return torch.relu(z @ model.projection.weight.T + model.projection.bias)


def by_hand(model: Dcan, words: list[int]) -> torch.Tensor:
    return plain.caml_attention(features(model, words), model.attention["icd"])


@pytest.mark.parametrize("changes", [{}, {"levels": 1}, {"levels": 2, "kernel": 3}, {"hidden": 5}], ids=str)
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=20)


def test_padding_is_not_masked_in_the_authors_code():
    plain.agree(build(match_released_code=True), [[3, 7, 1, 4, 0, 0, 0]], by_hand)


@pytest.mark.parametrize(("levels", "reach"), [(1, 2), (2, 6), (3, 14)])
def test_the_receptive_field_is_causal_and_as_published(levels, reach):
    model = build(levels=levels, hidden=40, projection=40)  # so many that some of them are not 0
    tokens, lengths = plain.batch([plain.note(60)])
    reads = []
    for place in range(60):
        changed = tokens.clone()
        changed[0, place] = changed[0, place] % (plain.WORDS - 1) + 1
        difference = (model.encode(tokens, lengths)[0] - model.encode(changed, lengths)[0]).abs().amax(2)[0]
        reads.append(difference[40].item() > 0)
    assert [place for place, seen in enumerate(reads) if seen] == list(range(40 - reach, 41))


@pytest.mark.parametrize(("label_set", "monitor"), [("top50", "f1_macro"), ("full", "precision_at_8")])
def test_the_published_training_chooses_the_epoch_by_the_authors_default_and_by_anemics(label_set, monitor):
    assert small_models.settings("dcan", "published", label_set).recipe.monitor == monitor
