"""Attributions: a weight for each token of a note, which says how much it made the score of a code.

Every method has the same arguments: a model in evaluation mode, the token ids of one note int [N] with N > 0, a head,
and the indices of K labels of it, int [K]. It returns fp32 [K, N]. The note is read alone, without padding, as
`predict` reads it. A forward pass is one of this note; a backward pass takes about as long. `attribute` applies a
method to padded batches.

A method for a model that lacks what it needs raises a `UserError`, which names those that work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medcode.errors import UserError
from medcode.evidence.hiding import copies_at_a_time, hidden_logits, repeated
from medcode.evidence.label_subset import only_labels
from medcode.evidence.token_vectors import (
    baseline_vector,
    changed_vectors,
    embedding_layer,
    token_places,
    without_weight_gradients,
)
from medcode.layers.tfidf import TfIdf, document_keys
from medcode.models.base import Model

Method = Callable[[Model, Tensor, str, Tensor], Tensor]
STEPS = 32  # of integrated gradients
BLOCK = 1024  # tokens whose positions in the label attention are found at once


@torch.no_grad()
def label_attention(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return the attention of the labels to the tokens; not negative, of sum 1 or less.

    A position that stands for several tokens divides its attention among them, and a token with several positions has
    the sum of its parts. The attention to special tokens belongs to no token. Cost: one forward pass.
    """
    check_method(model, "label_attention")
    attention = model.label_attention(tokens[None], _length(tokens), {head: labels})[head][0].float()  # [K, P]
    token, position = _positions(model, len(tokens), attention.shape[1])
    shares = attention / torch.bincount(position, minlength=attention.shape[1]).clamp(min=1)
    return attention.new_zeros(len(labels), len(tokens)).index_add_(1, token, shares[:, position])


