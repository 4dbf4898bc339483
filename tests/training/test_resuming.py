"""A training that is killed or stopped resumes with the same result."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import half_written
import pytest
from trainers import ENVIRONMENT, Killed, assert_same, run_alone, steps, train, trainer

from medcode.engine import reproducibility
from medcode.errors import UserError
from medcode.training import timing
from medcode.training.checkpoint import Checkpoints
from medcode.training.history import HistoryWriter

WRITES = (1, 2, 6)


@pytest.mark.parametrize("step", [1, 2, 4, 9, 11, 12, 23, 40])
def test_a_run_killed_at_any_step_ends_in_the_same_weights(
    tiny_inputs, recipe, engine, uninterrupted, tmp_path, monkeypatch, step
):
    expected, weights = uninterrupted
    stopped = trainer(tiny_inputs, recipe, engine, tmp_path / "killed")
    take_step, calls = stopped.train_step, []

    def killed_call(*arguments):
        calls.append(1)
        if len(calls) == step:
            raise Killed
        return take_step(*arguments)

    monkeypatch.setattr(stopped, "train_step", killed_call)
    with pytest.raises(Killed):
        run_alone(stopped)
    resumed = trainer(tiny_inputs, recipe, engine, tmp_path / "killed")
    repeated = []
    take_again = resumed.train_step
    monkeypatch.setattr(resumed, "train_step", lambda *arguments: repeated.append(1) or take_again(*arguments))
    assert run_alone(resumed) == expected
    assert_same(weights, resumed.model.state_dict())
    # 11 batches an epoch, a checkpoint every 3 steps and at the end of each epoch.
    assert len(repeated) == 44 - ((step - 1) // 11 * 11 + (step - 1) % 11 // 3 * 3)


@pytest.fixture(scope="module")
def killed_checkpoints(tiny_inputs, recipe, engine, tmp_path_factory) -> dict[int, Path]:
    """Checkpoints of trainings that were killed while writing their first, second or sixth checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "given").write_bytes(pickle.dumps((tiny_inputs, recipe, engine)))
    subprocess.run([sys.executable, half_written.__file__, str(folder), *map(str, WRITES)], check=True, env=ENVIRONMENT)
    return {write: folder / str(write) for write in WRITES}


@pytest.fixture(scope="module")
def uninterrupted(tiny_inputs, recipe, engine, tmp_path_factory):
    """Result and weights of an uninterrupted training."""
    reproducibility.prepare(1)
    return train(tiny_inputs, recipe, engine, tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize("write", WRITES)
def test_a_run_killed_while_writing_a_checkpoint_ends_in_the_same_weights(
    tiny_inputs, recipe, engine, uninterrupted, killed_checkpoints, write
):
    expected, weights = uninterrupted
    assert list(killed_checkpoints[write].glob(".*.tmp")), "it was not killed while it wrote"
    resumed = trainer(tiny_inputs, recipe, engine, killed_checkpoints[write])
    assert run_alone(resumed) == expected
    assert_same(weights, resumed.model.state_dict())
    assert not list(killed_checkpoints[write].glob(".*")), "what the killed process left is still there"


def test_a_finished_run_started_again_gives_the_same_result_without_training(tiny_inputs, recipe, engine, tmp_path):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path)
    again = trainer(tiny_inputs, recipe, engine, tmp_path)
    again.train_step = None  # would fail if it were called
    assert run_alone(again) == expected
    assert_same(weights, again.model.state_dict())


def test_a_stop_signal_saves_the_state(tiny_inputs, recipe, engine, uninterrupted, tmp_path, monkeypatch):
    expected, weights = uninterrupted
    stopped = trainer(tiny_inputs, recipe, engine, tmp_path / "stopped")
    take_step = stopped.train_step

    def interrupted(*arguments):
        if stopped.state.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(*arguments)

    monkeypatch.setattr(stopped, "train_step", interrupted)
    with pytest.raises(SystemExit) as stop:
        run_alone(stopped)
    assert stop.value.code == 128 + signal.SIGTERM
    resumed = trainer(tiny_inputs, recipe, engine, tmp_path / "stopped")
    resumed.restore()
    assert resumed.state.global_step == 5
    assert run_alone(resumed) == expected
    assert_same(weights, resumed.model.state_dict())


