"""Training with several heads: their losses, weights and monitor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from trainers import WEIGHTS, Killed, assert_same, run_alone, train, trainer

from medcode.config import Run, load
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.errors import UserError
from medcode.evaluation.monitor import dev_metrics
from medcode.inference.scoring import probabilities, score
from medcode.training import results


@pytest.fixture(scope="module")
def two_heads(tiny_inputs) -> Inputs:
    """The tiny inputs with a second head, whose labels group two or three codes each."""
    above = sparse.csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=np.uint8))

    def with_categories(split: Split) -> Split:
        groups = ((split.targets["icd"].matrix @ above) > 0).astype(np.uint8).tocsr()
        is_coded = np.arange(len(split)) % 5 != 0  # some documents were not coded in it
        categories = Targets(groups, is_coded)
        return replace(split, targets=split.targets | {"ccs": categories})

    labels = tiny_inputs.labels | {"ccs": [{"system": "ccs", "code": f"D{n}", "train_documents": 9} for n in (1, 2)]}
    splits = {name: with_categories(split) for name, split in tiny_inputs.splits.items()}
    return replace(tiny_inputs, labels=labels, splits=splits)


@pytest.mark.parametrize("name", ["caml", "mt_ram"])
def test_head_losses_are_reported_and_add_up_by_weight(two_heads, recipe, engine, tmp_path, name):
    weighted = recipe.model_copy(update={"loss_weights": WEIGHTS, "epochs": 2})
    running = trainer(two_heads, weighted, engine, tmp_path, name)
    for row in run_alone(running).history:
        for part in ("train_loss", "dev_loss"):
            weighted_sum = sum(weight * row[f"{part}_{head}"] for head, weight in WEIGHTS.items())
            assert row[part] == pytest.approx(weighted_sum, rel=1e-5)
        assert row["train_loss_icd"] != pytest.approx(row["train_loss_ccs"])


def test_a_heads_loss_on_dev_is_the_mean_over_its_documents(two_heads, recipe, engine, tmp_path):
    running = trainer(two_heads, recipe.model_copy(update={"epochs": 1}), engine, tmp_path)
    (row,) = run_alone(running).history
    dev = two_heads.splits["dev"]
    logits = score(running.model, two_heads.tokens, dev.offsets, recipe.max_tokens, 4)
    for head in ("icd", "ccs"):
        scores, gold = (torch.from_numpy(np.asarray(x)) for x in (logits[head], dev.targets[head].matrix.toarray()))
        losses = torch.nn.functional.binary_cross_entropy_with_logits(scores, gold.float(), reduction="none").mean(1)
        expected = (losses * torch.from_numpy(dev.targets[head].is_coded)).mean().item()
        assert row[f"dev_loss_{head}"] == pytest.approx(expected, rel=1e-5)


def test_a_single_head_has_no_separate_loss(tiny_inputs, recipe, engine, tmp_path):
    weighted = recipe.model_copy(update={"loss_weights": WEIGHTS, "epochs": 1})
    (row,) = train(tiny_inputs, weighted, engine, tmp_path / "weighted")[0].history
    (plain,) = train(tiny_inputs, recipe.model_copy(update={"epochs": 1}), engine, tmp_path / "plain")[0].history
    assert row == plain
    assert not any(name.startswith(("train_loss_", "dev_loss_")) for name in row)


@pytest.mark.parametrize("heads", ["first", "all"])
def test_the_monitor_is_of_the_first_head_or_the_mean_over_all(two_heads, recipe, engine, tmp_path, heads):
    changes = {"monitor": "f1_macro", "monitor_heads": heads, "epochs": 12, "loss_weights": WEIGHTS}
    running = trainer(two_heads, recipe.model_copy(update=changes), engine, tmp_path)
    result = run_alone(running)
    dev = two_heads.splits["dev"]
    logits = score(running.model, two_heads.tokens, dev.offsets, recipe.max_tokens, 4)
    metrics = {
        head: dev_metrics(targets.coded().matrix, probabilities(logits[head][targets.is_coded]), ["f1_macro"])
        for head, targets in dev.targets.items()
    }
    f1 = {head: values["f1_macro"] for head, values in metrics.items()}
    assert f1["icd"] != f1["ccs"]
    expected = f1["icd"] if heads == "first" else (f1["icd"] + f1["ccs"]) / 2
    assert result.history[result.best_epoch - 1]["f1_macro"] == pytest.approx(expected)
    assert result.best_epoch == int(np.argmax([row["f1_macro"] for row in result.history])) + 1


def test_a_killed_run_with_two_heads_ends_in_the_same_weights_and_losses(
    two_heads, recipe, engine, tmp_path, monkeypatch
):
    weighted = recipe.model_copy(update={"loss_weights": WEIGHTS, "epochs": 2})
    expected = trainer(two_heads, weighted, engine, tmp_path / "undisturbed", "mt_ram")
    result = run_alone(expected)
    stopped = trainer(two_heads, weighted, engine, tmp_path / "killed", "mt_ram")
    take_step, steps = stopped.train_step, []

    def killed_call(*arguments):
        steps.append(1)
        if len(steps) == 9:
            raise Killed
        return take_step(*arguments)

    monkeypatch.setattr(stopped, "train_step", killed_call)
    with pytest.raises(Killed):
        run_alone(stopped)
    resumed = trainer(two_heads, weighted, engine, tmp_path / "killed", "mt_ram")
    assert run_alone(resumed) == result
    assert_same(expected.model.state_dict(), resumed.model.state_dict())


def test_a_head_without_a_weight_raises_a_user_error(two_heads, recipe, engine, tmp_path):
    lacking = recipe.model_copy(update={"loss_weights": {"icd": 1.0}})
    with pytest.raises(UserError, match="loss_weights of the recipe: no weight for the model's head ccs"):
        trainer(two_heads, lacking, engine, tmp_path)


def test_train_metrics_separate_train_from_dev(two_heads, recipe, engine, tmp_path, root):
    running = trainer(two_heads, recipe.model_copy(update={"epochs": 1}), engine, tmp_path)
    train_metrics = results.metrics(
        load(Run, root / "params.yaml"), "quick", running.model, [run_alone(running)], [{"icd": 0.5, "ccs": 0.5}]
    )
    assert {"train_loss", "train_loss_icd", "train_loss_ccs"} <= train_metrics.keys()
    assert {"dev_loss", "dev_loss_icd", "dev_loss_ccs", "f1_micro"} <= train_metrics["dev"].keys()
    assert not any(name.startswith(("train", "epoch", "learning")) for name in train_metrics["dev"])
