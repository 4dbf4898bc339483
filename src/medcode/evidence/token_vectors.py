"""Vectors of a note's tokens, where they enter a model: where each token's vector lies, and what changing them does.

Gradients and occlusion need the output of the embedding layer. Forward hooks read and replace it, so that every model
is explained by its own `forward`, kernels included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from medcode.models.base import Model, WordModel
from medcode.models.encoder_base import EncoderModel
from medcode.text.vocabulary import PAD

FIRST = 2**40  # larger than every id, so that a numbered token is no id


def embedding_layer(model: Model) -> nn.Module | None:
    """Return the module that turns token ids into vectors; None for a model without word vectors."""
    reader = _reader(model)
    if isinstance(reader, EncoderModel):
        return _subword_table(reader)
    return reader.embedding if isinstance(reader, WordModel) else None


def baseline_vector(model: Model) -> Tensor:
    """Return the vector that stands for no token, [E]: that of padding, which is zero for words.

    Raises:
        TypeError: the model has no word vectors.
    """
    reader = _reader(model)
    if isinstance(reader, EncoderModel):
        return _subword_table(reader).weight[reader.outline.specials.pad].detach()
    if isinstance(reader, WordModel):
        return reader.embedding.table.weight[PAD].detach()
    raise TypeError(f"{type(model).__name__} has no word vectors")


def _reader(model: Model) -> nn.Module:
    """Return the model that reads the tokens: the backbone that a model wraps, or itself."""
    # Not by the wrapping class, so that the evidence of one model does not depend on the code of another.
    return getattr(model, "backbone", model)


def _subword_table(model: EncoderModel) -> nn.Embedding:
    encoder: Any = model.encoder  # of transformers
    return encoder.get_input_embeddings()


@torch.no_grad()
def token_places(model: Model, length: int) -> Tensor:
    """Return the number of the token at each place of the embedding layer's output, for a note alone.

    The model gets numbered tokens, and stops where they reach the embedding layer. So this is right for any way of
    cutting notes into chunks, and a token in two chunks has two places.

    Args:
        model: with word vectors.
        length: number of tokens N of the note; at least 1.

    Returns:
        int64 [C, L], for one row of N words or C chunks of L positions; -1 at special tokens and padding.
    """
    device = next(model.parameters()).device
    layer = embedding_layer(model)
    assert layer is not None
    handle = layer.register_forward_pre_hook(_stop)
    try:
        model(torch.arange(FIRST, FIRST + length, device=device)[None], torch.tensor([length], device=device))
    except _Reached as reached:
        return (reached.ids - FIRST).clamp(min=-1)
    finally:
        handle.remove()
    raise AssertionError(f"{type(model).__name__} does not use its embedding layer")


class _Reached(Exception):
    """The ids that reached the embedding layer."""

    def __init__(self, ids: Tensor) -> None:
        super().__init__()
        self.ids = ids


def _stop(module: nn.Module, arguments: tuple[Any, ...]) -> None:
    raise _Reached(arguments[0])


@contextmanager
def changed_vectors(model: Model, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Pass every output of the embedding layer through a function.

    Args:
        model: with word vectors.
        change: from vectors [B C, L, E] to vectors of the same shape; the chunks of a document are adjacent.
    """
    layer = embedding_layer(model)
    assert layer is not None
    handle = layer.register_forward_hook(lambda module, arguments, output: change(output))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def without_weight_gradients(model: Model) -> Iterator[None]:
    """Let no parameter need a gradient, which saves the time and the memory of those of the weights.

    cuDNN has no backward pass of a recurrent network in evaluation mode, so torch's own is used.
    """
    needing = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in needing:
        parameter.requires_grad_(False)
    try:
        with torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
            yield
    finally:
        for parameter in needing:
            parameter.requires_grad_(True)