def test_a_resumed_plateau_schedule_keeps_its_rate(tiny_inputs, recipe, engine, tmp_path):
    still = recipe.model_copy(update={"learning_rate": 1e-3, "schedule": "plateau", "epochs": 9, "monitor": "loss"})
    expected, weights = train(tiny_inputs, still, engine, tmp_path / "uninterrupted")
    stopped = trainer(tiny_inputs, still, engine, tmp_path / "killed")
    for _ in steps(stopped):
        if len(stopped.state.history) == 7:
            break
    resumed = trainer(tiny_inputs, still, engine, tmp_path / "killed")
    assert run_alone(resumed) == expected
    assert_same(weights, resumed.model.state_dict())


@pytest.mark.parametrize(("several", "prefix"), [(False, ""), (True, "seed 5  ")])
def test_a_resumed_training_reports_its_position(tiny_inputs, recipe, engine, tmp_path, capsys, several, prefix):
    def make():
        curves = HistoryWriter(tmp_path / "curve.csv", tmp_path / "log.jsonl", "caml", several=several)
        hooks = {"on_epoch": partial(curves.on_epoch, 5), "on_resume": partial(curves.on_resume, 5)}
        return trainer(tiny_inputs, recipe, engine, tmp_path / "checkpoint", **hooks)

    def messages():
        return [line for line in capsys.readouterr().out.splitlines() if not line.startswith(f"{prefix}epoch ")]

    stopped = make()
    for _ in steps(stopped):  # 11 steps an epoch, a checkpoint every 3
        if stopped.state.global_step == 11 + 7:
            break
    assert messages() == []
    run_alone(make())
    assert messages() == [f"{prefix}resumed at epoch 2, step 7"]
    log = (tmp_path / "log.jsonl").read_text()
    curve = (tmp_path / "curve.csv").read_bytes()
    assert log.count("\n") == 4
    (tmp_path / "curve.csv").unlink()
    run_alone(make())
    message = "already trained: ended at epoch 4 (last epoch)"
    assert messages() == [f"{prefix}{message}; remove {tmp_path / 'checkpoint'} to train it again"]
    assert (tmp_path / "log.jsonl").read_text() == log
    assert (tmp_path / "curve.csv").read_bytes() == curve


def test_a_new_log_has_the_times_of_epochs_before_the_interruption(tiny_inputs, recipe, engine, tmp_path, monkeypatch):
    """On clocks that advance by one unit in each block that is timed: a step, a checkpoint, an evaluation."""
    clocks = {"perf_counter": itertools.count(step=10).__next__, "process_time": itertools.count().__next__}
    monkeypatch.setattr(timing, "time", SimpleNamespace(**clocks))

    def make(log):
        curves = HistoryWriter(tmp_path / "curve.csv", log, "caml", several=False)
        hooks = {"on_epoch": partial(curves.on_epoch, 5), "on_resume": partial(curves.on_resume, 5)}
        return trainer(tiny_inputs, recipe, engine, tmp_path / "checkpoint", **hooks)

    stopped = make(tmp_path / "removed.jsonl")
    for _ in steps(stopped):  # 11 steps an epoch, a checkpoint every 3: the last one is after 6 steps of epoch 2
        if stopped.state.global_step == 11 + 7:
            break
    run_alone(make(tmp_path / "log.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    # The checkpoint that epoch 2 resumes from does not have the time that it took itself.
    assert [line["cpu_seconds"] for line in lines] == [11 + 3 + 1, 11 + 2 + 1, 11 + 3 + 1, 11 + 3 + 1]
    assert [line["seconds"] for line in lines] == [10 * line["cpu_seconds"] for line in lines]
    run_alone(make(tmp_path / "finished.jsonl"))
    assert (tmp_path / "finished.jsonl").read_text() == (tmp_path / "log.jsonl").read_text()


def test_a_second_process_cannot_train_in_the_same_folder(tmp_path):
    first, second = Checkpoints(tmp_path / "same"), Checkpoints(tmp_path / "same")
    with first.locked(), pytest.raises(UserError, match=f"process {os.getpid()} is already training"), second.locked():
        pass
    assert [path.name for path in (tmp_path / "same").iterdir()] == ["lock"]


def test_checkpoints_need_no_unix_module():
    code = "import sys; sys.modules['fcntl'] = None; import medcode.training.checkpoint"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_a_damaged_checkpoint_raises_a_user_error(tiny_inputs, recipe, engine, tmp_path):
    train(tiny_inputs, recipe, engine, tmp_path)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"state.pt: damaged checkpoint; delete"):
        run_alone(trainer(tiny_inputs, recipe, engine, tmp_path))
