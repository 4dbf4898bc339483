"""Training of a model whose weights are fitted at once."""

from __future__ import annotations

import pytest
import torch
from trainers import assert_same

from medcode.config import configure
from medcode.config.recipes import RecipeAtOnce
from medcode.engine.distributed import DistributedContext
from medcode.inference.scoring import score
from medcode.models.inputs import ModelInputs
from medcode.models.linear import Linear
from medcode.training import at_once, results
from medcode.training.at_once import AtOnce
from medcode.training.checkpoint import Checkpoints
from medcode.training.setup import train_documents

RECIPE = RecipeAtOnce()
OPTIONS = {"min_documents": 2, "max_features": 10_000, "cost": 10.0}


@pytest.fixture
def make(tiny_inputs, engine, tmp_path):
    def training(name: str = "first", seed: int = 1, engine=engine, **arguments) -> AtOnce:
        torch.manual_seed(seed)
        documents = train_documents(tiny_inputs, RECIPE.max_tokens)
        inputs = ModelInputs(heads=tiny_inputs.heads, vocab_size=len(tiny_inputs.vectors), train_documents=documents)
        model = Linear(configure("linear", OPTIONS, RECIPE), inputs)
        return AtOnce(model, tiny_inputs, RECIPE, engine, seed, Checkpoints(tmp_path / name), **arguments)

    return training


def test_one_epoch_with_losses_and_dev_metrics(make):
    epochs = []
    training = make(on_epoch=lambda history, times: epochs.append((len(history), times)))
    (result,) = at_once.train([training])
    assert (result.best_epoch, result.stopped, len(epochs)) == (1, "fitted at once", 1)
    number, times = epochs[0]
    assert number == 1 and times["seconds"] > 0 and times["cpu_seconds"] > 0
    (row,) = result.history
    assert list(row)[:3] == ["epoch", "train_loss", "dev_loss"]
    assert row["train_loss"] < row["dev_loss"] < 0.69 and row["map"] > 0.8


def test_the_train_loss_is_the_mean_over_documents(make, tiny_inputs):
    training = make()
    (result,) = at_once.train([training])
    split = tiny_inputs.splits["train"]
    logits = torch.from_numpy(score(training.model, tiny_inputs.tokens, split.offsets, 2500, 7)["icd"])
    gold = torch.from_numpy(split.targets["icd"].matrix.toarray()).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, gold)
    assert result.history[0]["train_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_further_seeds_take_the_weights_of_the_first(make, monkeypatch):
    fits, fit = [], Linear.fit
    monkeypatch.setattr(Linear, "fit", lambda self, *arguments: fits.append(self) or fit(self, *arguments))
    first = make()
    second = make("second", seed=2, share_data_with=first)
    one, two = at_once.train([first, second])
    assert fits == [first.model] and one == two
    assert_same(second.model.state_dict(), first.model.state_dict())


def test_a_finished_training_ends_at_once_with_the_same_weights(make, monkeypatch):
    first = make()
    (expected,) = at_once.train([first])
    first.checkpoints.finish(first.checkpoints.folder / "model")
    monkeypatch.setattr(Linear, "fit", None)
    resumed = []
    second = make(seed=3, on_resume=lambda state, folder: resumed.append(state.stopped))
    assert at_once.train([second]) == [expected] and resumed == ["fitted at once"]
    assert_same(second.model.state_dict(), first.model.state_dict())


def test_a_killed_fit_leaves_nothing_and_begins_anew(make, monkeypatch, tmp_path):
    def killed(*arguments) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("medcode.models.linear.fit_label", killed)
        with pytest.raises(KeyboardInterrupt):
            at_once.train([make()])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert at_once.train([make()]) == at_once.train([make("other")])


def test_only_the_main_process_fits(make):
    assert at_once.train([make(context=DistributedContext(rank=1, size=2))]) == []


def test_debugging_on_few_documents(make, engine):
    training = make(engine=engine.model_copy(update={"overfit_documents": 5}))
    at_once.train([training])
    assert len(training.train_split) == len(training.dev_split) == 5


def test_thresholds_are_tuned_on_dev(make, tiny_inputs):
    training = make()
    at_once.train([training])
    on_dev = results.dev_probabilities(training.model, tiny_inputs, 2500, "fp32")
    thresholds = results.tune_thresholds(on_dev, tiny_inputs)
    assert 0 < thresholds["icd"] < 1
