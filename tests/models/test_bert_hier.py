"""BERT-hier against its formula."""

from __future__ import annotations

import plain
import plain_encoder
import pytest
import torch
from torch import Tensor, nn

from medcode.config import build as build_section
from medcode.errors import UserError
from medcode.layers.transformer_layer import TransformerLayer
from medcode.models.bert_hier import BertHier, BertHierConfig
from medcode.models.inputs import ModelInputs

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), plain.note(12, seed=3), []]
OPTIONS = {
    "head": "label_attention", "attention_over": "chunks", "chunk": 8, "upper_layers": 1, "upper_heads": 4,
    "upper_feed_forward": 10, "dropout": 0.0, "embedding": "trained", "mask_padding": True,
}  # fmt: skip


def build(**changes) -> BertHier:
    torch.manual_seed(0)
    config = BertHierConfig(**OPTIONS | changes)
    model = BertHier(
        config, ModelInputs(heads={"icd": 6}, encoder=plain_encoder.tiny(vocabulary_size=plain.WORDS))
    ).eval()
    return plain.scramble(model).double()


def chunks(model: BertHier, words: list[int]) -> list[Tensor]:
    """Return the states of each chunk."""
    room, specials = model.config.chunk - 2, model.outline.specials
    parts = [words[start : start + room] for start in range(0, len(words), room)] or [[]]
    return [plain_encoder.states(model.encoder, [specials.begin, *part, specials.end]) for part in parts]


def torchs(layer: TransformerLayer, x: Tensor, heads: int) -> Tensor:
    """Compute torch's layer with the same weights."""
    reference = nn.TransformerEncoderLayer(
        x.shape[1], heads, layer.widen.out_features, dropout=0.0, batch_first=True, dtype=x.dtype
    )
    parts = (layer.query, layer.key, layer.value)
    reference.self_attn.in_proj_weight.data = torch.cat([part.weight for part in parts])
    reference.self_attn.in_proj_bias.data = torch.cat([part.bias for part in parts])
    reference.self_attn.out_proj.load_state_dict(layer.output.state_dict())
    reference.linear1.load_state_dict(layer.widen.state_dict())
    reference.linear2.load_state_dict(layer.narrow.state_dict())
    reference.norm1.load_state_dict(layer.attention_norm.state_dict())
    reference.norm2.load_state_dict(layer.norm.state_dict())
    return reference(x.unsqueeze(0))[0]


def upper(model: BertHier, words: list[int], empty: int = 0) -> Tensor:
    """Return the vectors of the chunks after the transformer, with `empty` chunks of padding after them."""
    x = torch.stack([states[0] for states in chunks(model, words)])
    x = torch.cat([x, x.new_zeros(empty, x.shape[1])])
    for layer in model.upper:
        x = torchs(layer, x, model.config.upper_heads)
    return x


def label_attention(model: BertHier, words: list[int]) -> Tensor:
    return plain.caml_attention(upper(model, words), model.attention["icd"])


def fcn(model: BertHier, words: list[int]) -> Tensor:
    head = model.attention["icd"].output
    return head.weight @ upper(model, words).amax(0) + head.bias


def over_tokens(model: BertHier, words: list[int]) -> Tensor:
    return plain.caml_attention(torch.cat(chunks(model, words)), model.attention["icd"])


@pytest.mark.parametrize(
    ("changes", "by_hand"),
    [
        ({}, label_attention),
        ({"upper_layers": 2}, label_attention),
        ({"chunk": 33}, label_attention),
        ({"chunk": 3}, label_attention),
        ({"head": "fcn"}, fcn),
        ({"attention_over": "tokens"}, over_tokens),
    ],
)
def test_logits_follow_the_formula(changes, by_hand):
    plain.agree(build(**changes), NOTES, by_hand, padded=37)


@torch.no_grad()
@pytest.mark.parametrize("head", ["label_attention", "fcn"])
def test_padding_chunks_take_part_in_the_derived_code(head):
    model = build(match_released_code=True, head=head)
    logits = model(*plain.batch([NOTES[0]], padded=30))["icd"][0]  # two chunks of five
    vectors, attention = upper(model, NOTES[0], empty=3), model.attention["icd"]
    expected = (
        plain.caml_attention(vectors, attention)
        if head == "label_attention"
        else attention.output.weight @ vectors.amax(0) + attention.output.bias
    )
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_padding_chunks_are_not_encoded():
    model, chunk_counts = build(), []
    model.encoder.register_forward_pre_hook(
        lambda module, arguments, named: chunk_counts.append(len(named["input_ids"])), with_kwargs=True
    )
    model(*plain.batch([plain.note(60), [], plain.note(7)]))
    assert chunk_counts == [10 + 1 + 2]


@torch.no_grad()
def test_a_note_of_twelve_thousand_subwords_is_read_completely():
    model, note = build().float(), plain.note(12_000)
    logits = model(*plain.batch([note]))["icd"]
    assert logits.isfinite().all()
    note[-1] = note[-1] % (plain.WORDS - 1) + 1
    assert not torch.equal(model(*plain.batch([note]))["icd"], logits)


def test_logits_depend_on_the_order_of_subwords_but_not_of_chunks():
    model, note = build(), plain.note(12)
    logits = model(*plain.batch([note]))["icd"]
    torch.testing.assert_close(model(*plain.batch([note[6:] + note[:6]]))["icd"], logits)
    assert not torch.allclose(model(*plain.batch([note[::-1]]))["icd"], logits)


def test_a_linear_layer_over_tokens_is_refused():
    raw = {**OPTIONS, "head": "fcn", "attention_over": "tokens"}
    with pytest.raises(UserError, match="attention_over: tokens needs head: label_attention"):
        build_section(BertHierConfig, raw, "params.yaml", "models.bert_hier")
