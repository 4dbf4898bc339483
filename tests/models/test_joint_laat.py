"""JointLAAT against its formula: categories first, whose predictions are inputs of the codes."""

from __future__ import annotations

import plain
import pytest
import torch
from torch import nn

from medcode.models.joint_laat import JointLaat, JointLaatConfig

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(5, seed=2)]


def build(heads: dict[str, int] | None = None, **changes) -> JointLaat:
    options = {"dropout": 0.0, "embedding": "static", "mask_padding": True} | changes
    torch.manual_seed(0)
    config = JointLaatConfig(rnn="lstm", hidden=4, projection=3, level_projection=5, **options)
    heads = heads or {"icd": 6, "category": 4}
    return JointLaat(config, plain.inputs(heads)).eval().double()


def states(model: JointLaat, words: list[int]) -> torch.Tensor:
    return plain.read_by_torch(model.recurrent, plain.vectors(model, words))


def scores(h: torch.Tensor, head: nn.Module, extra_features: torch.Tensor | None = None) -> torch.Tensor:
    keys = torch.tanh(h @ head.projection.weight.T)
    if extra_features is None:
        return plain.attend(h, head.queries.weight, head.output.weight, head.output.bias, keys)
    # A vector that is the same at every position is the same in the weighted mean.
    joined = torch.cat([h, extra_features.expand(len(h), -1)], dim=1)
    return plain.attend(joined, head.queries.weight, head.output.weight, head.output.bias, keys)


def categories_by_hand(model: JointLaat, words: list[int]) -> torch.Tensor:
    return scores(states(model, words), model.attention["category"])


def codes_by_hand(model: JointLaat, words: list[int]) -> torch.Tensor:
    above = categories_by_hand(model, words).sigmoid()
    projected = (model.level_projection.weight @ above).sigmoid()
    return scores(states(model, words), model.attention["icd"], projected)


def test_logits_of_both_levels_follow_the_formula():
    plain.agree(build(), NOTES, categories_by_hand, "category", padded=12)
    plain.agree(build(), NOTES, codes_by_hand, "icd", padded=12)


def test_heads_keep_their_order_and_losses_are_weighted_by_labels():
    model = build({"icd": 6, "category": 2})
    assert list(model(*plain.batch(NOTES))) == ["icd", "category"]
    assert model.loss_weights == {"icd": pytest.approx(0.75), "category": pytest.approx(0.25)}


def test_without_categories_joint_laat_equals_laat():
    model = build({"icd": 6})
    assert model.loss_weights == {"icd": 1.0}
    plain.agree(model, NOTES, lambda model, words: scores(states(model, words), model.attention["icd"]))
