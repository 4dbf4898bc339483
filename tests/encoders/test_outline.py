"""Definitions of encoders, and the modules that are built from them."""

from __future__ import annotations

import plain_encoder
import pytest
import torch

from medcode.encoders.outline import Encoder
from medcode.models.catalog import PUBLISHED_SIZES


@pytest.fixture(params=["bert", "roberta", "mpnet"])
def outline(request) -> Encoder:
    return plain_encoder.tiny(request.param)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_a_module_runs_on_torchs_attention(model_type):
    module = plain_encoder.tiny(model_type).module(0.0, pooler=False)
    assert module.config._attn_implementation == "sdpa"


def test_dropout_overrides_the_configuration(outline):
    module = outline.module(0.25, pooler=False)
    assert {layer.p for layer in module.modules() if isinstance(layer, torch.nn.Dropout)} == {0.25}


def test_weights_are_loaded_or_else_sampled_from_the_seed(outline):
    torch.manual_seed(1)
    first = outline.module(0.0, pooler=True).state_dict()
    torch.manual_seed(1)
    again = outline.module(0.0, pooler=True).state_dict()
    other = Encoder(outline.config, outline.specials, first).module(0.0, pooler=False).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert {name for name in first if name not in other} == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(first[name], other[name]) for name in other)


def test_weights_of_another_architecture_are_refused():
    weights = plain_encoder.tiny("bert", layers=1).module(0.0, pooler=True).state_dict()
    wrong = Encoder(plain_encoder.tiny("bert").config, plain_encoder.tiny().specials, weights)
    with pytest.raises(ValueError, match=r"weights of another encoder architecture: encoder\.layer\.1"):
        wrong.module(0.0, pooler=True)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_positions_is_the_length_of_the_longest_sequence(model_type):
    outline = plain_encoder.tiny(model_type)
    assert outline.positions == 64
    outline.module(0.0, pooler=False)(input_ids=torch.full((1, 64), 3))
    with pytest.raises((IndexError, RuntimeError)):
        outline.module(0.0, pooler=False)(input_ids=torch.full((1, 65), 3))


def test_an_encoder_is_rebuilt_from_its_metadata(outline):
    assert Encoder.from_metadata(outline.metadata()) == outline.outline()


def test_published_sizes():
    assert {name: encoder.config["vocab_size"] for name, encoder in PUBLISHED_SIZES.items()} == {
        "bert-base-cased": 28_996,
        "bert-base-uncased": 30_522,
        "bert-multilingual-cased": 119_547,
        "longformer-base": 50_265,
        "roberta-base": 50_265,
        "roberta-base-pm": 50_008,
    }
    assert PUBLISHED_SIZES["roberta-base"].positions == 512
