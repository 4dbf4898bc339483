"""What CUDA graphs do, on a CPU: the operations of a step are written down with every number that the host gave them,
and done again later on the same tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operations that give the host a number of the device's, or a tensor whose size depends on one.
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::unique_dim", "aten::_unique2", "aten::masked_select"}
INDEXING = {"aten::index", "aten::index_put_", "aten::_index_put_impl_"}

# Operations that turn a tensor round in place, which stays as it is then.
TURNING = {"aten::transpose_", "aten::t_", "aten::squeeze_", "aten::unsqueeze_"}


class OperationRecorder(TorchDispatchMode):
    """Writes down operations while they are done, and does them again.

    Unlike a CUDA graph it cannot write them down without doing them, so it puts back what they changed.

    Args:
        changed: gives the tensors that a step changes.
    """

    def __init__(self, changed: Callable[[], list[Tensor]]) -> None:
        super().__init__()
        self.changed, self.recorded, self.replayed = changed, 0, 0

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """See `medcode.engine.cuda_graphs.Recorder`."""
        before, random = [(tensor, tensor.detach().clone()) for tensor in self.changed()], torch.get_rng_state()
        self.operations: list[tuple[Any, tuple, dict, list[Tensor]]] = []
        try:
            with self:
                result = work()
        finally:
            torch.set_rng_state(random)
            with torch.no_grad():
                for tensor, value in before:
                    tensor.copy_(value)
        operations, self.recorded = self.operations, self.recorded + 1

        def replay() -> None:
            self.replayed += 1
            # As they were done: without a record of them for gradients, which are operations of their own.
            with torch._C._AutoDispatchBelowAutograd():
                for function, arguments, options, results in operations:
                    for old, new in zip(results, _tensors(function(*arguments, **options)), strict=True):
                        if old.data_ptr() != new.data_ptr():  # else it was changed in place, or is a view
                            old.copy_(new)

        return replay, result

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        """Does one operation and writes it down."""
        name, options = function.name().split(".")[0], options or {}
        if name in WAITING or (name in INDEXING and any(own.dtype == torch.bool for own in _tensors(arguments[1]))):
            raise RuntimeError(f"{name} waits for the device")
        results = function(*arguments, **options)
        if name not in TURNING:
            self.operations.append((function, arguments, options, [own.detach() for own in _tensors(results)]))
        return results


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
