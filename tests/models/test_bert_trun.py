"""BERT-trun against its formula."""

from __future__ import annotations

import plain
import plain_encoder
import pytest
import torch
from torch import Tensor

from medcode.errors import UserError
from medcode.models.bert_trun import BertTrun, BertTrunConfig
from medcode.models.inputs import ModelInputs

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), []]


def build(**changes) -> BertTrun:
    options = {"head": "fcn", "chunk": 14, "dropout": 0.0, "embedding": "trained"}
    config = BertTrunConfig(**{**options, "mask_padding": True, **changes})
    torch.manual_seed(0)
    model = BertTrun(
        config, ModelInputs(heads={"icd": 6}, encoder=plain_encoder.tiny(vocabulary_size=plain.WORDS))
    ).eval()
    return plain.scramble(model).double()


def read(model: BertTrun, words: list[int]) -> Tensor:
    """Return the states of the first chunk."""
    begin, end = model.outline.specials.begin, model.outline.specials.end
    return plain_encoder.states(model.encoder, [begin, *words[: model.config.chunk - 2], end])


def fcn(model: BertTrun, words: list[int]) -> Tensor:
    head = model.attention["icd"].output
    return head.weight @ read(model, words)[0] + head.bias


def label_attention(model: BertTrun, words: list[int]) -> Tensor:
    return plain.caml_attention(read(model, words), model.attention["icd"])


@pytest.mark.parametrize(("head", "by_hand"), [("fcn", fcn), ("label_attention", label_attention)])
def test_logits_follow_the_formula(head, by_hand):
    plain.agree(build(head=head), NOTES, by_hand)


def test_only_the_first_chunk_is_read():
    model, note = build(), plain.note(30)
    logits = model(*plain.batch([note]))["icd"]
    assert torch.equal(logits, model(*plain.batch([note[:12]]))["icd"])
    assert not torch.allclose(logits, model(*plain.batch([note[:11]]))["icd"])


def test_an_encoder_that_reads_less_than_a_chunk_is_refused():
    assert build(chunk=plain_encoder.POSITIONS).config.chunk == 64
    with pytest.raises(UserError, match="chunk: the encoder reads 64 subwords at a time, found 65; set at most that"):
        build(chunk=65)


def test_subword_vectors_can_be_frozen():
    table = build(embedding="static").encoder.get_input_embeddings().weight
    assert not table.requires_grad
    assert build().encoder.get_input_embeddings().weight.requires_grad


def test_layer_depths_of_all_encoder_parameters():
    model = build(head="label_attention")
    depths = model.layer_depths()
    assert set(depths) == {name for name, _ in model.named_parameters() if name.startswith("encoder.")}
    assert depths["encoder.embeddings.word_embeddings.weight"] == depths["encoder.embeddings.LayerNorm.bias"] == 2
    assert depths["encoder.encoder.layer.0.attention.self.query.weight"] == 1
    assert depths["encoder.encoder.layer.1.output.dense.weight"] == depths["encoder.pooler.dense.weight"] == 0


def test_tokens_behind_the_chunk_have_no_position():
    model = build(head="label_attention")
    room = model.config.chunk - 2
    assert model.config.token_limit == room
    marked = torch.zeros(1, room + 4, dtype=torch.bool)
    marked[0, [0, room - 1, room]] = True
    positions = model.label_attention(*plain.batch([[1] * (room + 4)]))["icd"].shape[2]
    assert model.marked_positions(marked, positions)[0].nonzero().flatten().tolist() == [1, room]
