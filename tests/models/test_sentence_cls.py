"""The classifier of sentences against its formula and its published recipe."""

from __future__ import annotations

import plain
import plain_encoder
import pytest
import small_models
import torch
from torch import Tensor

from medcode.config.models.sentence_cls import SentenceClsConfig
from medcode.models.inputs import ModelInputs
from medcode.models.sentence_cls import SentenceCls

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), []]


def build(**changes) -> SentenceCls:
    config = SentenceClsConfig(**{"chunk": 14, "dropout": 0.0, "embedding": "trained", **changes})
    torch.manual_seed(0)
    inputs = ModelInputs(heads={"icd": 6}, encoder=plain_encoder.tiny(vocabulary_size=plain.WORDS))
    return SentenceCls(config, inputs)


def by_hand(model: SentenceCls, words: list[int]) -> Tensor:
    begin, end = model.outline.specials.begin, model.outline.specials.end
    states = plain_encoder.states(model.encoder, [begin, *words[:12], end])
    return model.output["icd"].weight @ states[0] + model.output["icd"].bias


def test_logits_follow_the_formula():
    plain.agree(plain.scramble(build().eval()).double(), NOTES, by_hand)


def test_weights_begin_uniform_within_glorots_bound_and_biases_at_zero():
    layer = build().output["icd"]
    bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
    assert 0.8 * bound < layer.weight.abs().max() <= bound
    assert not layer.bias.any()


def test_nothing_is_dropped_behind_the_encoder():
    """Dropout within the encoder is set to zero by hand, so that any other would show."""
    model = build(dropout=0.5)
    for module in model.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
    batch = plain.batch(NOTES)
    assert torch.equal(model.train()(*batch)["icd"], model(*batch)["icd"])


def test_the_published_recipe_is_that_of_the_authors_code():
    recipe = small_models.settings("sentence_cls", "published").recipe
    assert (recipe.unit, recipe.span_documents, recipe.max_tokens) == ("sentences", False, 126)
    assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == ("radam", 3e-5, "constant")
    assert (recipe.batch_size, recipe.epochs, recipe.patience, recipe.restore) == (16, 34, None, "last")
    assert (recipe.weight_decay, recipe.clip_norm, recipe.label_biases) == (0.0, None, "random")


@pytest.mark.parametrize("labels", [50, 8_921])
def test_a_label_has_one_weight_for_each_feature_and_a_bias(labels):
    model = SentenceCls(
        SentenceClsConfig(chunk=14, dropout=0.0, embedding="trained"),
        ModelInputs(heads={"icd": labels}, encoder=plain_encoder.tiny(vocabulary_size=plain.WORDS)),
    )
    assert sum(parameter.numel() for parameter in model.output.parameters()) == (model.width + 1) * labels
