"""Word vectors: the row of padding is zero, and stays zero."""

from __future__ import annotations

import pytest
import torch

from medcode.layers.word_embedding import WordEmbedding


def test_the_padding_row_is_zero_and_stays_zero():
    layer = WordEmbedding(6, 3, torch.ones(6, 3), trained=True, dropout=0.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.tensor([[0, 2, 0]])).sum().backward()
    optimizer.step()
    assert layer.table.weight[0].tolist() == [0, 0, 0]
    assert layer.table.weight[2].tolist() == pytest.approx([0.9] * 3)


def test_vectors_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(5, 3\) where \(6, 3\) is needed"):
        WordEmbedding(6, 3, torch.ones(5, 3), trained=True, dropout=0.0)
