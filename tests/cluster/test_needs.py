"""What a training needs of a machine."""

from __future__ import annotations

import pytest

from medcode import io
from medcode.cluster.needs import GIB, OWN_MEMORY, Needs, check, needs_of
from medcode.errors import UserError
from medcode.studies.pipeline.pipeline import Training


@pytest.fixture
def training(tmp_path):
    """Write the settings and the inputs of a training."""

    def write(labels: int = 50, **engine) -> Training:
        settings = {
            "engine": {"device": "auto", "threads": 2, "processes": 1, "nodes": 1} | engine,
            "learning": {"batch_size": 8, "max_tokens": 1000},
        }
        io.write_json(tmp_path / "1.json", {"settings": settings})
        (tmp_path / "inputs").mkdir(exist_ok=True)
        io.write_json(tmp_path / "inputs/heads.json", {"icd": {"labels": [{}] * labels}, "ccs": {"labels": [{}]}})
        return Training("studies/a/dvc.yaml:top50@cnn-1", str(tmp_path / "1"), str(tmp_path / "inputs"))

    return write


def test_memory_grows_with_labels_and_data(training, tmp_path):
    few = needs_of(training(), 0)
    assert (few.cpus, few.gpus) == (2, 0) and few.memory > OWN_MEMORY
    many = needs_of(training(8921), 0)
    assert many.memory - few.memory > 8 * 1000 * 8871 * 4
    (tmp_path / "inputs/tokens.npy").write_bytes(bytes(1_000_000))
    assert needs_of(training(8921), 0).memory - many.memory >= 3_000_000


@pytest.mark.parametrize(
    ("device", "cluster_gpus", "gpus"), [("auto", 0, 0), ("auto", 4, 2), ("cpu", 4, 0), ("cuda", 0, 2), ("cuda", 4, 2)]
)
def test_each_process_has_a_gpu_and_threads_of_its_own(training, device, cluster_gpus, gpus):
    needs = needs_of(training(device=device, processes=2), cluster_gpus)
    assert (needs.cpus, needs.gpus) == (4, gpus)


MACHINES = [{"CPU": 2, "memory": 9 * GIB}, {"CPU": 8, "GPU": 1, "memory": 3 * GIB}]


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs(16, 0, GIB), "needs 16 CPUs; no machine of the cluster has more than 8 CPUs"),
        (Needs(1, 2, GIB), "needs 2 GPUs; no machine of the cluster has more than 1 GPUs"),
        (Needs(1, 0, 10 * GIB), "needs 10.0 GiB; no machine of the cluster has more than 9.0 GiB"),
        (Needs(4, 0, 5 * GIB), "no machine of the cluster has all that it needs"),
    ],
)
def test_what_no_machine_can_ever_run_is_refused(needs, message):
    with pytest.raises(UserError, match=f"far@a-1: {message}"):
        check("far@a-1", needs, MACHINES)


def test_what_one_machine_can_run_is_accepted():
    check("far@a-1", Needs(2, 0, 9 * GIB), MACHINES)
    check("far@a-1", Needs(8, 1, 3 * GIB), MACHINES)


def test_a_training_on_several_machines_at_once_is_refused(training):
    with pytest.raises(UserError, match=r"^training\.nodes: .* found 2; set it to 1$"):
        needs_of(training(nodes=2), 0)
