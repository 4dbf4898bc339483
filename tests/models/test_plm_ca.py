"""PLM-CA against its formula."""

from __future__ import annotations

import numpy as np
import plain
import plain_encoder
import pytest
import torch
from torch import Tensor

from medcode.models.inputs import ModelInputs
from medcode.models.plm_ca import TITLE_POSITIONS, PlmCa, PlmCaConfig

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), plain.note(14, seed=3), []]
TITLES = ["3 4", "5", "", " ".join(["7"] * 40)]


def build(architecture: str = "roberta", titles: list[str] | None = None, **changes) -> PlmCa:
    options = {"chunk": 8, "output": "per_label", "queries": "random", "dropout": 0.0, "embedding": "trained"}
    config = PlmCaConfig(**{**options, **changes})
    torch.manual_seed(0)
    inputs = ModelInputs(
        heads={"icd": 4 if titles else 6},
        encoder=plain_encoder.tiny(architecture, plain.WORDS),
        titles={"icd": titles} if titles else None,
        tokenize=lambda texts: [np.array(text.split(), dtype=np.int32) for text in texts],
    )
    return plain.scramble(PlmCa(config, inputs).eval()).double()


def states(model: PlmCa, words: list[int]) -> Tensor:
    """Return the concatenated states of all chunks of a note between special tokens."""
    whole, size = [model.outline.specials.begin, *words, model.outline.specials.end], model.config.chunk
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    return torch.cat([plain_encoder.states(model.encoder, chunk) for chunk in chunks])


def scores(model: PlmCa, h: Tensor) -> Tensor:
    return model.attention["icd"](h.unsqueeze(0), None)[0]  # tests/layers has the formula


def by_hand(model: PlmCa, words: list[int]) -> Tensor:
    return scores(model, states(model, words))


@pytest.mark.parametrize("output", ["shared", "per_label"])
@pytest.mark.parametrize(("architecture", "chunk"), [("roberta", 8), ("bert", 3), ("bert", 40)])
def test_logits_follow_the_formula(architecture, chunk, output):
    plain.agree(build(architecture, chunk=chunk, output=output), NOTES, by_hand, padded=37)


@torch.no_grad()
def test_a_note_that_fills_its_chunks_has_no_chunk_more():
    model, note = build("bert", chunk=4), plain.note(6)
    features, real = model.encode(*plain.batch([note]))
    assert features.shape == (1, 8, 16) and real.all() and features.isfinite().all()


@torch.no_grad()
def test_the_authors_code_reads_padding_and_adds_a_chunk_to_full_ones():
    model, note = build("bert", chunk=4, match_released_code=True), plain.note(6)
    features, real = model.encode(*plain.batch([note]))
    assert real is None and features.shape == (1, 12, 16) and features.isfinite().all()
    torch.testing.assert_close(features[0, :8], states(model, note))
    pads = plain_encoder.states(model.encoder, [model.outline.specials.pad] * 4)
    torch.testing.assert_close(features[0, 8:], pads)
    logits = model(*plain.batch([note]))["icd"][0]
    torch.testing.assert_close(logits, scores(model, torch.cat([states(model, note), pads])), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("masked", [True, False])
@torch.no_grad()
def test_queries_and_output_vectors_start_from_titles(masked):
    model = build("bert", titles=TITLES, queries="titles", mask_padding=masked)
    attention = model.attention["icd"]
    before = attention.queries.weight.clone()
    model.train().before_training()
    assert model.training
    torch.testing.assert_close(attention.queries.weight[2], before[2])  # no title
    torch.testing.assert_close(attention.queries.weight[:2], attention.output.weight[:2])
    specials = model.outline.specials
    for label, words in ((0, [3, 4]), (1, [5]), (3, [7] * (TITLE_POSITIONS - 2))):
        h = plain_encoder.states(model.encoder, [specials.begin, *words, specials.end])
        expected = h.amax(0)
        if masked or label == 3:
            torch.testing.assert_close(attention.queries.weight[label], expected)
        else:  # padding of the title takes part in the maximum
            assert (attention.queries.weight[label] >= expected - 1e-9).all()
            assert not torch.allclose(attention.queries.weight[label], expected)


@torch.no_grad()
def test_a_shared_output_vector_does_not_start_from_titles():
    model = build(titles=TITLES, queries="titles", output="shared")
    before = model.attention["icd"].output.weight.clone()
    model.before_training()
    assert torch.equal(model.attention["icd"].output.weight, before) and before.shape == (1, 16)


@torch.no_grad()
def test_random_queries_stay_random():
    model = build(titles=TITLES)
    before = model.attention["icd"].queries.weight.clone()
    model.before_training()
    assert torch.equal(model.attention["icd"].queries.weight, before)


@torch.no_grad()
def test_a_note_of_twelve_thousand_subwords_is_read_completely():
    model, note = build().float(), plain.note(12_000)
    logits = model(*plain.batch([note]))["icd"]
    assert logits.isfinite().all()
    note[-1] = note[-1] % (plain.WORDS - 1) + 1
    assert not torch.equal(model(*plain.batch([note]))["icd"], logits)
