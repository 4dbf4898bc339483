"""CUDA graphs of training steps: captured once, then replayed, so that the host need not launch every kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Update = Callable[[Tensor, int], Tensor]


class Recorder(Protocol):
    """Captures work on a device."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Capture the device work of `work` (e.g. as a CUDA graph) without executing it.

        Returns:
            A function that executes it on the same tensors, and the tensor that holds its result.

        Raises:
            RuntimeError: the work waits for the device, or does something else that cannot be captured.
        """


class CudaGraphs:
    """Captures work as CUDA graphs that share one memory pool, since no two of them ever run at once."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = work()
        return graph.replay, result


@dataclass(frozen=True)
class _Recording:
    documents: Tensor
    replay: Callable[[], None]
    result: Tensor


class GraphedStep:
    """Runs the first step of each batch shape eagerly, captures the second, and replays it from then on.

    The first is eager because libraries choose their kernels and optimizers make their state in it. If a step cannot be
    captured, all steps are eager, and a note says so once.

    Args:
        update: a step; its work depends on the tensors that it changes, on random numbers, on the indices of the
            batch's documents, int [B], and on the length that they are padded to.
        recorder: captures it.
        random: the stream of its random numbers.
    """

    def __init__(self, update: Update, recorder: Recorder, random: RandomStream) -> None:
        self._update, self._recorder, self._random = update, recorder, random
        self._recordings: dict[tuple[int, int], _Recording | None] = {}
        self._eager_only = False

    def __call__(self, documents: Tensor, length: int) -> Tensor:
        """Run a step."""
        shape = len(documents), length
        if self._eager_only or shape not in self._recordings:
            self._recordings.setdefault(shape)
            return self._update(documents, length)
        recording = self._recordings[shape] or self._record(documents, length)
        if recording is None:
            return self._update(documents, length)
        recording.documents.copy_(documents)
        recording.replay()
        return recording.result.clone()  # the next step of this shape overwrites it

    def _record(self, documents: Tensor, length: int) -> _Recording | None:
        static_documents = documents.clone()
        try:
            recording = _Recording(
                static_documents, *self._recorder.record(lambda: self._update(static_documents, length))
            )
        except RuntimeError as error:
            self._eager_only = True
            self._random.renew()
            reason = str(error).splitlines()[0]
            print(f"note: training steps run without CUDA graphs, they cannot be recorded: {reason}", file=sys.stderr)
            return None
        self._recordings[len(documents), length] = recording
        return recording


class RandomStream:
    """Random numbers of one training among several that run at once on a GPU. On a CPU it does nothing.

    A captured step reads its seed from the device when it is replayed, so each training needs a generator state of its
    own.
    """

    def __init__(self, device: torch.device) -> None:
        self._generator = None
        if device.type == "cuda":
            number = torch.cuda.current_device() if device.index is None else device.index
            self._generator = torch.cuda.default_generators[number]
            self.renew()

    def renew(self) -> None:
        """Replace the stream with a copy, after a capture has failed on it."""
        if self._generator is not None:
            self._state = self._generator.clone_state()
            self.enter()

    def enter(self) -> None:
        """Make this stream the source of all random numbers sampled from now on."""
        if self._generator is not None:
            self._generator.graphsafe_set_state(self._state)
