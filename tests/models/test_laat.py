"""LAAT against its formula, on torch's own recurrent networks run on one note at a time."""

from __future__ import annotations

import plain
import pytest
import torch

from medcode.models.laat import Laat, LaatConfig

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(5, seed=2)]


def build(rnn: str = "lstm", **changes) -> Laat:
    options = {"dropout": 0.0, "embedding": "static", "mask_padding": True} | changes
    torch.manual_seed(0)
    config = LaatConfig(rnn=rnn, hidden=4, projection=3, **options)
    return Laat(config, plain.inputs({"icd": 6})).eval().double()


def states(model: Laat, words: list[int]) -> torch.Tensor:
    return plain.read_by_torch(model.recurrent, plain.vectors(model, words))


def scores(model: Laat, h: torch.Tensor) -> torch.Tensor:
    head = model.attention["icd"]
    keys = torch.tanh(h @ head.projection.weight.T)
    return plain.attend(h, head.queries.weight, head.output.weight, head.output.bias, keys)


def by_hand(model: Laat, words: list[int]) -> torch.Tensor:
    return scores(model, states(model, words))


@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_logits_follow_the_formula(rnn):
    plain.agree(build(rnn), NOTES, by_hand, padded=12)


@torch.no_grad()
def test_padding_with_zero_states_is_attended_in_the_authors_code():
    model = build(match_released_code=True)
    logits = model(*plain.batch([NOTES[0]], padded=12))["icd"][0]
    h = torch.cat([states(model, NOTES[0]), torch.zeros(3, 8, dtype=torch.double)])
    torch.testing.assert_close(logits, scores(model, h), rtol=1e-5, atol=1e-7)


def test_initial_weights_are_as_in_the_authors_code():
    torch.manual_seed(0)
    options = {"dropout": 0.0, "embedding": "static", "mask_padding": True}
    config = LaatConfig(rnn="lstm", hidden=64, projection=64, **options)
    head = Laat(config, plain.inputs({"icd": 100})).attention["icd"]
    for layer in (head.projection, head.queries, head.output):
        assert layer.weight.std().item() == pytest.approx(0.03, rel=0.05)
