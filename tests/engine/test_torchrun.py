"""How a training of several processes is started, and where several machines meet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from medcode.engine import torchrun
from medcode.errors import UserError

SCRIPT = ["stages/train.py", "--params", "params.yaml"]
HERE = {torchrun.ADDRESS: "node1"}


def training(processes: int = 1, nodes: int = 1) -> SimpleNamespace:
    return SimpleNamespace(processes=processes, nodes=nodes)


@pytest.mark.parametrize(("processes", "nodes", "needed"), [(1, 1, False), (2, 1, True), (1, 2, True)])
def test_torchrun_is_needed_for_several_processes_that_it_has_not_started(monkeypatch, processes, nodes, needed):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert torchrun.is_needed(training(processes, nodes)) == needed
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not torchrun.is_needed(training(processes, nodes))


def test_one_machine_meets_nobody():
    command = torchrun.command(training(4), SCRIPT, {})
    assert command[1:] == ["-m", "torch.distributed.run", "--nproc_per_node=4", "--standalone", *SCRIPT]


def test_several_machines_are_counted_and_wait_for_each_other():
    command = torchrun.command(training(4, 3), SCRIPT, HERE | {torchrun.RANK: "2"})
    assert "--nnodes=3" in command and "--nproc_per_node=4" in command and "--standalone" not in command
    assert command[-3:] == SCRIPT


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, r"^training\.nodes: 2 machines meet at the first one, and PET_MASTER_ADDR does not name it"),
        (HERE | {torchrun.RANK: "2"}, "^PET_NODE_RANK: expected a number from 0 to 1, one for each machine, found 2$"),
        (HERE | {torchrun.RANK: "one"}, "^PET_NODE_RANK: expected a number from 0 to 1, .*found one$"),
        (HERE | {torchrun.RANK: "-1"}, "^PET_NODE_RANK: expected a number from 0 to 1, .*found -1$"),
    ],
)
def test_a_machine_without_a_place_or_number_is_refused(environment, line):
    with pytest.raises(UserError, match=line):
        torchrun.command(training(nodes=2), SCRIPT, environment)
