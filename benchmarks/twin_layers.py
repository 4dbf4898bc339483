"""Layers of the plain twins: torch's own, put together as the authors' code puts them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Words(nn.Embedding):
    """Word vectors with dropout: int [B, N] -> [B, N, E].

    Args:
        vectors: [rows, E].
        trained: whether training changes them.
        dropout: probability that a value is dropped.
    """

    def __init__(self, vectors: Tensor, *, trained: bool, dropout: float) -> None:
        super().__init__(*vectors.shape, padding_idx=0)
        self.weight.data.copy_(vectors)
        self.weight.requires_grad_(trained)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Look up the words."""
        return self.dropout(super().forward(tokens))


class Attention(nn.Module):
    """Label attention of CAML by way of the context vectors: [B, N, D] -> [B, Y].

    Args:
        features: D.
        labels: Y.
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.queries, self.output = nn.Linear(features, labels), nn.Linear(features, labels)

    def forward(self, h: Tensor) -> Tensor:
        """Compute the logits."""
        weights = torch.softmax(self.queries.weight.matmul(h.transpose(1, 2)), dim=2)
        context = weights.matmul(h)  # [B, Y, D]
        return self.output.weight.mul(context).sum(dim=2).add(self.output.bias)


class ProjectedAttention(nn.Module):
    """Label attention of LAAT: [B, N, D], s [B, extra] or None -> [B, Y].

    Args:
        features: D.
        projection: width of the keys.
        labels: Y.
        extra: size of s, which is appended to each context vector.
    """

    def __init__(self, features: int, projection: int, labels: int, extra: int = 0) -> None:
        super().__init__()
        self.projection = nn.Linear(features, projection, bias=False)
        self.queries = nn.Linear(projection, labels, bias=False)
        self.output = nn.Linear(features + extra, labels)

    def forward(self, h: Tensor, s: Tensor | None = None) -> Tensor:
        """Compute the logits."""
        weights = torch.softmax(self.queries(torch.tanh(self.projection(h))), dim=1).transpose(1, 2)
        context = weights @ h  # [B, Y, D]
        if s is not None:
            context = torch.cat([context, s.unsqueeze(1).repeat(1, context.shape[1], 1)], dim=2)
        return self.output.weight.mul(context).sum(dim=2).add(self.output.bias)


class PackedNetwork(nn.Module):
    """Recurrent network of both directions on packed sequences, as LAAT's: [B, N, E], lengths [B] -> [B, N, D].

    Args:
        cell: lstm or gru.
        inputs: E.
        hidden: width of each direction.
    """

    def __init__(self, cell: str, inputs: int, hidden: int) -> None:
        super().__init__()
        network_cls = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.network = network_cls(inputs, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Read the words."""
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.network(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class Residual(nn.Module):
    """Residual block of MultiResCNN: [B, inputs, N] -> [B, features, N].

    Args:
        inputs, features: numbers of channels.
        kernel: K, odd.
        norm: makes a normalization of a number of channels.
        dropout: of the output.
    """

    def __init__(self, inputs: int, features: int, kernel: int, norm: type[nn.Module], dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, features, kernel, padding=kernel // 2, bias=False)
        self.first_norm = norm(features)
        self.second = nn.Conv1d(features, features, kernel, padding=kernel // 2, bias=False)
        self.second_norm = norm(features)
        self.shortcut = nn.Conv1d(inputs, features, 1, bias=False)
        self.shortcut_norm = norm(features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        h = self.second_norm(self.second(torch.tanh(self.first_norm(self.first(x)))))
        return self.dropout(torch.tanh(h + self.shortcut_norm(self.shortcut(x))))


class GroupNorm(nn.GroupNorm):
    """Group normalization with one group.

    Args:
        features: number of channels.
    """

    def __init__(self, features: int) -> None:
        super().__init__(1, features)


class Node(nn.Sequential):
    """A node of RAM: two convolutions of kernel 3, each with batch normalization.

    Args:
        inputs, outputs: numbers of channels.
        layer: nn.Conv1d or nn.ConvTranspose1d.
    """

    def __init__(self, inputs: int, outputs: int, layer: type[nn.Module]) -> None:
        first = layer(inputs, outputs, 3, padding=1, bias=False)
        second = layer(outputs, outputs, 3, padding=1, bias=False)
        super().__init__(first, nn.BatchNorm1d(outputs), nn.Tanh(), second, nn.BatchNorm1d(outputs))


class Recalibration(nn.Module):
    """RAM with a product: [B, D, N] -> [B, D, N].

    Args:
        features: D.
        dropout: of the output.
    """

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        half, quarter = features // 2, features // 4
        self.first_down, self.second_down = Node(features, half, nn.Conv1d), Node(half, quarter, nn.Conv1d)
        self.lateral = Node(quarter, quarter, nn.Conv1d)
        self.first_up = Node(quarter, half, nn.ConvTranspose1d)
        self.second_up = Node(half, features, nn.ConvTranspose1d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """Compute the module."""
        a = self.first_down(h)
        b = self.first_up(self.lateral(self.second_down(a))) + a
        return self.dropout(torch.tanh(self.second_up(b) * h))


class Chomp(nn.Module):
    """Cuts the last positions off: [B, D, N] -> [B, D, N - positions].

    Args:
        positions: how many.
    """

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.positions = positions

    def forward(self, x: Tensor) -> Tensor:
        """Cut."""
        return x[:, :, : -self.positions].contiguous()


class TemporalBlock(nn.Module):
    """Block of DCAN, as those of temporal convolutional networks: [B, inputs, N] -> [B, features, N].

    Args:
        inputs, features: numbers of channels.
        kernel: K.
        dilation: distance between the positions read.
        dropout: after each convolution.
    """

    def __init__(self, inputs: int, features: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding, layers = (kernel - 1) * dilation, []
        for channels in (inputs, features):
            layers += [weight_norm(nn.Conv1d(channels, features, kernel, padding=padding, dilation=dilation))]
            layers += [Chomp(padding), nn.ReLU(), nn.Dropout(dropout)]
        self.network = nn.Sequential(*layers)
        self.shortcut = nn.Conv1d(inputs, features, 1) if inputs != features else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        return torch.relu(self.network(x) + self.shortcut(x))


class Transformer(nn.Module):
    """Transformer layer of Fusion's code, which splits heads by a view: [B, P, D] -> [B, P, D].

    Args:
        features: D.
        heads: number of heads.
        feed_forward: hidden width.
    """

    def __init__(self, features: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.heads, self.width = heads, features // heads
        self.query, self.key, self.value = (nn.Linear(features, features) for _ in range(3))
        self.output, self.attention_norm = nn.Linear(features, features), nn.LayerNorm(features)
        self.widen, self.narrow = nn.Linear(features, feed_forward), nn.Linear(feed_forward, features)
        self.norm = nn.LayerNorm(features)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer."""
        q, k, v = (
            layer(x).view(x.shape[0] * self.heads, -1, self.width) for layer in (self.query, self.key, self.value)
        )
        scores = torch.bmm(q, k.transpose(1, 2)) * max(1, self.width // self.heads) ** -0.5
        context = torch.bmm(torch.softmax(scores, dim=2), v).view(x.shape)
        x = self.attention_norm(x + self.output(context))
        return self.norm(x + self.narrow(torch.relu(self.widen(x))))


class Trellis(nn.Module):
    """Trellis network of GatedCNN-NCI, all features at every level: [B, E, N] -> [B, outputs, N].

    Args:
        inputs: E.
        hidden: width of the states.
        outputs: how many of them are returned, the last ones.
        kernel: K.
        levels: how many times the convolutions are applied.
        dropout: of whole features.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, levels: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.outputs, self.kernel, self.levels = hidden, outputs, kernel, levels
        self.words = nn.Parameter(0.01 * torch.randn(4 * hidden, inputs, kernel))
        self.states = nn.Parameter(0.01 * torch.randn(4 * hidden, hidden, kernel))
        self.bias = nn.Parameter(0.01 * torch.randn(4 * hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the levels."""
        h = c = x.new_zeros(x.shape[0], self.hidden, x.shape[2])
        mask = self.dropout(x.new_ones(x.shape[0], self.hidden, 1)).expand_as(h)
        for level in range(1, self.levels + 1):
            left = (self.kernel - 1) * level
            gates = nn.functional.conv1d(nn.functional.pad(x, (left, 0)), self.words, self.bias, dilation=level)
            gates = gates + nn.functional.conv1d(nn.functional.pad(h, (left, 0)), self.states, dilation=level)
            i, o, g, f = gates.chunk(4, dim=1)
            shifted = nn.functional.pad(c, (level, 0))[:, :, : c.shape[2]]
            c = torch.sigmoid(f) * shifted + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c) * mask
        return h[:, -self.outputs :]
