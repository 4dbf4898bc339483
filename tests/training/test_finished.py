"""The checkpoint of a finished training: it is small, lasts until the result is recorded, and is then removed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from trainers import Killed, assert_same, build, run_alone, train, trainer

from medcode import io
from medcode.errors import UserError
from medcode.training import checkpoint
from medcode.training.checkpoint import Checkpoints, fingerprint, remove_finished


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def ends_at_once(inputs, recipe, engine, folder):
    """Return result and weights of a training that must not take a step."""
    again = trainer(inputs, recipe, engine, folder)
    again.train_step = None  # would fail if it were called
    return run_alone(again), again.model.state_dict()


def test_a_finished_training_keeps_only_the_best_weights_and_ends_at_once(tiny_inputs, recipe, engine, tmp_path):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.finish(Path("models/trained"))
    assert files(tmp_path) == sorted([f"best-{expected.best_epoch}.pt", "finished.txt", "state.pt"])
    assert (tmp_path / "finished.txt").read_text() == "models/trained\n"
    assert checkpoints.load().keys() == {"state"}
    for _ in range(2):  # finished twice is as good as once
        result, final_weights = ends_at_once(tiny_inputs, recipe, engine, tmp_path)
        assert result == expected
        assert_same(weights, final_weights)
        checkpoints.finish(Path("models/trained"))


@pytest.mark.parametrize("write", [0, 1])
def test_a_training_killed_in_finish_ends_in_the_same_weights(
    tiny_inputs, recipe, engine, tmp_path, monkeypatch, write
):
    expected, weights = train(tiny_inputs, recipe, engine, tmp_path)
    replace, writes = io.os.replace, []

    def killed_call(*paths):
        if len(writes) == write:
            raise Killed
        writes.append(paths)
        replace(*paths)

    monkeypatch.setattr(io.os, "replace", killed_call)
    with pytest.raises(Killed):
        Checkpoints(tmp_path).finish(Path("model"))
    monkeypatch.undo()
    assert (tmp_path / "finished.txt").exists() == bool(write)
    result, final_weights = ends_at_once(tiny_inputs, recipe, engine, tmp_path)
    assert result == expected
    assert_same(weights, final_weights)
    Checkpoints(tmp_path).finish(Path("model"))
    assert Checkpoints(tmp_path).load().keys() == {"state"}


def finished(folder, model):
    checkpoints = Checkpoints(folder)
    checkpoints.save_best(1, {"x": torch.zeros(1)})
    checkpoints.save({"state": {"best_epoch": 1}, "model": {}, "optimizer": {}})
    if model:
        checkpoints.finish(model)


def test_a_training_removes_only_unneeded_finished_checkpoints(tmp_path):
    root, model = tmp_path / "checkpoints", tmp_path / "models/trained"
    (tmp_path / "models/elsewhere").mkdir(parents=True)
    finished(root / "its-model-is-gone", tmp_path / "models/gone")
    finished(root / "of-the-same-model", tmp_path / "models/../models/trained")
    finished(root / "its-model-is-there", tmp_path / "models/elsewhere")
    finished(root / "unfinished", None)
    finished(root / "locked", tmp_path / "models/gone")
    finished(root / "this-one", model)
    with Checkpoints(root / "locked").locked(), Checkpoints(root / "this-one").locked():
        remove_finished(root, model)
        assert files(root) == ["its-model-is-there", "lock", "locked", "this-one", "unfinished"]
    model.mkdir()
    remove_finished(root, model)
    assert files(root) == ["its-model-is-there", "lock", "unfinished"]
    remove_finished(tmp_path / "none-yet", model)


@pytest.mark.parametrize("removed", range(4))
def test_an_interrupted_removal_is_completed(tiny_inputs, recipe, engine, tmp_path, monkeypatch, removed):
    root = tmp_path / "checkpoints"
    expected, weights = train(tiny_inputs, recipe, engine, root / "one")
    Checkpoints(root / "one").finish(tmp_path / "gone")
    unlink, removals = Path.unlink, []

    def killed_call(path, **options):
        if path.parent.name == "one" and not path.name.startswith("."):
            if len(removals) == removed:
                raise Killed
            removals.append(path)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", killed_call)
    with pytest.raises(Killed):
        remove_finished(root, tmp_path / "model")
    monkeypatch.undo()
    running = trainer(tiny_inputs, recipe, engine, root / "one")
    with running.checkpoints.locked():
        # Once its state is gone the training begins again, and is not a finished one.
        assert (root / "one/finished.txt").exists() == (removed == 0)
        assert run_alone(running) == expected
    assert_same(weights, running.model.state_dict())
    Checkpoints(root / "one").finish(tmp_path / "gone")
    remove_finished(root, tmp_path / "model")
    assert files(root) == ["lock"]


def test_the_next_training_completes_an_interrupted_removal(tmp_path):
    finished(tmp_path / "one", tmp_path / "gone")
    (tmp_path / "one/state.pt").unlink()
    remove_finished(tmp_path, tmp_path / "model")
    assert files(tmp_path) == ["lock"]


def test_no_lock_is_taken_while_another_process_removes_checkpoints(tmp_path):
    taken = threading.Event()

    def take():
        with Checkpoints(tmp_path / "one").locked():
            taken.set()

    with checkpoint._exclusive(tmp_path):
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not taken.wait(0.3)
    waiting.join(30)
    assert taken.is_set()


def test_a_refused_lock_can_be_taken_later(tmp_path):
    one = Checkpoints(tmp_path / "one")
    with one.locked(), pytest.raises(UserError, match="is already training this model"), one.locked():
        pass
    with one.locked():
        pass


def test_a_fingerprint_covers_code_digests_and_inputs(tiny_inputs, recipe, tmp_path):
    model = build(tiny_inputs, recipe)
    (tmp_path / "inputs/test").mkdir(parents=True)
    io.write_text(tmp_path / "train.json", "digests")

    def identifier():
        return fingerprint({"seed": 1}, [tmp_path / "train.json", tmp_path / "inputs"], model)

    first = identifier()
    io.write_text(tmp_path / "inputs" / io.EMPTY, "no encoder")
    io.write_text(tmp_path / "inputs/test/a.txt", "never read")
    assert identifier() == first
    io.write_text(tmp_path / "inputs/a.txt", "read")
    assert (second := identifier()) != first
    io.write_text(tmp_path / "train.json", "others")
    assert identifier() not in (first, second)
