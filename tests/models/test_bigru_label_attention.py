"""BiGRU with label attention against its formula, on torch's own GRU run on one note at a time."""

from __future__ import annotations

import plain
import pytest
import torch

from medcode.models.bigru_label_attention import BiGruLabelAttention, BiGruLabelAttentionConfig

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(5, seed=2)]


def build(**changes) -> BiGruLabelAttention:
    options = {"dropout": 0.0, "embedding": "static", "mask_padding": True, "bidirectional": True}
    torch.manual_seed(0)
    config = BiGruLabelAttentionConfig(hidden=4, **options | changes)
    return BiGruLabelAttention(config, plain.inputs({"icd": 6})).eval().double()


def by_hand(model: BiGruLabelAttention, words: list[int]) -> torch.Tensor:
    h = plain.read_by_torch(model.recurrent, plain.vectors(model, words))
    return plain.caml_attention(h, model.attention["icd"])


@pytest.mark.parametrize("bidirectional", [True, False])
def test_logits_follow_the_formula(bidirectional):
    plain.agree(build(bidirectional=bidirectional), NOTES, by_hand, padded=12)


def test_padding_is_read_and_attended_as_in_the_authors_code():
    plain.agree(build(match_released_code=True), [[*NOTES[2], 0, 0, 0]], by_hand)
