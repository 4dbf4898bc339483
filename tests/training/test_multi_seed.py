"""Several seeds in one process: each has the same result as alone."""

from __future__ import annotations

import functools
import inspect
import os
import signal

import pytest
import torch
from gpu import needs_gpu
from trainers import assert_same, run_alone

from medcode import models
from medcode.config import configure
from medcode.engine import reproducibility
from medcode.errors import UserError
from medcode.models.inputs import ModelInputs
from medcode.training import multi_seed
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

SEEDS = (1, 2, 3)
ARCHITECTURES = {
    "caml": {"filters": 10, "kernel": 4},
    "multirescnn": {"filters": 4, "kernels": [3, 5], "variant": "original"},  # whose batch norms have running means
}


@pytest.fixture(scope="module")
def make(tiny_inputs, recipe, engine):
    """Make the trainer of a seed."""

    def trainer(seed, folder, name="caml", share_data_with=None, **changes):
        changed_recipe = recipe.model_copy(update=changes)
        torch.manual_seed(seed)
        vectors = torch.from_numpy(tiny_inputs.vectors)
        config = configure(name, ARCHITECTURES[name] | {"heads": ["icd"]}, changed_recipe)
        inputs = ModelInputs(heads=tiny_inputs.heads, vocab_size=len(vectors), vectors=vectors)
        model = models.find(name)(config, inputs)
        checkpoints = Checkpoints(folder / str(seed))
        return Trainer(model, tiny_inputs, changed_recipe, engine, seed, checkpoints, share_data_with=share_data_with)

    return trainer


def weights(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


@pytest.fixture(scope="module")
def trained_alone(make, tmp_path_factory):
    """Return result and weights of each seed, trained alone; the same settings are trained once."""

    @functools.cache
    def results(**changes):
        reproducibility.prepare(1)
        trainers = {seed: make(seed, tmp_path_factory.mktemp("alone"), **changes) for seed in SEEDS}
        return {seed: (run_alone(trainer), weights(trainer)) for seed, trainer in trainers.items()}

    return results


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_seed_gives_the_same_bits_as_alone(make, trained_alone, tmp_path, name):
    changes = {"name": name, "epochs": 2} if name == "multirescnn" else {}
    expected = trained_alone(**changes)
    first, *other_seeds = SEEDS
    together = [make(first, tmp_path, **changes)]
    together += [make(seed, tmp_path, **changes, share_data_with=together[0]) for seed in other_seeds]
    assert together[0].device_data is together[2].device_data
    for seed, trainer, result in zip(SEEDS, together, multi_seed.train(together), strict=True):
        assert result == expected[seed][0]
        assert_same(weights(trainer), expected[seed][1])
    curves = [result.history for result, _ in expected.values()]
    assert curves[0] != curves[1] != curves[2], "the seeds do not differ, so nothing is shown"


def test_a_seed_that_stops_early_leaves_the_group(make, trained_alone, tmp_path):
    patient = {"patience": 1, "epochs": 30}
    expected = trained_alone(**patient)
    epochs = [len(result.history) for result, _ in expected.values()]
    assert len(set(epochs)) > 1, "all stop at the same epoch, so nothing is shown"
    together = [make(seed, tmp_path / "together", **patient) for seed in SEEDS]
    assert multi_seed.train(together) == [result for result, _ in expected.values()]
    for seed, trainer in zip(SEEDS, together, strict=True):
        assert trainer.state.global_step == 11 * len(expected[seed][0].history)  # 41 documents, 4 in a batch
        assert_same(weights(trainer), expected[seed][1])


def test_steps_are_taken_in_turns(make, tmp_path, monkeypatch):
    together, steps = [make(seed, tmp_path, epochs=1) for seed in SEEDS], []
    for trainer in together:
        step = trainer.train_step
        monkeypatch.setattr(
            trainer, "train_step", lambda *batch, step=step, seed=trainer.seed: (steps.append(seed), step(*batch))[1]
        )
    multi_seed.train(together)
    assert steps == list(SEEDS) * 11


def interrupt(trainer, at, monkeypatch):
    step = trainer.train_step

    def interrupted(*batch):
        if trainer.state.global_step == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*batch)

    monkeypatch.setattr(trainer, "train_step", interrupted)


