"""BiGRU against its formula, cell by cell."""

from __future__ import annotations

import plain
import pytest
import small_models
import torch
from torch import nn

from medcode.models.bigru import BiGru, BiGruConfig

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(5, seed=2)]


def build(**changes) -> BiGru:
    options = {"dropout": 0.0, "embedding": "trained", "mask_padding": True, "bidirectional": True}
    torch.manual_seed(0)
    config = BiGruConfig(width=8, **options | changes)
    return BiGru(config, plain.inputs({"icd": 6})).eval().double()


def last_state(cells: nn.GRU, x: torch.Tensor) -> torch.Tensor:
    """Compute the gates of a GRU, one word after the other."""
    wi, wh, bi, bh = (getattr(cells, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = torch.zeros(wh.shape[1], dtype=x.dtype)
    for word in x:
        (r, z, n), (hr, hz, hn) = (wi @ word + bi).chunk(3), (wh @ h + bh).chunk(3)
        keep = torch.sigmoid(z + hz)
        h = (1 - keep) * torch.tanh(n + torch.sigmoid(r + hr) * hn) + keep * h
    return h


def by_hand(model: BiGru, words: list[int]) -> torch.Tensor:
    x = plain.vectors(model, words)
    states = [last_state(model.recurrent.forwards, x)]
    if model.config.bidirectional:
        states.append(last_state(model.recurrent.backwards, x.flip(0)))
    output = model.output["icd"]
    return output.weight @ torch.cat(states) + output.bias


@pytest.mark.parametrize("bidirectional", [True, False])
def test_logits_follow_the_formula(bidirectional):
    plain.agree(build(bidirectional=bidirectional), NOTES, by_hand, padded=12)


def states(cells: nn.GRU, x: torch.Tensor) -> torch.Tensor:
    """Compute the state after each word."""
    return torch.stack([last_state(cells, x[: end + 1]) for end in range(len(x))])


def pooled_by_hand(model: BiGru, words: list[int]) -> torch.Tensor:
    x = plain.vectors(model, words)
    forwards, backwards = states(model.recurrent.forwards, x), states(model.recurrent.backwards, x.flip(0)).flip(0)
    output = model.output["icd"]
    return output.weight @ torch.cat([forwards, backwards], dim=1).amax(0) + output.bias


def test_the_maximum_is_over_the_states_of_all_words():
    plain.agree(build(pooling="max"), NOTES, pooled_by_hand, padded=12)


def test_padding_is_read_as_in_the_authors_code():
    plain.agree(build(match_released_code=True), [[*NOTES[2], 0, 0, 0]], by_hand)


def test_the_published_training_on_50_codes_is_that_of_the_authors_command():
    """`rnn 200 --cell-type gru --rnn-dim 512 --lr 0.003`: what it leaves out are defaults of their training.py."""
    of_50, of_all = (small_models.settings("bigru", "published", label_set) for label_set in ("top50", "full"))
    assert (of_50.config.bidirectional, of_all.config.bidirectional) == (False, True)
    assert (of_50.recipe.epochs, of_50.recipe.patience, of_50.recipe.monitor) == (200, 3, "f1_micro")
    assert (of_all.recipe.epochs, of_all.recipe.patience, of_all.recipe.monitor) == (100, 10, "precision_at_8")
    assert small_models.settings("bigru", "quick").config.bidirectional
