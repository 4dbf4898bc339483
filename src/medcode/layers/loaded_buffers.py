"""Buffers whose sizes only the saved weights know, such as the edges of a graph."""

from __future__ import annotations

from torch import Tensor, nn


def resize_to_loaded(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Resize a module's own buffers to the weights that are about to be loaded.

    It is a hook: `module.register_load_state_dict_pre_hook(resize_to_loaded)`. So a saved model can be rebuilt with
    empty buffers, without the data that they were made from.

    Args:
        module: with the buffers.
        weights, prefix: those that are loaded, and what the names of this module's begin with there.
    """
    for name, buffer in module.named_buffers(recurse=False):
        if prefix + name in weights:
            setattr(module, name, buffer.new_empty(weights[prefix + name].shape))
