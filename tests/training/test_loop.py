"""The training loop: it learns, it keeps the best epoch, and being killed does not change its result."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from medcode import models
from medcode.config import Recipe, Training, load
from medcode.encoders.outline import Encoder
from medcode.errors import UserError
from medcode.evaluation.summary import during_training
from medcode.inputs import Inputs, Split
from medcode.models.base import Basis
from medcode.training import distributed, outcome, reproducibility
from medcode.training.checkpoint import Checkpoints
from medcode.training.loop import Result, Trainer
from medcode.training.scoring import probabilities, score

OPTIONS = {"mask_padding": True, "faithful": False}
ARCHITECTURES = {
    "caml": {"filters": 10, "kernel": 4},
    "mt_ram": {"hidden": 4, "bidirectional": True},
    "multirescnn": {"filters": 4, "kernels": [3, 5], "variant": "original"},
    "plm_icd": {"chunk": 16, "variant": "original"},
}


WEIGHTS = {"icd": 0.7, "ccs": 0.3}


def build(inputs: Inputs, recipe: Recipe, name: str = "caml", encoder: Encoder | None = None) -> models.Model:
    config = models.configure(name, ARCHITECTURES[name] | OPTIONS | {"heads": list(inputs.heads)}, recipe)
    torch.manual_seed(0)
    vectors = torch.from_numpy(inputs.vectors)
    return models.find(name).build(config, Basis(len(vectors), vectors, encoder), inputs.heads)


def trainer(inputs: Inputs, recipe: Recipe, engine: Training, folder: Path, name: str = "caml", **options) -> Trainer:
    return Trainer(build(inputs, recipe, name), inputs, recipe, engine, 1, Checkpoints(folder), **options)


def train(inputs: Inputs, recipe: Recipe, engine: Training, folder: Path) -> tuple[Result, dict[str, torch.Tensor]]:
    running = trainer(inputs, recipe, engine, folder)
    return running.run(), running.model.state_dict()


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def test_it_learns_and_keeps_the_best_epoch(tiny_inputs, recipe, engine, tmp_path):
    recipe = recipe.model_copy(update={"epochs": 25})
    result, _ = train(tiny_inputs, recipe, engine, tmp_path)
    f1 = [row["f1_micro"] for row in result.history]
    assert max(f1) > f1[0] + 0.2
    assert result.history[-1]["train_loss"] < 0.3 * result.history[0]["train_loss"]
    assert result.best_epoch == int(np.argmax(f1)) + 1
    assert result.stopped == "last epoch"


def test_the_weights_returned_are_those_of_the_best_epoch(tiny_inputs, recipe, engine, tmp_path):
    # A learning rate that ruins the model later on: the last epoch is not the best.
    ruinous = recipe.model_copy(update={"learning_rate": 0.3, "epochs": 6})
    result, weights = train(tiny_inputs, ruinous, engine, tmp_path / "long")
    assert result.best_epoch < 6
    short = ruinous.model_copy(update={"epochs": result.best_epoch})
    assert_same(train(tiny_inputs, short, engine, tmp_path / "short")[1], weights)


def test_the_last_epoch_can_be_kept_instead(tiny_inputs, recipe, engine, tmp_path, monkeypatch):
    running = trainer(tiny_inputs, recipe.model_copy(update={"keep": "last", "epochs": 3}), engine, tmp_path)
    # The first epoch is the best.
    monkeypatch.setattr(running, "_watch", lambda: {"f1_micro": 1 / (1 + len(running.progress.history))})
    saved = {}
    running.on_epoch = lambda history, seconds: saved.update(
        {len(history): {name: weights.clone() for name, weights in running.model.state_dict().items()}}
    )
    assert running.run().best_epoch == 3
    assert_same(running.model.state_dict(), saved[3])


@pytest.mark.parametrize("size", [1, 3, 4])
def test_micro_batches_add_up_to_the_batch(tiny_inputs, recipe, engine, tmp_path, size):
    recipe = recipe.model_copy(update={"dropout": 0.0, "epochs": 1, "clip_norm": 1.0})
    result, weights = train(tiny_inputs, recipe, engine, tmp_path / "whole")
    parts, in_parts = train(tiny_inputs, recipe, engine.model_copy(update={"micro_batch": size}), tmp_path / "parts")
    assert parts.history[0]["train_loss"] == pytest.approx(result.history[0]["train_loss"], rel=1e-5)
    for name, own in weights.items():
        torch.testing.assert_close(in_parts[name], own, rtol=1e-3, atol=1e-4)


def test_a_model_that_normalises_over_its_batch_takes_no_micro_batches(tiny_inputs, recipe, engine, tmp_path):
    with pytest.raises(UserError, match=r"training\.micro_batch: the model normalises over its batch; set 0"):
        trainer(tiny_inputs, recipe, engine.model_copy(update={"micro_batch": 2}), tmp_path, "multirescnn")


@pytest.mark.parametrize(("size", "micro"), [(1, 0), (1, 3), (2, 0), (2, 3), (3, 1), (3, 2), (9, 2)])
@pytest.mark.parametrize("whole", [1, 5, 8])
def test_processes_share_a_batch_in_as_many_parts_each(tiny_inputs, recipe, engine, tmp_path, size, micro, whole):
    settings = engine.model_copy(update={"micro_batch": micro})
    running = trainer(tiny_inputs, recipe, settings, tmp_path)
    shared = []
    for rank in range(size):
        running.step.world = distributed.World(rank, size)
        shared.append(running.step.parts(whole))
    assert len({len(parts) for parts in shared}) == 1
    documents = [number for parts in shared for first, last in parts for number in range(first, last)]
    assert sorted(documents) == list(range(whole))
    assert not micro or all(last - first <= micro for parts in shared for first, last in parts)


def test_an_encoders_activations_can_be_computed_twice(tiny_inputs, recipe, engine, tmp_path):
    import plain_encoder  # not to be found by the processes of torchrun, which run this file

    recipe = recipe.model_copy(update={"dropout": 0.0, "epochs": 1, "learning_rate": 0.001})
    found = {}
    for kept in (True, False):
        settings = engine.model_copy(update={"gradient_checkpointing": not kept, "limit": 3})
        model = build(tiny_inputs, recipe, "plm_icd", plain_encoder.tiny(pieces=len(tiny_inputs.vectors)))
        running = Trainer(model, tiny_inputs, recipe, settings, 1, Checkpoints(tmp_path / str(kept)))
        assert model.encoder.is_activation_checkpointing is not kept
        running.run()
        found[kept] = running.model.state_dict()
    for name, own in found[True].items():
        torch.testing.assert_close(found[False][name], own)


def test_it_stops_after_patience_epochs_without_a_better_one(tiny_inputs, recipe, engine, tmp_path):
    still = recipe.model_copy(update={"learning_rate": 1e-12, "epochs": 30, "patience": 3})
    result, _ = train(tiny_inputs, still, engine, tmp_path)
    assert len(result.history) == 4
    assert result.best_epoch == 1
    assert result.stopped == "3 epochs without a better f1_micro"


def test_the_loss_can_be_the_criterion(tiny_inputs, recipe, engine, tmp_path):
    result, _ = train(tiny_inputs, recipe.model_copy(update={"criterion": "loss"}), engine, tmp_path)
    losses = [row["dev_loss"] for row in result.history]
    assert result.best_epoch == int(np.argmin(losses)) + 1


def test_the_same_seed_gives_the_same_weights(tiny_inputs, recipe, engine, tmp_path):
    assert_same(
        train(tiny_inputs, recipe, engine, tmp_path / "a")[1], train(tiny_inputs, recipe, engine, tmp_path / "b")[1]
    )


class Killed(Exception):
    """Stands for the end of the process."""


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
    killed = subprocess.run([sys.executable, __file__, str(tmp_path), str(write)], timeout=120)
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


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_rate_and_admissions(
    tiny_inputs, recipe, engine, tmp_path
):
    running = trainer(tiny_inputs, recipe, engine, tmp_path)
    with torch.no_grad():
        running.model.convolution.bias.fill_(torch.nan)
    with pytest.raises(UserError, match=r"loss is nan at step 1 with learning rate 0.01, admissions a\d+, a\d+"):
        running.run()


@pytest.fixture
def lost(tiny_inputs, recipe, engine, tmp_path, monkeypatch) -> Trainer:
    """A training whose third step has a loss that is not a number, and that saves its state after every third."""
    running = trainer(tiny_inputs, recipe, engine.model_copy(update={"checkpoint_steps": 3}), tmp_path)
    compute = running.step.losses
    monkeypatch.setattr(
        running.step,
        "losses",
        lambda *arguments: {
            name: value * (torch.nan if running.progress.steps == 2 else 1.0)
            for name, value in compute(*arguments).items()
        },
    )
    return running


@pytest.mark.parametrize("every", [1000, 3])
def test_a_loss_read_a_step_late_names_its_own_step_and_admissions(lost, every):
    lost.settings = lost.settings.model_copy(update={"checkpoint_steps": every})
    third = ", ".join(lost.train.documents[number] for number in lost._plan(0)[2].documents)
    with pytest.raises(UserError, match=f"loss is nan at step 3 with learning rate 0.01, admissions {third};"):
        lost.run()
    assert lost.progress.steps == 3, "it is not read before the next step is under way, or the state is saved"
    assert lost.checkpoints.load() is None


def test_the_loss_of_an_epoch_is_that_of_its_steps_to_the_bit(tiny_inputs, recipe, engine, tmp_path, monkeypatch):
    running, told = trainer(tiny_inputs, recipe.model_copy(update={"epochs": 2}), engine, tmp_path), []
    take_step = running._step
    monkeypatch.setattr(running, "_step", lambda *arguments: told.append(take_step(*arguments)) or told[-1])
    history = running.run().history
    steps = len(running._plan(0))
    for row, own in zip(history, (told[:steps], told[steps:]), strict=True):
        assert row["train_loss"] == sum(losses.read()["train_loss"] for losses in own) / steps


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_no_step_waits_for_the_gpu(tiny_inputs, recipe, engine, tmp_path):
    model = build(tiny_inputs, recipe.model_copy(update={"clip_norm": 1.0})).to("cuda")
    running = Trainer(model, tiny_inputs, recipe, engine, 1, Checkpoints(tmp_path))
    running.model.train()
    batch = running._plan(0)[0]
    running._step(batch, 9)
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = running._step(batch, 9)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert losses.read()["train_loss"] > 0


def test_overfit_trains_and_validates_on_the_first_documents(tiny_inputs, recipe, engine, tmp_path):
    settings = engine.model_copy(update={"overfit": 8})
    recipe = recipe.model_copy(update={"epochs": 60, "dropout": 0.0})
    result, _ = train(tiny_inputs, recipe, settings, tmp_path)
    assert max(row["f1_micro"] for row in result.history) == 1.0


def test_what_a_model_adds_to_the_loss_is_trained_on(tiny_inputs, recipe, engine, tmp_path):
    running = trainer(tiny_inputs, recipe.model_copy(update={"dropout": 0.0}), engine, tmp_path)
    batch = running._plan(0)[0]
    documents = torch.from_numpy(batch.documents)
    plain = running.step.losses(documents, batch.length, 0, len(documents))["train_loss"]
    running.model.regularisation = lambda gold: 0.5 * gold["icd"].sum(1)
    codes = tiny_inputs.splits["train"].labels["icd"][batch.documents].sum(1).mean()
    with_extra = running.step.losses(documents, batch.length, 0, len(documents))["train_loss"]
    torch.testing.assert_close(with_extra, plain + 0.5 * codes, check_dtype=False)


def test_only_the_heads_of_the_model_are_trained(tiny_inputs, recipe, engine, tmp_path):
    labels = tiny_inputs.labels | {"category": [{"train_documents": 1}]}
    more = replace(tiny_inputs, labels=labels)  # no split has gold labels for it
    running = Trainer(build(tiny_inputs, recipe), more, recipe, engine, 1, Checkpoints(tmp_path))
    assert running.run().stopped == "last epoch"
    assert list(running.model.heads) == ["icd"]


@pytest.fixture(scope="module")
def two_heads(tiny_inputs) -> Inputs:
    """The tiny inputs with a second head, whose labels each stand above two or three codes."""
    above = sparse.csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=np.uint8))

    def with_categories(split: Split) -> Split:
        groups = ((split.labels["icd"] @ above) > 0).astype(np.uint8).tocsr()
        has = np.arange(len(split)) % 5 != 0  # some documents were not coded in it
        return replace(
            split,
            labels=split.labels | {"ccs": groups},
            outside=split.outside | {"ccs": np.zeros(len(split), np.int32)},
            has=split.has | {"ccs": has},
        )

    labels = tiny_inputs.labels | {"ccs": [{"system": "ccs", "code": f"D{n}", "train_documents": 9} for n in (1, 2)]}
    splits = {name: with_categories(split) for name, split in tiny_inputs.splits.items()}
    return replace(tiny_inputs, labels=labels, splits=splits)


@pytest.mark.parametrize("name", ["caml", "mt_ram"])
def test_the_losses_of_the_heads_are_told_and_add_up_by_their_weights(two_heads, recipe, engine, tmp_path, name):
    weighted = recipe.model_copy(update={"head_weights": WEIGHTS, "epochs": 2})
    running = trainer(two_heads, weighted, engine, tmp_path, name)
    for row in running.run().history:
        for part in ("train_loss", "dev_loss"):
            whole = sum(weight * row[f"{part}_{head}"] for head, weight in WEIGHTS.items())
            assert row[part] == pytest.approx(whole, rel=1e-5)
        assert row["train_loss_icd"] != pytest.approx(row["train_loss_ccs"])


def test_a_heads_loss_on_dev_is_the_mean_over_its_documents(two_heads, recipe, engine, tmp_path):
    running = trainer(two_heads, recipe.model_copy(update={"epochs": 1}), engine, tmp_path)
    (row,) = running.run().history
    dev = two_heads.splits["dev"]
    logits = score(running.model, two_heads.tokens, dev.offsets, recipe.max_tokens, 4)
    for head in ("icd", "ccs"):
        scores, gold = (torch.from_numpy(np.asarray(x)) for x in (logits[head], dev.labels[head].toarray()))
        each = torch.nn.functional.binary_cross_entropy_with_logits(scores, gold.float(), reduction="none").mean(1)
        expected = (each * torch.from_numpy(dev.has[head])).mean().item()
        assert row[f"dev_loss_{head}"] == pytest.approx(expected, rel=1e-5)


def test_a_head_alone_has_no_loss_of_its_own_beside_the_whole(tiny_inputs, recipe, engine, tmp_path):
    weighted = recipe.model_copy(update={"head_weights": WEIGHTS, "epochs": 1})
    (row,) = train(tiny_inputs, weighted, engine, tmp_path / "weighted")[0].history
    (plain,) = train(tiny_inputs, recipe.model_copy(update={"epochs": 1}), engine, tmp_path / "plain")[0].history
    assert row == plain
    assert not any(name.startswith(("train_loss_", "dev_loss_")) for name in row)


@pytest.mark.parametrize("heads", ["first", "all"])
def test_the_criterion_is_that_of_the_first_head_or_the_mean_over_all(two_heads, recipe, engine, tmp_path, heads):
    changes = {"criterion": "f1_macro", "criterion_heads": heads, "epochs": 12, "head_weights": WEIGHTS}
    running = trainer(two_heads, recipe.model_copy(update=changes), engine, tmp_path)
    result = running.run()
    dev = two_heads.splits["dev"]
    logits = score(running.model, two_heads.tokens, dev.offsets, recipe.max_tokens, 4)
    measured = {
        head: during_training(dev.labels[head][dev.has[head]], probabilities(logits[head][dev.has[head]]), ["f1_macro"])
        for head in ("icd", "ccs")
    }
    own = {head: values["f1_macro"] for head, values in measured.items()}
    assert own["icd"] != own["ccs"]
    expected = own["icd"] if heads == "first" else (own["icd"] + own["ccs"]) / 2
    assert result.history[result.best_epoch - 1]["f1_macro"] == pytest.approx(expected)
    assert result.best_epoch == int(np.argmax([row["f1_macro"] for row in result.history])) + 1


def test_a_run_with_two_heads_killed_within_an_epoch_ends_in_the_same_weights_and_losses(
    two_heads, recipe, engine, tmp_path, monkeypatch
):
    weighted = recipe.model_copy(update={"head_weights": WEIGHTS, "epochs": 2})
    expected = trainer(two_heads, weighted, engine, tmp_path / "undisturbed", "mt_ram")
    result = expected.run()
    stopped = trainer(two_heads, weighted, engine, tmp_path / "killed", "mt_ram")
    take_step, taken = stopped._step, []

    def dying(*arguments):
        taken.append(1)
        if len(taken) == 9:
            raise Killed
        return take_step(*arguments)

    monkeypatch.setattr(stopped, "_step", dying)
    with pytest.raises(Killed):
        stopped.run()
    resumed = trainer(two_heads, weighted, engine, tmp_path / "killed", "mt_ram")
    assert resumed.run() == result
    assert_same(expected.model.state_dict(), resumed.model.state_dict())


def test_a_head_without_a_weight_is_the_users_mistake(two_heads, recipe, engine, tmp_path):
    lacking = recipe.model_copy(update={"head_weights": {"icd": 1.0}})
    with pytest.raises(UserError, match="head_weights of the recipe: no weight for the model's head ccs"):
        trainer(two_heads, lacking, engine, tmp_path)


def test_what_training_tells_of_its_best_epoch_parts_train_from_dev(two_heads, recipe, engine, tmp_path, root):
    running = trainer(two_heads, recipe.model_copy(update={"epochs": 1}), engine, tmp_path)
    told = outcome.metrics(load(root / "params.yaml"), running.model, [running.run()], [{"icd": 0.5, "ccs": 0.5}])
    assert {"train_loss", "train_loss_icd", "train_loss_ccs"} <= told.keys()
    assert {"dev_loss", "dev_loss_icd", "dev_loss_ccs", "f1_micro"} <= told["dev"].keys()
    assert not any(name.startswith(("train", "epoch", "learning")) for name in told["dev"])


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


def test_limit_bounds_the_batches_of_an_epoch(tiny_inputs, recipe, engine, tmp_path):
    running = trainer(tiny_inputs, recipe, engine.model_copy(update={"limit": 2}), tmp_path)
    running.run()
    assert running.progress.steps == 2 * recipe.epochs


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


@pytest.mark.parametrize("name", ["caml", "multirescnn", "mt_ram"])
def test_two_processes_of_torchrun_train_as_one_does(tiny_inputs, recipe, engine, tmp_path, name):
    # Rounding grows through batch norms, of which MT-RAM has ten, one behind the other.
    recipe = recipe.model_copy(update={"epochs": 4 if name == "caml" else 1})
    engine = engine.model_copy(update={"limit": 2 if name == "mt_ram" else 0})
    running = trainer(tiny_inputs, recipe, engine, tmp_path / "one", name)
    running.run()
    (tmp_path / "given").write_bytes(pickle.dumps((tiny_inputs, recipe, engine, name)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*torchrun, __file__, str(tmp_path)], check=True, timeout=120)
    shared = torch.load(tmp_path / "weights.pt")
    for part, expected in running.model.state_dict().items():
        torch.testing.assert_close(shared[part], expected, rtol=1e-3, atol=1e-4, msg=part)


def one_of_two_processes(folder: Path) -> None:
    """What torchrun runs: this file, with the folder of the test."""
    inputs, recipe, engine, name = pickle.loads((folder / "given").read_bytes())
    reproducibility.prepare(1)
    with distributed.join(torch.device("cpu")) as world:
        assert world.size == 2
        running = trainer(inputs, recipe, engine, folder / "two", name, world=world)
        running.run()
        if world.leads:
            torch.save(running.model.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        kill_in_mid_write(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        one_of_two_processes(Path(sys.argv[1]))