@pytest.mark.parametrize(("position", "at"), [(0, 0), (2, 0), (2, 4), (0, 15)])
def test_a_stop_signal_saves_every_seed_and_all_resume(make, trained_alone, tmp_path, monkeypatch, position, at):
    expected = trained_alone()
    stopped = [make(seed, tmp_path / "together") for seed in SEEDS]
    interrupt(stopped[position], at, monkeypatch)
    with pytest.raises(SystemExit) as stop:
        multi_seed.train(stopped)
    assert stop.value.code == 128 + signal.SIGTERM
    resumed = [make(seed, tmp_path / "together") for seed in SEEDS]
    for number, trainer in enumerate(resumed):
        trainer.restore()
        assert trainer.state.global_step == (at + 1 if number <= position else at)
    assert multi_seed.train(resumed) == [result for result, _ in expected.values()]
    for seed, trainer in zip(SEEDS, resumed, strict=True):
        assert_same(weights(trainer), expected[seed][1])


def test_a_stopped_group_resumes_without_its_finished_seed(make, trained_alone, tmp_path, monkeypatch):
    patient = {"patience": 1, "epochs": 30}
    expected = trained_alone(**patient)
    ends = [11 * len(result.history) for result, _ in expected.values()]
    stopped = [make(seed, tmp_path / "together", **patient) for seed in SEEDS]
    interrupt(stopped[ends.index(max(ends))], min(ends) + 2, monkeypatch)
    with pytest.raises(SystemExit):
        multi_seed.train(stopped)
    assert [trainer.state.stopped != "" for trainer in stopped] == [end == min(ends) for end in ends]
    resumed = [make(seed, tmp_path / "together", **patient) for seed in SEEDS]
    assert multi_seed.train(resumed) == [result for result, _ in expected.values()]
    for seed, trainer in zip(SEEDS, resumed, strict=True):
        assert_same(weights(trainer), expected[seed][1])


def test_one_seed_of_a_stopped_group_can_resume_alone(make, trained_alone, tmp_path, monkeypatch):
    expected = trained_alone()
    stopped = [make(seed, tmp_path / "together") for seed in SEEDS]
    interrupt(stopped[1], 7, monkeypatch)
    with pytest.raises(SystemExit):
        multi_seed.train(stopped)
    trainer = make(2, tmp_path / "together")
    assert run_alone(trainer) == expected[2][0]
    assert_same(weights(trainer), expected[2][1])


def test_a_nonfinite_loss_stops_the_group(make, tmp_path):
    together = [make(seed, tmp_path) for seed in SEEDS]
    with torch.no_grad():
        together[1].model.convolution.bias.fill_(torch.nan)
    with pytest.raises(UserError, match="loss is nan at step 1"):
        multi_seed.train(together)


@needs_gpu
def test_on_a_gpu_seeds_on_separate_streams_give_the_same_result_as_alone(make, tiny_inputs, tmp_path):
    outcomes = []
    for folder, train in (
        ("alone", lambda group: [run_alone(trainer) for trainer in group]),
        ("together", multi_seed.train),
    ):
        group = []
        for seed in SEEDS:
            trainer = make(seed, tmp_path / folder)
            on_gpu = trainer.model.cuda()
            group.append(Trainer(on_gpu, tiny_inputs, trainer.recipe, trainer.engine, seed, trainer.checkpoints))
        outcomes.append((train(group), [weights(trainer) for trainer in group]))
    (expected, expected_weights), (together, weights_together) = outcomes
    for sequential, result in zip(expected, together, strict=True):
        losses = [row["train_loss"] for row in sequential.history]
        assert [row["train_loss"] for row in result.history] == pytest.approx(losses)
    for sequential, of_seed in zip(expected_weights, weights_together, strict=True):
        for name, tensor in sequential.items():
            torch.testing.assert_close(of_seed[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_the_call_chain_from_loop_to_encoder_is_short(make, tmp_path, monkeypatch):
    """A reader should not have to follow more functions."""
    trainer, call_chains = make(1, tmp_path, epochs=1), set()
    encode = trainer.model.encode

    def recording_encode(*batch):
        call_chains.add(
            tuple(frame.function for frame in reversed(inspect.stack()) if f"src{os.sep}medcode" in frame.filename)
        )
        return encode(*batch)

    monkeypatch.setattr(trainer.model, "encode", recording_encode)
    trainer.train_step()
    assert call_chains == {("train_step", "update", "forward", "features")}
    multi_seed.train([trainer])
    assert ("train", "train_step", "update", "forward", "features") in call_chains
