"""PLM-ICD against its formula."""

from __future__ import annotations

import plain
import plain_encoder
import pytest
import torch
from torch import Tensor

from medcode.models.inputs import ModelInputs
from medcode.models.plm_icd import PlmIcd, PlmIcdConfig

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), plain.note(14, seed=3), []]


def build(architecture: str = "roberta", labels: int = 6, **changes) -> PlmIcd:
    options = {"chunk": 8, "variant": "original", "dropout": 0.0, "embedding": "trained", "mask_padding": True}
    config = PlmIcdConfig(**{**options, **changes})
    torch.manual_seed(0)
    encoder = plain_encoder.tiny(architecture, plain.WORDS)
    return plain.scramble(PlmIcd(config, ModelInputs(heads={"icd": labels}, encoder=encoder)).eval()).double()


def states(model: PlmIcd, words: list[int]) -> Tensor:
    """Return the concatenated states of all chunks of a note between special tokens."""
    whole, size = [model.outline.specials.begin, *words, model.outline.specials.end], model.config.chunk
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    return torch.cat([plain_encoder.states(model.encoder, chunk) for chunk in chunks])


def scores(model: PlmIcd, h: Tensor) -> Tensor:
    head = model.attention["icd"]
    keys = torch.tanh(h @ head.projection.weight.T)
    return plain.attend(h, head.queries.weight, head.output.weight, head.output.bias, keys)


def by_hand(model: PlmIcd, words: list[int]) -> Tensor:
    return scores(model, states(model, words))


@pytest.mark.parametrize("architecture", ["roberta", "bert"])
@pytest.mark.parametrize("chunk", [3, 8, 40])
def test_logits_follow_the_formula(architecture, chunk):
    plain.agree(build(architecture, chunk=chunk), NOTES, by_hand, padded=37)


@torch.no_grad()
def test_padding_to_whole_chunks_changes_logits_only_if_requested():
    """Notes of equal length that fill their chunks have no padding, so both results agree."""
    notes = [plain.note(14), plain.note(14, seed=1)]
    expected = build()(*plain.batch(notes))["icd"]
    for variant in ("original", "edin"):
        model = build(match_released_code=True, variant=variant)
        model.load_state_dict(build().state_dict())
        torch.testing.assert_close(model(*plain.batch(notes))["icd"], expected)


@torch.no_grad()
def test_padding_is_read_like_subwords_in_edins_code():
    """Seven subwords with special tokens in two chunks of four, and a chunk of padding, with positions in BERT."""
    model = build("bert", chunk=4, variant="edin", match_released_code=True)
    note, specials = plain.note(5), model.outline.specials
    logits = model(*plain.batch([note], padded=10))["icd"][0]
    whole = [specials.begin, *note, specials.end, *[specials.pad] * 5]
    parts = [plain_encoder.states(model.encoder, whole[start : start + 4]) for start in (0, 4, 8)]
    torch.testing.assert_close(logits, scores(model, torch.cat(parts)), rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_only_label_attention_reads_padding_in_the_authors_code():
    model = build("bert", chunk=4, match_released_code=True)
    note = plain.note(5)
    changed = model(*plain.batch([note], padded=6))["icd"][0]
    real = states(model, note)
    features = model.encode(*plain.batch([note], padded=6))[0][0]
    torch.testing.assert_close(features[:7], real)  # what pads there are, no subword has read
    assert features.shape == (8, 16)
    torch.testing.assert_close(changed, scores(model, features), rtol=1e-5, atol=1e-7)
    assert not torch.allclose(changed, scores(model, real))


@pytest.mark.parametrize(("variant", "std"), [("original", 0.02), ("edin", 0.03)])
def test_label_attention_is_initialized_as_in_each_code(variant, std):
    config = build(variant=variant).config
    torch.manual_seed(0)
    inputs = ModelInputs(heads={"icd": 400}, encoder=plain_encoder.tiny("roberta"))
    head = PlmIcd(config, inputs).attention["icd"]
    for layer in (head.queries, head.output):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
    assert head.projection.weight.shape == (16, 16)
    bias = head.output.bias.detach()  # torch's is uniform in +-1 / sqrt(16)
    expected = 0.0 if variant == "original" else 0.25 / 3**0.5
    assert bias.square().mean().sqrt().item() == pytest.approx(expected, rel=0.1)


@torch.no_grad()
def test_a_note_of_twelve_thousand_subwords_is_read_completely():
    model, note = build().float(), plain.note(12_000)
    logits = model(*plain.batch([note]))["icd"]
    assert logits.isfinite().all()
    note[-1] = note[-1] % (plain.WORDS - 1) + 1
    assert not torch.equal(model(*plain.batch([note]))["icd"], logits)


def test_padding_to_whole_chunks_stands_for_no_token():
    model = build(match_released_code=True)
    batch = plain.batch([[1] * 9])
    positions = next(iter(model.label_attention(*batch).values())).shape[2]
    assert positions % model.config.chunk == 0 and positions > 11
    marked = model.marked_positions(torch.ones(1, 9, dtype=torch.bool), positions)
    assert marked.shape == (1, positions) and marked[0].nonzero().flatten().tolist() == list(range(1, 10))
