"""The CNN against its formula, word by word."""

from __future__ import annotations

import pytest
import torch

from medcode.models.cnn import Cnn, CnnConfig
from medcode.models.inputs import ModelInputs

ROWS, SIZE, FILTERS, LABELS, KERNEL = 30, 5, 6, 3, 4


def build(**changes) -> Cnn:
    options = {"dropout": 0.0, "embedding": "trained", "mask_padding": True} | changes
    torch.manual_seed(0)
    config = CnnConfig(filters=FILTERS, kernel=KERNEL, **options)
    inputs = ModelInputs(heads={"icd": LABELS}, vocab_size=ROWS, vectors=torch.randn(ROWS, SIZE))
    return Cnn(config, inputs).eval()


def by_hand(model: Cnn, tokens: list[int]) -> list[float]:
    vectors = model.embedding.table.weight[torch.tensor(tokens)]
    windows = [vectors[start : start + KERNEL].flatten() for start in range(len(tokens) - KERNEL + 1)]
    filters = model.convolution.weight.transpose(1, 2).reshape(FILTERS, -1)
    features = torch.stack([torch.tanh(filters @ window + model.convolution.bias) for window in windows])
    return model.output["icd"](features.max(0).values).tolist()


def test_logits_follow_the_formula():
    model, long, exact = build(), [3, 7, 1, 29, 4, 4, 12, 9], [5, 6, 7, 8]
    tokens = torch.tensor([[*long, 0, 0], [*exact, 0, 0, 0, 0, 0, 0]])
    logits = model(tokens, torch.tensor([8, 4]))["icd"]
    assert logits[0].tolist() == pytest.approx(by_hand(model, long), rel=1e-5)
    assert logits[1].tolist() == pytest.approx(by_hand(model, exact), rel=1e-5)


def test_padding_is_not_masked_in_the_authors_code():
    model, padded = build(match_released_code=True), [3, 7, 1, 29, 4, 0, 0, 0]
    logits = model(torch.tensor([padded]), torch.tensor([5]))["icd"][0]
    assert logits.tolist() == pytest.approx(by_hand(model, padded), rel=1e-5)


def test_a_note_shorter_than_the_kernel_is_padded():
    model = build()
    assert model(torch.tensor([[9, 2]]), torch.tensor([2]))["icd"][0].tolist() == pytest.approx(
        by_hand(model, [9, 2, 0, 0]), rel=1e-5
    )