def gradient_x_input(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return the product of each token's vector and the gradient of the logit by it, x . dz/dx.

    Source: Shrikumar et al. 2016, "Not Just a Black Box: Learning Important Features Through Propagating Activation
    Differences". Cost: one forward pass and a backward pass for each label.
    """
    check_method(model, "gradient_x_input")
    return _by_token(model, tokens, _gradient_times_vectors(model, tokens, head, labels).sum(-1))


def attention_x_gradient(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return the attention to each token times the size of its gradient x input, a |x * dz/dx|; not negative.

    Source: Edin et al. 2024, "An Unsupervised Approach to Achieve Supervised-Level Explainability in Healthcare
    Records", AttInGrad, the best method of that study; its code takes the Euclidean norm. There the vectors include
    those of positions, after normalization. Here they are those of the tokens alone. Cost: two forward passes and a
    backward pass for each label.
    """
    check_method(model, "attention_x_gradient")
    sizes = _gradient_times_vectors(model, tokens, head, labels).norm(dim=-1)
    return label_attention(model, tokens, head, labels) * _by_token(model, tokens, sizes)


def attention_x_signed_gradient(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return the attention to each token times its gradient x input, a (x . dz/dx).

    As `attention_x_gradient`, but with a sign: a token that the label attends to, and that speaks against it, has a
    negative weight instead of a large one. Ours. Cost: as `attention_x_gradient`.
    """
    check_method(model, "attention_x_signed_gradient")
    return label_attention(model, tokens, head, labels) * gradient_x_input(model, tokens, head, labels)


def integrated_gradients(model: Model, tokens: Tensor, head: str, labels: Tensor, steps: int = STEPS) -> Tensor:
    """Return the integral of gradient x input on the straight way from padding vectors to the note's vectors.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks". The integral is a Gauss-Legendre
    quadrature. The weights of a label sum to the difference between its logit for the note and for a note of padding
    vectors between the same special tokens, up to the error of the quadrature. Cost: `steps` times that of
    `gradient_x_input`.
    """
    check_method(model, "integrated_gradients")
    places, baseline = token_places(model, len(tokens)), baseline_vector(model)
    is_token = (places >= 0)[..., None]
    points, weights = (torch.from_numpy(x).float() / 2 for x in np.polynomial.legendre.leggauss(steps))
    total = torch.zeros(len(labels), *places.shape, device=tokens.device)
    for part in range(0, steps, copies := copies_at_a_time(tokens)):
        alphas = (points[part : part + copies] + 0.5).to(tokens.device)
        vectors: list[Tensor] = []

        def interpolate(output: Tensor, alphas: Tensor = alphas, vectors: list[Tensor] = vectors) -> Tensor:
            output = output.detach().unflatten(0, (len(alphas), -1))  # [copies, C, L, E]
            way = (output[0] - baseline) * is_token
            start = output[0] - way
            vectors += [way, (start + alphas[:, None, None, None] * way).flatten(0, 1).requires_grad_()]
            return vectors[1]

        with without_weight_gradients(model), changed_vectors(model, interpolate):
            logits = model(*repeated(tokens, len(alphas)))[head][:, labels]
            weighted = weights[part : part + copies].to(logits) @ logits
            for row, value in enumerate(weighted):
                gradient = _gradient(value, vectors[1]).unflatten(0, (len(alphas), -1)).sum(0)
                total[row] += (gradient * vectors[0]).sum(-1).detach()
    return _by_token(model, tokens, total)


@torch.no_grad()
def occlusion(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return by how much the logit falls when a token's vector is replaced with that of padding.

    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2, with one token
    at a time. A model without word vectors reads the note without the token. Cost: N forward passes for all labels.
    """
    whole = model(tokens[None], _length(tokens))[head][:, labels].float()
    one_each = torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
    return (whole - hidden_logits(model, tokens, head, labels, one_each)).T


@torch.no_grad()
def exact(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return the exact contribution of each word to the logit of a linear model.

    A feature contributes the product of its value and its weight. Its occurrences share that evenly, and the two words
    of a pair share the pair's. The contributions of all words and the bias sum to the logit. Cost: one forward pass.
    """
    check_method(model, "exact")
    check_method(model, "exact")
    tfidf: Any = model.tfidf
    n = len(tokens)
    keys = document_keys(tokens[None], _length(tokens), tfidf.rows)[0]  # words, then pairs of neighbors
    numbers = torch.searchsorted(tfidf.keys, keys)
    numbers = torch.where(tfidf.keys[numbers] == keys, numbers, len(tfidf.keys) - 1)
    row = tfidf(tokens[None], _length(tokens))
    values = torch.zeros(len(tfidf.keys), device=tokens.device).index_copy_(0, row.numbers, row.values)
    share = values[numbers] / torch.bincount(numbers, minlength=len(values))[numbers]
    output: Any = model.output
    weight = output[head].weight[:, labels]
    weight = weight[numbers.clamp(max=len(weight) - 1)]
    contributions = (share[:, None] * weight).T.contiguous()  # [K, 2 N - 1]; zero for what is no feature
    words, pairs = contributions[:, :n].clone(), contributions[:, n:] / 2
    words[:, :-1] += pairs
    words[:, 1:] += pairs
    return words


METHODS: dict[str, Method] = {
    "label_attention": label_attention,
    "gradient_x_input": gradient_x_input,
    "attention_x_gradient": attention_x_gradient,
    "attention_x_signed_gradient": attention_x_signed_gradient,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "exact": exact,
}
NEED_ATTENTION = {"label_attention", "attention_x_gradient", "attention_x_signed_gradient"}
NEED_VECTORS = {"gradient_x_input", "integrated_gradients"}
DEFAULTS = ("exact", "gradient_x_input", "occlusion")


def methods_of(model: Model) -> list[str]:
    """Return the names of the methods that work for a model."""
    has_vectors, attends = embedding_layer(model) is not None, model.config.attends_to_tokens
    lacking = (set() if attends else NEED_ATTENTION) | (set() if has_vectors else NEED_VECTORS)
    lacking |= set() if _is_linear(model) else {"exact"}
    return [name for name in METHODS if name not in lacking]


def _is_linear(model: Model) -> bool:
    # Not by its class, so that the evidence of other models does not depend on the code that fits it.
    return isinstance(getattr(model, "tfidf", None), TfIdf)


def default_method(model: Model) -> str:
    """Return the method to take for a model: the best of those that take seconds."""
    working = methods_of(model)
    return next(name for name in DEFAULTS if name in working)


def check_method(model: Model, method: str) -> None:
    """Refuse a method that does not exist, or does not work for a model.

    Raises:
        UserError: likewise; it names the methods that work.
    """
    if method not in METHODS:
        raise UserError(f"method: one of {', '.join(METHODS)}, found {method}")
    if method not in (working := methods_of(model)):
        need = "its labels attend to no tokens" if method in NEED_ATTENTION else "it has no word vectors"
        need = "it is not linear" if method == "exact" else need
        raise UserError(f"method: {method} does not work for this model, {need}; these do: {', '.join(working)}")


def attribute(
    model: Model, tokens: Tensor, lengths: Tensor, head: str, labels: Tensor, method: str | None = None
) -> Tensor:
    """Return the weights of the tokens of each note for some labels, zero at padding.

    Args:
        model: on its device; left in evaluation mode.
        tokens: ids of words or subwords, padded, int [B, N].
        lengths: number of tokens of each note, int [B]. Each is read alone: its weights do not depend on the padding.
        head: the labels' head.
        labels: indices of K labels for all notes alike, int [K], or for each note its own, int [B, K].
        method: a name of `METHODS`; None takes the model's default.

    Shapes: -> fp32 [B, K, N].

    Raises:
        UserError: there is no such method, or it does not work for the model.
    """
    method = method or default_method(model)
    check_method(model, method)
    model.eval()
    labels = labels.expand(len(tokens), -1)
    weights = torch.zeros(*labels.shape, tokens.shape[1], device=tokens.device)
    for row, length in enumerate(lengths.tolist()):
        if length and labels.shape[1]:
            with only_labels(model, head, labels[row]) as kept:
                weights[row, :, :length] = METHODS[method](model, tokens[row, :length], head, kept)
    return weights


def _length(tokens: Tensor) -> Tensor:
    return torch.tensor([len(tokens)], device=tokens.device)


def _gradient(value: Tensor, vectors: Tensor) -> Tensor:
    return torch.autograd.grad(value, vectors, retain_graph=True)[0]


def _gradient_times_vectors(model: Model, tokens: Tensor, head: str, labels: Tensor) -> Tensor:
    """Return x * dz/dx at each place of the embedding layer, fp32 [K, C, L, E]; one backward pass for each label."""
    vectors: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        vectors.append(output.detach().requires_grad_())
        return vectors[0]

    with without_weight_gradients(model), changed_vectors(model, keep):
        logits = model(tokens[None], _length(tokens))[head][0, labels]
        products = [_gradient(logit, vectors[0]) * vectors[0].detach() for logit in logits]
    return torch.stack(products).float()


def _by_token(model: Model, tokens: Tensor, values: Tensor) -> Tensor:
    """Return the sum over each token's places: [K, C, L] -> [K, N]."""
    places = token_places(model, len(tokens)).flatten()
    result = values.new_zeros(len(values), len(tokens))
    return result.index_add_(1, places[places >= 0], values.flatten(1)[:, places >= 0])


def _positions(model: Model, length: int, positions: int) -> tuple[Tensor, Tensor]:
    """Return all pairs of a token and a position of the label attention that stands for it, int64 [M] each."""
    numbers, pairs = torch.arange(length, device=next(model.parameters()).device), []
    for block in numbers.split(BLOCK):
        token, position = model.marked_positions(block[:, None] == numbers, positions).nonzero(as_tuple=True)
        pairs.append(torch.stack([token + block[0], position]))
    token, position = torch.cat(pairs, dim=1)
    return token, position
