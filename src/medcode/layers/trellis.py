"""GatedCNN's encoder: an LSTM's gates from convolutions, the same at every level."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.convolution import convolve
from medcode.layers.dropout import Dropout


class TrellisEncoder(nn.Module):
    """Trellis network: each level gates what the level before it made of words further and further back.

    Source: Bai et al. 2019, "Trellis Networks for Sequence Modeling", as Ji et al. 2021 use it in GatedCNN-NCI. Level
    i = 1, 2, ... reads with dilation i; all levels share their weights, and read the words again:

        i, o, g, f = conv(x; W, level) + conv(h; V, level) + b
        c' = sigmoid(f) * c shifted by the level + sigmoid(i) * tanh(g),   h' = sigmoid(o) * tanh(c')

    with h = c = 0 at first. Dropout on h has one mask a document, for all positions and levels. Of the last level only
    the features that are wanted are computed: nothing reads the others.

    Args:
        inputs: E.
        hidden: width of h and c.
        outputs: features of h that are wanted, the last ones.
        kernel: K.
        levels: how many.
        dropout: probability that a feature of h is dropped.

    Shapes: [B, E, N] -> h of the last level, [B, outputs, N]. Position t depends on positions up to t alone.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, levels: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.outputs, self.kernel, self.levels = hidden, outputs, kernel, levels
        self.words = nn.Parameter(torch.empty(4 * hidden, inputs, kernel))
        self.states = nn.Parameter(torch.empty(4 * hidden, hidden, kernel))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        for weights in (self.words, self.states, self.bias):
            nn.init.normal_(weights, std=0.01)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[0], self.hidden, x.shape[2])
        kept = self.dropout(x.new_ones(x.shape[0], self.hidden, 1))
        for level in range(1, self.levels + 1):
            wanted = self.outputs if level == self.levels else self.hidden
            gates = self._causal(x, self._last(self.words, wanted), level) + self._last(self.bias, wanted).unsqueeze(1)
            if level > 1:  # h is zero before
                gates = gates + self._causal(h, self._last(self.states, wanted), level)
            i, o, g, f = gates.chunk(4, dim=1)
            shifted = nn.functional.pad(c[:, -wanted:], (level, 0))[:, :, : c.shape[2]]
            c = torch.sigmoid(f) * shifted + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c) * kept[:, -wanted:]
        return h

    def _last(self, weights: Tensor, features: int) -> Tensor:
        """What makes the last features of h and c: [4 hidden, ...] -> [4 features, ...]."""
        return weights.unflatten(0, (4, self.hidden))[:, -features:].flatten(0, 1)

    def _causal(self, x: Tensor, weights: Tensor, dilation: int) -> Tensor:
        x = nn.functional.pad(x, ((self.kernel - 1) * dilation, 0))
        return convolve(x, weights, dilation=dilation)
