"""Logits of a note without some of its tokens, for every model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from small_models import HEADS, build, every_model, every_variant, notes

from medcode.evidence import hiding
from medcode.evidence.hiding import hidden_logits
from medcode.evidence.token_vectors import baseline_vector, changed_vectors, embedding_layer, token_places
from medcode.models.base import Model

LABELS = torch.tensor([4, 0, 6])
N = 23


def ways(*hidden: list[int], length: int = N) -> torch.Tensor:
    """Return the ways of hiding the tokens with these numbers, bool [M, N]."""
    return torch.stack([torch.isin(torch.arange(length), torch.tensor(numbers)) for numbers in hidden])


@every_variant
def test_nothing_hidden_gives_the_models_own_logits(name, variant):
    model, (tokens, length) = build(name, **variant), notes([N])
    for head, labels in (("icd", LABELS), ("category", torch.tensor([2, 0]))):
        with torch.no_grad():
            whole = model(tokens, length)[head][0, labels]
        hidden = hidden_logits(model, tokens[0], head, labels, ways([], [3, 4]))
        assert hidden.shape == (2, len(labels)) and hidden.dtype == torch.float32 and not hidden.requires_grad
        torch.testing.assert_close(hidden[0], whole)
        assert not torch.allclose(hidden[1], whole)


@every_model
def test_a_hidden_token_changes_the_vectors_of_no_other_token(name, monkeypatch):
    model, (tokens, _) = build(name), notes([N])
    if embedding_layer(model) is None:
        pytest.skip(f"{name} has no word vectors")
    seen: list[torch.Tensor] = []

    def spy(model: Model, change: Callable) -> AbstractContextManager:
        return changed_vectors(model, lambda output: seen.extend([output, changed := change(output)]) or changed)

    monkeypatch.setattr(hiding, "changed_vectors", spy)
    hidden = ways([0, 7, N - 1])
    hidden_logits(model, tokens[0], "icd", LABELS, hidden)
    (before, after), places = seen, token_places(model, N)
    is_hidden = (places >= 0) & hidden[0][places.clamp(min=0)]
    assert is_hidden.sum() >= 3 and torch.equal(before[~is_hidden], after[~is_hidden])
    assert (after[is_hidden] == baseline_vector(model)).all() and (before[is_hidden] != after[is_hidden]).any()


@every_model
def test_many_ways_at_once_equal_one_by_one(name, monkeypatch):
    model, (tokens, _) = build(name), notes([N])
    random = torch.rand(12, N, generator=torch.Generator().manual_seed(3))
    hidden = torch.cat([ways([], range(N), range(1, N)), random < torch.linspace(0, 1, 12)[:, None]])
    together = hidden_logits(model, tokens[0], "icd", LABELS, hidden)
    one_by_one = torch.cat([hidden_logits(model, tokens[0], "icd", LABELS, way[None]) for way in hidden])
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(hiding, "TOKENS_AT_A_TIME", 4 * N)
    in_parts = hidden_logits(model, tokens[0], "icd", LABELS, hidden)
    torch.testing.assert_close(in_parts, together, rtol=1e-4, atol=1e-5)


@every_model
def test_hiding_every_token_leaves_nothing_of_a_note(name):
    """What is left depends on the note's length at most: its words no longer matter."""
    model = build(name)
    of_notes = [hidden_logits(model, notes([N], seed=seed)[0][0], "icd", LABELS, ways(range(N)))[0] for seed in (1, 2)]
    torch.testing.assert_close(*of_notes)


def test_a_linear_model_reads_the_note_without_hidden_tokens():
    model, (tokens, _) = build("linear"), notes([N])
    hidden = ways([0], [5, 6, 7, 20], range(0, N, 2), range(1, N), range(N))
    found = hidden_logits(model, tokens[0], "icd", LABELS, hidden)
    for row, way in zip(found, hidden, strict=True):
        kept = tokens[:, ~way]
        alone = model(kept if len(kept[0]) else torch.zeros(1, 1, dtype=torch.long), torch.tensor([len(kept[0])]))
        torch.testing.assert_close(row, alone["icd"][0, LABELS])
    torch.testing.assert_close(found[-1], model.output["icd"].bias[LABELS])  # of no word at all


@every_model
def test_a_note_of_one_token_may_be_hidden(name):
    model, (tokens, length) = build(name), notes([1])
    hidden = hidden_logits(model, tokens[0], "icd", torch.arange(HEADS["icd"]), ways([], [0], length=1))
    with torch.no_grad():
        torch.testing.assert_close(hidden[:1], model(tokens, length)["icd"])
    assert torch.isfinite(hidden).all() and not torch.allclose(hidden[0], hidden[1])
