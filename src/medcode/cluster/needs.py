"""What a training of a study needs of a machine, from its settings and its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medcode import io
from medcode.errors import UserError
from medcode.studies.pipeline.pipeline import Training

GIB = 2**30
# Python with torch, DVC beside it, and the parts of a model whose size no other number here gives.
OWN_MEMORY = 2 * GIB
# Of what lies on the disk, in memory: a weight has a gradient and two moments of Adam, and is copied once for the best
# epoch; tokens and labels are copied for the device.
COPIES = 6
BYTES = 4  # of a number
SCORES = 3  # arrays of the size of a batch's label attention: scores, weights, and the gradient of both


@dataclass(frozen=True)
class Needs:
    """What a training occupies.

    Attributes:
        cpus: threads, in all its processes.
        gpus: a whole one for each process; 0 where it trains on the CPU.
        memory: of the machine, bytes.
    """

    cpus: int
    gpus: int
    memory: int

    def options(self) -> dict[str, float]:
        """Return the options of a Ray task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory}


def needs_of(training: Training, cluster_gpus: int) -> Needs:
    """Return what a training needs.

    Args:
        training: whose settings and inputs are on the disk.
        cluster_gpus: number of GPUs in the cluster; without any, `auto` is the CPU.

    Raises:
        UserError: it needs several machines at once.
    """
    settings = io.read_json(Path(f"{training.settings}.json"))["settings"]
    engine, learning = settings["engine"], settings["learning"]
    if engine["nodes"] > 1:
        raise UserError(
            f"training.nodes: a training of a study on a cluster has one machine, found {engine['nodes']}; set it to 1"
        )
    on_gpu = engine["device"] == "cuda" or (engine["device"] == "auto" and cluster_gpus > 0)
    heads = io.read_json(Path(training.inputs, "heads.json"))
    labels = max(len(head["labels"]) for head in heads.values())
    attention = learning["batch_size"] * learning["max_tokens"] * labels * BYTES * SCORES
    on_disk = sum(file.stat().st_size for file in Path(training.inputs).rglob("*") if file.is_file())
    memory = OWN_MEMORY + COPIES * on_disk + (0 if on_gpu else attention)
    processes = engine["processes"]
    return Needs(engine["threads"] * processes, processes if on_gpu else 0, memory * processes)


def check(target: str, needs: Needs, machines: list[dict[str, float]]) -> None:
    """Refuse a training that no machine of the cluster can ever run.

    Args:
        target: of the training.
        needs: what it needs.
        machines: resources of each machine, by Ray's names.

    Raises:
        UserError: none has enough of something.
    """
    wanted = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory}
    if any(all(machine.get(name, 0) >= amount for name, amount in wanted.items()) for machine in machines):
        return
    for name, amount in wanted.items():
        most = max((machine.get(name, 0) for machine in machines), default=0)
        if most < amount:
            amounts = [f"{x / GIB:.1f} GiB" if name == "memory" else f"{int(x)} {name}s" for x in (amount, most)]
            raise UserError(f"{target}: needs {amounts[0]}; no machine of the cluster has more than {amounts[1]}")
    raise UserError(f"{target}: no machine of the cluster has all that it needs ({needs})")
