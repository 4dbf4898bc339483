"""Note-code interaction: summing over positions first gives the paper's logits."""

from __future__ import annotations

import torch

from medcode.models.gatedcnn_nci import CodeInteraction, mean_vectors


def test_logits_equal_the_published_form():
    torch.manual_seed(0)
    layer, h = CodeInteraction(4, 3), torch.randn(2, 4, 6)
    scores = layer.queries.weight @ h  # [B, Y, N]
    messages = scores @ h.transpose(1, 2)  # [B, Y, D]
    expected = layer.projection(layer.output.weight * messages + layer.output.bias.unsqueeze(1)).squeeze(2)
    torch.testing.assert_close(layer(h), expected)


def test_mean_vectors_exclude_padding():
    table = torch.tensor([[0.0, 0], [2, 4], [4, 0]])
    means = mean_vectors(table, torch.tensor([[1, 2, 0], [2, 0, 0], [0, 0, 0]]))
    assert means.tolist() == [[3, 2], [4, 0], [0, 0]]
