"""Choice of the device: one that torch does not find raises an error of one line."""

from __future__ import annotations

import pytest
import torch
from trainers import trainer

from medcode.engine import distributed
from medcode.engine.distributed import choose_device
from medcode.engine.transfer import AsyncHostCopy
from medcode.errors import UserError
from medcode.layers import kernels


@pytest.fixture
def torch_finds(monkeypatch):
    """Set which devices torch finds."""

    def set_devices(*, cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return set_devices


def test_device_auto_is_an_nvidia_gpu_or_the_cpu(torch_finds, monkeypatch):
    torch_finds(mps=True)
    assert choose_device("auto") == torch.device("cpu")
    torch_finds(cuda=True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 3)


def test_an_apple_gpu_can_be_chosen(torch_finds):
    torch_finds(mps=True)
    assert choose_device("mps") == torch.device("mps")


@pytest.mark.parametrize(("name", "brand"), [("cuda", "NVIDIA"), ("mps", "Apple")])
def test_a_missing_gpu_is_reported_in_one_line(torch_finds, name, brand):
    torch_finds()
    with pytest.raises(UserError) as mistake:
        choose_device(name)
    (line,) = str(mistake.value).splitlines()
    assert line.startswith("training.device: torch ") and f"finds no {brand} GPU here for {name}" in line


def test_each_process_sets_its_gpu_as_current_device(monkeypatch):
    """Triton launches on the current device."""
    calls = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setattr(distributed.distributed, "init_process_group", calls.append)
    monkeypatch.setattr(distributed.distributed, "destroy_process_group", lambda: calls.append("left"))
    monkeypatch.setattr(distributed.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed.distributed, "get_world_size", lambda: 2)
    with distributed.join(torch.device("cuda", 1)) as world:
        assert world == distributed.DistributedContext(1, 2)
    assert calls == [torch.device("cuda", 1), "nccl", "left"]


def test_copies_from_apple_gpus_are_synchronous():
    """Apple's GPUs copy asynchronously too, but have no event to wait for."""

    class Tensor:
        device = torch.device("mps")

        def to(self, device, *, non_blocking):
            assert device == "cpu" and not non_blocking
            return torch.ones(2)

    assert AsyncHostCopy(Tensor()).read().tolist() == [1, 1]


@pytest.mark.parametrize("graphed", [False, True])
def test_kernels_are_chosen_for_eager_or_graphed_steps(tiny_inputs, recipe, engine, tmp_path, monkeypatch, graphed):
    running = trainer(tiny_inputs, recipe, engine, tmp_path)
    replayed, forward = [], running.model.forward
    monkeypatch.setattr(
        running.model, "forward", lambda *batch: (replayed.append(kernels._replayed), forward(*batch))[1]
    )
    running.stepper.graphed = graphed
    batch = running.epoch_batches(0)[0]
    running.stepper.update(torch.from_numpy(batch.documents), batch.length)
    assert replayed == [graphed] and not kernels._replayed
