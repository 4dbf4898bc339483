"""The papers' formulas for one note at a time, by loops and without padding: oracles of the models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.models.inputs import ModelInputs

WORDS = 30


def inputs(heads: dict[str, int], size: int = 5, **label_inputs) -> ModelInputs:
    """Return the inputs of a model on words, with random word vectors."""
    return ModelInputs(heads=heads, vocab_size=WORDS, vectors=torch.randn(WORDS, size), **label_inputs)


def note(length: int, seed: int = 0) -> list[int]:
    """Return random word ids."""
    return torch.randint(1, WORDS, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def batch(notes: list[list[int]], padded: int = 0) -> tuple[Tensor, Tensor]:
    """Return padded tokens and lengths of notes, the arguments of a model."""
    tokens = torch.zeros(len(notes), max(padded, *map(len, notes)), dtype=torch.long)
    for row, words in zip(tokens, notes, strict=True):
        row[: len(words)] = torch.tensor(words)
    return tokens, torch.tensor([len(words) for words in notes])


def vectors(model: nn.Module, words: list[int]) -> Tensor:
    """Word vectors of a note, [N, E]."""
    return model.embedding.table.weight[torch.tensor(words)]


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, left: int = 0, right: int = 0, dilation: int = 1
) -> Tensor:
    """Convolution of [N, E] by [D, E, K] with zeros on both sides: [N + left + right - dilation (K - 1), D]."""
    kernel, outputs = weight.shape[2], []
    for position in range(-left, len(x) + right - dilation * (kernel - 1)):
        value = torch.zeros(weight.shape[0], dtype=x.dtype) if bias is None else bias.clone()
        for offset in range(kernel):
            place = position + dilation * offset
            if 0 <= place < len(x):
                value = value + weight[:, :, offset] @ x[place]
        outputs.append(value)
    return torch.stack(outputs)


def same(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """Convolution that keeps the number of positions, by the weights of a layer."""
    around = layer.weight.shape[2] // 2
    return convolve(x, layer.weight, layer.bias, left=around, right=around)


def residual(x: Tensor, block: nn.Module, norm) -> Tensor:
    """MultiResCNN's residual block on [N, D]; norm(x, layer) is the normalization."""
    h = torch.tanh(norm(same(x, block.first), block.first_norm))
    return torch.tanh(
        norm(same(h, block.second), block.second_norm) + norm(same(x, block.shortcut), block.shortcut_norm)
    )


def spread(x: Tensor, layer: nn.ConvTranspose1d) -> Tensor:
    """Transposed convolution that keeps the number of positions: each adds to its neighbors and to itself."""
    around = layer.weight.shape[2] // 2
    outputs = torch.zeros(len(x), layer.weight.shape[1], dtype=x.dtype)
    for place, value in enumerate(x):
        for offset in range(layer.weight.shape[2]):
            if 0 <= place + offset - around < len(x):
                outputs[place + offset - around] += value @ layer.weight[:, :, offset]
    return outputs


def normalize(notes: list[Tensor], layer: nn.BatchNorm1d) -> list[Tensor]:
    """Batch normalization of notes [N, D]: by statistics of all their words in training, else by running ones."""
    words = torch.cat(notes)
    mean, variance = layer.running_mean, layer.running_var
    if layer.training:
        mean = words.mean(0)
        variance = (words - mean).square().mean(0)
    return [(x - mean) / (variance + layer.eps).sqrt() * layer.weight + layer.bias for x in notes]


