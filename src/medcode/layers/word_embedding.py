"""Word vectors, the first layer of every model on words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.dropout import Dropout
from medcode.text.vocabulary import PAD


class WordEmbedding(nn.Module):
    """Word embedding with dropout.

    Source: caml-mimic (the PAD row is row 0, zero, and stays zero).

    Args:
        rows: vocabulary size with PAD and UNK.
        size: E.
        vectors: pretrained [rows, E]; None samples them from a normal distribution.
        trained: whether training changes the table.
        dropout: probability that a value is dropped.

    Shapes: int [B, N] -> [B, N, E].
    """

    def __init__(self, rows: int, size: int, vectors: Tensor | None, *, trained: bool, dropout: float) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, size, padding_idx=PAD)
        if vectors is not None:
            if tuple(vectors.shape) != (rows, size):
                raise ValueError(f"word vectors of shape {tuple(vectors.shape)} where {(rows, size)} is needed")
            with torch.no_grad():
                self.table.weight.copy_(vectors)
                self.table.weight[PAD] = 0
        self.table.weight.requires_grad_(trained)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.table(tokens))  # [B, N, E]
