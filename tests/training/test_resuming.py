"""A training that is killed or stopped goes on where it was, and its result does not change."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import torch
from trainers import ENVIRONMENT, Killed, assert_same, train, trainer

from medcode.errors import UserError
from medcode.training import reproducibility
from medcode.training.checkpoint import Checkpoints


@pytest.mark.parametrize("step", [1, 2, 4, 9, 11, 12, 23, 40])
def test_a_run_killed_at_any_step_ends_in_the_same_weights(tiny_inputs, recipe, engine, tmp_path, monkeypatch, step):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path / "undisturbed")
    stopped = trainer(tiny_inputs, recipe, engine, tmp_path / "killed")
    take_step, taken = stopped._step, []

    def dying(*arguments):
        taken.append(1)
        if len(taken) == step:
            raise Killed
        return take_step(*arguments)

    monkeypatch.setattr(stopped, "_step", dying)
    with pytest.raises(Killed):
        stopped.run()
    resumed = trainer(tiny_inputs, recipe, engine, tmp_path / "killed")
    repeated = []
    take_again = resumed._step
    monkeypatch.setattr(resumed, "_step", lambda *arguments: repeated.append(1) or take_again(*arguments))
    assert resumed.run() == expected
    assert_same(weights, resumed.model.state_dict())
    # 11 batches an epoch, a checkpoint every 3 steps and at the end of each epoch.
    assert len(repeated) == 44 - ((step - 1) // 11 * 11 + (step - 1) % 11 // 3 * 3)


@pytest.mark.parametrize("write", [1, 2, 6])
def test_a_run_killed_in_the_middle_of_writing_a_checkpoint_ends_in_the_same_weights(
    tiny_inputs, recipe, engine, tmp_path, write
):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path / "undisturbed")
    (tmp_path / "given").write_bytes(pickle.dumps((tiny_inputs, recipe, engine)))
    killed = subprocess.run([sys.executable, __file__, str(tmp_path), str(write)], timeout=120, env=ENVIRONMENT)
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "killed").glob(".*.tmp")), "it was not killed while it wrote"
    resumed = trainer(tiny_inputs, recipe, engine, tmp_path / "killed")
    assert resumed.run() == expected
    assert_same(weights, resumed.model.state_dict())


def kill_in_mid_write(folder: Path, write: int) -> None:
    """Trains, and kills itself when half of the given checkpoint is on the disk."""
    inputs, recipe, engine = pickle.loads((folder / "given").read_bytes())
    reproducibility.prepare(1)
    save, written = torch.save, []

    def save_half(state, file):
        written.append(1)
        if len(written) < write:
            return save(state, file)
        content = BytesIO()
        save(state, content)
        file.write(content.getvalue()[: len(content.getvalue()) // 2])
        file.flush()
        return os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half
    trainer(inputs, recipe, engine, folder / "killed").run()


def test_a_finished_run_started_again_gives_the_same_result_without_training(tiny_inputs, recipe, engine, tmp_path):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path)
    again = trainer(tiny_inputs, recipe, engine, tmp_path)
    again._step = None  # would fail if it were called
    assert again.run() == expected
    assert_same(weights, again.model.state_dict())


def test_a_request_to_stop_saves_the_state_first(tiny_inputs, recipe, engine, tmp_path, monkeypatch):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path / "undisturbed")
    stopped = trainer(tiny_inputs, recipe, engine, tmp_path / "stopped")
    take_step = stopped._step

    def interrupted(*arguments):
        if stopped.progress.steps == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(*arguments)

    monkeypatch.setattr(stopped, "_step", interrupted)
    with pytest.raises(SystemExit) as stop:
        stopped.run()
    assert stop.value.code == 128 + signal.SIGTERM
    resumed = trainer(tiny_inputs, recipe, engine, tmp_path / "stopped")
    resumed.resume()
    assert resumed.progress.steps == 5
    assert resumed.run() == expected
    assert_same(weights, resumed.model.state_dict())


def test_the_rate_of_a_plateau_survives_being_killed(tiny_inputs, recipe, engine, tmp_path):
    still = recipe.model_copy(update={"learning_rate": 1e-3, "schedule": "plateau", "epochs": 9, "criterion": "loss"})
    expected, weights = train(tiny_inputs, still, engine, tmp_path / "undisturbed")
    stopped = trainer(tiny_inputs, still, engine, tmp_path / "killed")
    for _ in stopped.steps():
        if len(stopped.progress.history) == 7:
            break
    resumed = trainer(tiny_inputs, still, engine, tmp_path / "killed")
    assert resumed.run() == expected
    assert_same(weights, resumed.model.state_dict())


def test_a_second_process_does_not_train_the_same_thing(tmp_path):
    first, second = Checkpoints(tmp_path / "same"), Checkpoints(tmp_path / "same")
    with first.locked(), pytest.raises(UserError, match=f"process {os.getpid()} is training"), second.locked():
        pass


def test_a_damaged_checkpoint_is_told_in_one_line(tiny_inputs, recipe, engine, tmp_path):
    train(tiny_inputs, recipe, engine, tmp_path)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"state.pt: damaged checkpoint; delete"):
        trainer(tiny_inputs, recipe, engine, tmp_path).run()


if __name__ == "__main__":
    kill_in_mid_write(Path(sys.argv[1]), int(sys.argv[2]))
