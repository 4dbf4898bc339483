"""CAML against its formula, word by word."""

from __future__ import annotations

import math

import pytest
import torch

from medcode.models.caml import Caml, CamlConfig
from medcode.models.inputs import ModelInputs

ROWS, SIZE, FILTERS, LABELS = 30, 5, 4, 3


def build(kernel: int, **changes) -> Caml:
    options = {"dropout": 0.0, "embedding": "trained", "mask_padding": True} | changes
    torch.manual_seed(kernel)
    config = CamlConfig(filters=FILTERS, kernel=kernel, **options)
    inputs = ModelInputs(heads={"icd": LABELS}, vocab_size=ROWS, vectors=torch.randn(ROWS, SIZE))
    return Caml(config, inputs).eval().double()


def by_hand(model: Caml, tokens: list[int], positions: int) -> list[float]:
    """Compute logits of one note by the formula, position by position and without padding."""
    weight, bias = model.convolution.weight, model.convolution.bias
    table, kernel = model.embedding.table.weight, model.config.kernel
    head = model.attention["icd"]
    features = []
    for position in range(positions):
        value = bias.clone()
        for offset in range(kernel):
            place = position - kernel // 2 + offset
            if 0 <= place < len(tokens):
                value = value + weight[:, :, offset] @ table[tokens[place]]
        features.append(torch.tanh(value))
    logits = []
    for label in range(LABELS):
        scores = [math.exp(float(head.queries.weight[label] @ feature)) for feature in features]
        context = sum(score / sum(scores) * feature for score, feature in zip(scores, features, strict=True))
        logits.append(float(head.output.weight[label] @ context + head.output.bias[label]))
    return logits


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 4, 10])
def test_logits_follow_the_formula(kernel):
    model, notes = build(kernel), [[3, 7, 1, 29, 4, 4, 12, 9, 2, 18, 22], [5], [8, 6, 20]]
    padded = torch.zeros(3, 14, dtype=torch.long)
    for row, note in enumerate(notes):
        padded[row, : len(note)] = torch.tensor(note)
    logits = model(padded, torch.tensor([len(note) for note in notes]))["icd"]
    for row, note in enumerate(notes):
        expected = by_hand(model, note, len(note) + (kernel % 2 == 0))
        assert logits[row].tolist() == pytest.approx(expected, rel=1e-6)  # softmax is in fp32


@torch.no_grad()
@pytest.mark.parametrize("changes", [{"match_released_code": True}, {"mask_padding": False}])
def test_padding_is_not_masked_in_the_authors_code(changes):
    model = build(10, **changes)
    logits = model(torch.tensor([[3, 7, 1, 0, 0, 0]]), torch.tensor([3]))["icd"][0]
    # A pad's vector is zero, so a pad is a position that only reads the words around it.
    assert logits.tolist() == pytest.approx(by_hand(model, [3, 7, 1], positions=7), rel=1e-6)


def test_an_even_kernel_attends_to_one_more_position():
    weights = build(10).label_attention(torch.ones(2, 20, dtype=torch.long), torch.tensor([20, 20]))
    assert weights["icd"].shape == (2, LABELS, 21)
    assert build(3).label_attention(torch.ones(1, 20, dtype=torch.long), torch.tensor([20]))["icd"].shape[2] == 20