def recalibrate(notes: list[Tensor], ram: nn.Module) -> list[Tensor]:
    """MT-RAM's recalibrated aggregation of notes [N, D], without dropout."""

    def node(convolve, inputs: list[Tensor], layer: nn.Module) -> list[Tensor]:
        h = normalize([convolve(x, layer.first) for x in inputs], layer.first_norm)
        return normalize([convolve(torch.tanh(x), layer.second) for x in h], layer.second_norm)

    once = node(same, notes, ram.first_down)
    twice = node(same, node(same, once, ram.second_down), ram.lateral)
    merged = [a + b for a, b in zip(once, node(spread, twice, ram.first_up), strict=True)]
    weights = node(spread, merged, ram.second_up)
    if ram.combine == "add":
        return [torch.tanh(o + x) for o, x in zip(weights, notes, strict=True)]
    return [torch.tanh(o * x) for o, x in zip(weights, notes, strict=True)]


def attend(h: Tensor, queries: Tensor, weight: Tensor, bias: Tensor, keys: Tensor | None = None) -> Tensor:
    """Label attention over [N, D]: one label after the other, [Y]."""
    keys, logits = h if keys is None else keys, []
    for query, output, constant in zip(queries, weight, bias, strict=True):
        scores = torch.stack([(query @ key).exp() for key in keys])
        context = sum(score / scores.sum() * feature for score, feature in zip(scores, h, strict=True))
        logits.append(output @ context + constant)
    return torch.stack(logits)


def caml_attention(h: Tensor, layer: nn.Module) -> Tensor:
    """`attend` with the weights of a layer."""
    return attend(h, layer.queries.weight, layer.output.weight, layer.output.bias)


def read_by_torch(recurrent: nn.Module, x: Tensor) -> Tensor:
    """Return the states of torch's network, of one or two directions, with the same weights, [N, E] -> [N, D]."""
    network_cls, bidirectional = type(recurrent.forwards), recurrent.backwards is not None
    network = network_cls(x.shape[1], recurrent.forwards.hidden_size, bidirectional=bidirectional, dtype=x.dtype)
    weights = dict(recurrent.forwards.state_dict())
    if bidirectional:
        weights |= {f"{name}_reverse": value for name, value in recurrent.backwards.state_dict().items()}
    network.load_state_dict(weights)
    return network(x.unsqueeze(1))[0].squeeze(1)


def agree(model: nn.Module, notes: list[list[int]], by_hand, head: str = "icd", padded: int = 0) -> None:
    """Assert that a model's logits of padded notes are those of the formula for each note alone."""
    with torch.no_grad():
        logits = model(*batch(notes, padded))[head]
        for scores, words in zip(logits, notes, strict=True):
            torch.testing.assert_close(scores, by_hand(model, words), rtol=1e-5, atol=1e-7)  # softmax is in fp32


def scramble(model: nn.Module, seed: int = 1) -> nn.Module:
    """Sample parameters that are initialized as zeros or ones, such as biases and norm statistics, but no graph's."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.dim() == 1 and value.is_floating_point() and not name.endswith(".weights"):
            sample = torch.rand(value.shape, generator=generator)
            value.copy_(sample + 0.5 if "norm" in name else sample - 0.5)
    return model


def medical_codes(u: Tensor, v: Tensor, a: Tensor, weights: Tensor, *, renormalized: bool = False) -> Tensor:
    """JAMS' equations 1 and 2 for the codes of one system, one after the other, by a matrix of all pairs: [Y, d].

    `weights` [Y, Y'] holds the weight of each edge and 0 where there is none; `a` is [2d].
    """
    rows = []
    for code, edge_weights in zip(u, weights, strict=True):
        neighbors = edge_weights.nonzero().squeeze(1).tolist()
        vectors = [code, *(v[other] for other in neighbors)]
        counts = [1.0, *(edge_weights[other] for other in neighbors)]
        scores = [(a @ torch.cat([code, vector])).item() for vector in vectors]
        shares = torch.tensor([score if score > 0 else 0.2 * score for score in scores], dtype=u.dtype).softmax(0)
        parts = [share * count for share, count in zip(shares, counts, strict=True)]
        total = sum(parts) if renormalized else 1.0
        rows.append(nn.functional.elu(sum(part * vector for part, vector in zip(parts, vectors, strict=True)) / total))
    return torch.stack(rows)
