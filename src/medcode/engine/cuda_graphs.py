"""Training steps that are recorded once and replayed: CUDA graphs, which spare the host the launch of every kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Update = Callable[[Tensor, int], Tensor]


class Recorder(Protocol):
    """What records work on a device."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Records without running it what `work` does on the device.

        Returns:
            What runs it again, on the same tensors, and the tensor that then holds the result.

        Raises:
            RuntimeError: it waits for the device, or does something else that cannot be recorded.
        """


class CudaGraphs:
    """Records work as CUDA graphs that share their memory, since no two of them ever run at once."""

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
    """Does the first step of each shape of a batch as it is given, records the second, and replays it from then on.

    The first is left alone because libraries choose their kernels in it and optimisers make their state. Steps that
    cannot be recorded are all done as they are given, which is said once.

    Args:
        update: a step; its work depends on the tensors that it changes, on random numbers, on the numbers of the
            batch's documents, int [B], and on the length that they are padded to.
        recorder: records it.
        random: where its random numbers come from.
    """

    def __init__(self, update: Update, recorder: Recorder, random: RandomStream) -> None:
        self._update, self._recorder, self._random = update, recorder, random
        self._recordings: dict[tuple[int, int], _Recording | None] = {}
        self._given_up = False

    def __call__(self, documents: Tensor, length: int) -> Tensor:
        """Does a step."""
        shape = len(documents), length
        if self._given_up or shape not in self._recordings:
            self._recordings.setdefault(shape)
            return self._update(documents, length)
        recording = self._recordings[shape] or self._record(documents, length)
        if recording is None:
            return self._update(documents, length)
        recording.documents.copy_(documents)
        recording.replay()
        return recording.result.clone()  # the next step of this shape writes there again

    def _record(self, documents: Tensor, length: int) -> _Recording | None:
        own = documents.clone()
        try:
            recording = _Recording(own, *self._recorder.record(lambda: self._update(own, length)))
        except RuntimeError as error:
            self._given_up = True
            self._random.renew()
            reason = str(error).splitlines()[0]
            print(f"note: training steps run without CUDA graphs, they cannot be recorded: {reason}", file=sys.stderr)
            return None
        self._recordings[len(documents), length] = recording
        return recording


class RandomStream:
    """Random numbers of one training among several that run at once on a GPU; on a CPU there is nothing to keep apart.

    A recorded step reads its seed from the device when it runs, so trainings must not write theirs to the same place.
    """

    def __init__(self, device: torch.device) -> None:
        self._generator = None
        if device.type == "cuda":
            number = torch.cuda.current_device() if device.index is None else device.index
            self._generator = torch.cuda.default_generators[number]
            self.renew()

    def renew(self) -> None:
        """Leaves behind a stream that a recording has failed on and goes on with one like it."""
        if self._generator is not None:
            self._state = self._generator.clone_state()
            self.enter()

    def enter(self) -> None:
        """Makes what is drawn from now on come from this stream."""
        if self._generator is not None:
            self._generator.graphsafe_set_state(self._state)
