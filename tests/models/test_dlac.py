"""DLAC against its formula."""

from __future__ import annotations

import math

import plain
import plain_encoder
import pytest
import torch
from torch import Tensor

from medcode.layers.title_vectors import title_vectors
from medcode.models.dlac import Dlac, DlacConfig
from medcode.models.inputs import ModelInputs

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), plain.note(14, seed=3), []]
TITLES = torch.tensor([[3, 4, 9], [7, 0, 0], [0, 0, 0], [4, 3, 0]])
SIZE = 3


def build(architecture: str = "roberta", titles: Tensor | None = TITLES, **changes) -> Dlac:
    options = {"chunk": 8, "chunks": "joined", "title_size": SIZE, "dropout": 0.0, "embedding": "trained"}
    torch.manual_seed(0)
    inputs = ModelInputs(
        heads={"icd": len(TITLES)},
        encoder=plain_encoder.tiny(architecture, plain.WORDS),
        descriptions=None if titles is None else {"icd": titles},
    )
    return plain.scramble(Dlac(DlacConfig(**options | changes), inputs).eval()).double()


def scores(model: Dlac, h: Tensor) -> Tensor:
    head = model.attention["icd"]
    keys = (h @ head.projection.weight.T + head.projection.bias) / math.sqrt(2 * SIZE)
    return plain.attend(h, head.queries.weight, head.output.weight, head.output.bias, keys)


def by_hand(model: Dlac, words: list[int]) -> Tensor:
    whole, size = [model.outline.specials.begin, *words, model.outline.specials.end], model.config.chunk
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    return scores(model, torch.cat([plain_encoder.states(model.encoder, chunk) for chunk in chunks]))


def averaged_by_hand(model: Dlac, words: list[int]) -> Tensor:
    begin, end, room = model.outline.specials.begin, model.outline.specials.end, model.config.chunk - 2
    parts = [words[start : start + room] for start in range(0, len(words), room)] or [[]]
    logits = [scores(model, plain_encoder.states(model.encoder, [begin, *part, end])) for part in parts]
    return torch.stack(logits).mean(0)


@pytest.mark.parametrize("architecture", ["roberta", "bert"])
@pytest.mark.parametrize(("chunks", "formula"), [("joined", by_hand), ("averaged", averaged_by_hand)])
def test_logits_follow_the_formula(architecture, chunks, formula):
    plain.agree(build(architecture, chunks=chunks), NOTES, formula, padded=37)


@torch.no_grad()
def test_two_equal_chunks_have_the_logits_of_one():
    model, chunk = build(chunks="averaged"), plain.note(6)
    one, two = model(*plain.batch([chunk, chunk + chunk]))["icd"]
    torch.testing.assert_close(two, one)


@torch.no_grad()
@pytest.mark.parametrize("chunks", ["joined", "averaged"])
def test_padding_takes_part_in_the_authors_code(chunks):
    model = build(chunks=chunks, match_released_code=True)
    short, longer = plain.note(5), plain.note(12, seed=1)
    alone, together = (model(*plain.batch(notes))["icd"][0] for notes in ([short], [short, longer]))
    assert not torch.allclose(alone, together)


@torch.no_grad()
def test_label_vectors_start_as_the_maximum_and_the_minimum_over_the_words_of_a_title():
    vectors = title_vectors(TITLES, SIZE, epochs=30, seed=1)
    assert vectors.shape == (4, 2 * SIZE)
    one_word = vectors[1]
    assert torch.equal(one_word[:SIZE], one_word[SIZE:]) and one_word.abs().max() > 0
    assert (vectors[0, :SIZE] > vectors[0, SIZE:]).all()
    assert (vectors[3, :SIZE] <= vectors[0, :SIZE]).all() and (vectors[3, SIZE:] >= vectors[0, SIZE:]).all()
    assert (vectors[2, SIZE:] > 0).all() and (vectors[2, :SIZE] < 1).all()  # random, of a title without words
    torch.testing.assert_close(build().attention["icd"].queries.weight, vectors.double())


def test_label_vectors_depend_on_the_seed_alone():
    first, same, other = (title_vectors(TITLES, SIZE, epochs=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert title_vectors(torch.zeros(2, 3, dtype=torch.long), SIZE, epochs=3, seed=1).shape == (2, 2 * SIZE)


@torch.no_grad()
def test_the_order_of_positions_does_not_matter_to_a_label():
    head, h = build().attention["icd"], torch.randn(1, 9, 16, dtype=torch.float64)
    torch.testing.assert_close(head(h, None), head(h[:, torch.randperm(9)], None))


@torch.no_grad()
def test_all_positions_of_longformer_attend_to_the_first():
    """The last word is further from the first than two layers of local attention reach."""
    model = build("longformer", chunk=64).float()
    assert (model.encoder.config.attention_window, model.encoder.config.num_hidden_layers) == ([4, 4], 2)
    note = plain.note(30)
    changed = [*note[:-1], note[-1] % (plain.WORDS - 1) + 1]
    before, after = (model.encode(*plain.batch([words]))[0][0] for words in (note, changed))
    assert (before[:15] - after[:15]).abs().max() > 1e-4


def test_weights_are_drawn_without_titles_and_kept_when_loaded():
    model, other = build(), build(titles=None)
    assert not torch.equal(model.attention["icd"].queries.weight, other.attention["icd"].queries.weight)
    other.load_state_dict(model.state_dict())
    notes = plain.batch(NOTES)
    assert torch.equal(model(*notes)["icd"], other(*notes)["icd"])
