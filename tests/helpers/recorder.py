"""CUDA graphs simulated on a CPU: the operations of a step are recorded with every number that the host gave them, and
replayed on the same tensors."""

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

# Operations that change a tensor's shape in place, which must not be repeated.
TURNING = {"aten::transpose_", "aten::t_", "aten::squeeze_", "aten::unsqueeze_"}


class OperationRecorder(TorchDispatchMode):
    """Records operations while they run, and replays them.

    Unlike a CUDA graph it cannot record them without running them, so it restores the tensors that they change.

    Args:
        changed: returns the tensors that a step changes.
    """

    def __init__(self, changed: Callable[[], list[Tensor]]) -> None:
        super().__init__()
        self.changed, self.recorded, self.replayed = changed, 0, 0

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """See `medcode.engine.cuda_graphs.Recorder`."""
        saved, random = [(tensor, tensor.detach().clone()) for tensor in self.changed()], torch.get_rng_state()
        self.operations: list[tuple[Any, tuple, dict, list[Tensor]]] = []
        try:
            with self:
                result = work()
        finally:
            torch.set_rng_state(random)
            with torch.no_grad():
                for tensor, value in saved:
                    tensor.copy_(value)
        operations, self.recorded = self.operations, self.recorded + 1

        def replay() -> None:
            self.replayed += 1
            # As recorded, below autograd: the operations of backward are recorded themselves.
            with torch._C._AutoDispatchBelowAutograd():
                for function, arguments, options, results in operations:
                    for old, new in zip(results, _tensors(function(*arguments, **options)), strict=True):
                        if old.data_ptr() != new.data_ptr():  # else it was changed in place, or is a view
                            old.copy_(new)

        return replay, result

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        """Run and record one operation."""
        name, options = function.name().split(".")[0], options or {}
        if name in WAITING or (name in INDEXING and any(index.dtype == torch.bool for index in _tensors(arguments[1]))):
            raise RuntimeError(f"{name} waits for the device")
        results = function(*arguments, **options)
        if name not in TURNING:
            self.operations.append((function, arguments, options, [result.detach() for result in _tensors(results)]))
        return results


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
