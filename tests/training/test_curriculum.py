"""The curriculum over the tree of codes: its levels, the way down, and that it equals a new head for each level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trainers
from hypothesis import given
from hypothesis import strategies as st
from recorder import OperationRecorder
from scipy import sparse
from torch import nn
from trainers import assert_same, run_alone, steps

from medcode.codes.tree import Node
from medcode.config.recipes import CurriculumSettings
from medcode.dataset.arrays import Targets
from medcode.engine import cuda_graphs
from medcode.engine.device_data import DeviceTargets
from medcode.engine.distributed import DistributedContext
from medcode.engine.transfer import to_device
from medcode.errors import UserError
from medcode.training import multi_seed
from medcode.training.curriculum import Curriculum
from medcode.training.label_init import with_description_documents
from medcode.training.train_step import TrainStep

# Two codes share a category, two the first decimal; the third is a category itself, and chapter B has no blocks. Blocks
# and categories are the same nodes, so that blocks are left out.
PATHS = [
    "A A1 100 100.1", "A A1 100 100.2", "A A2 110", "B 200 200.1 200.11", "B 200 200.1 200.12", "B 210 210.0"
]  # fmt: skip
NODES = [[0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 2, 3], [0, 1, 2, 3, 3, 4], [0, 1, 2, 3, 4, 5]]
EPOCHS = [1, 7, 1, 2]
NUMBER_OF_EPOCH = [0, 1, 2, 2, 3, 3, 3, 3]


def path(text: str) -> tuple[Node, ...]:
    def level(code):
        if code[0].isalpha():
            return "block" if code[1:] else "chapter"
        return "code" if "." in code else "category"

    return tuple(Node(level(code), "icd9cm", code, "") for code in text.split())


TREE = {"icd": [path(text) for text in PATHS]}


@pytest.fixture
def curriculum() -> Curriculum:
    return Curriculum(EPOCHS, TREE)


@pytest.fixture
def taught(recipe):
    return recipe.model_copy(update={"curriculum": CurriculumSettings(epochs=EPOCHS), "monitor": "loss"})


def test_levels_lead_down_to_the_labels_and_repeated_ones_are_left_out(curriculum):
    assert [level.nodes["icd"].tolist() for level in curriculum.levels] == NODES
    assert curriculum.epochs == 1 + 1 + 2
    assert [curriculum.number(epoch) for epoch in range(8)] == NUMBER_OF_EPOCH


def test_a_head_without_a_tree_keeps_its_labels_on_every_level():
    ccs = [(Node("code", "ccs", f"D{number}", ""),) for number in range(3)]
    curriculum = Curriculum(EPOCHS, TREE | {"ccs": ccs})
    assert [level.nodes["ccs"].tolist() for level in curriculum.levels] == [[0, 1, 2]] * 4
    with pytest.raises(UserError, match=r"^recipe: curriculum: no level .* than there are labels \(ccs\); leave"):
        Curriculum(EPOCHS, {"ccs": ccs})


@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=8))
def test_a_node_is_gold_where_one_of_its_codes_is(documents):
    gold = np.array([[label in codes for label in range(6)] for codes in documents], dtype=np.uint8)
    coded = np.arange(len(documents)) % 2 == 0
    for level in Curriculum(EPOCHS, TREE).levels:
        targets = level.targets("icd", Targets(sparse.csr_matrix(gold), coded))
        expected = [
            [gold[row, level.nodes["icd"] == node].any() for node in range(level.nodes["icd"].max() + 1)]
            for row in range(len(documents))
        ]
        assert targets.matrix.toarray().tolist() == np.array(expected, int).tolist()
        assert (targets.is_coded == coded).all()


def at_the_end_of_level(trainer, number: int) -> None:
    """Train until the last step of the last epoch on a level, before its evaluation."""
    while trainer.curriculum.curriculum.number(trainer.state.epoch + 1) <= number or not trainer.at_epoch_end:
        if trainer.at_epoch_end:
            trainer.end_epoch()
        trainer.train_step()


def weights_of_labels(trainer) -> list[torch.Tensor]:
    attention = trainer.model.attention["icd"]
    return [attention.queries.weight, attention.output.weight]


def moments(trainer, parameter) -> list[torch.Tensor]:
    return list(trainer.stepper.optimizer.state.get(parameter, {}).values())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_moving_down_children_have_the_rows_of_their_parent_and_fresh_biases(
    tiny_inputs, taught, engine, curriculum, tmp_path, number
):
    trainer = trainers.trainer(tiny_inputs, taught, engine, tmp_path, curriculum=curriculum)
    initial = trainer.model.attention["icd"].output.bias.detach().clone()
    at_the_end_of_level(trainer, number)
    bias = trainer.model.attention["icd"].output.bias
    first = [NODES[number].index(node) for node in NODES[number]]
    learned = [weight.detach().clone() for weight in weights_of_labels(trainer)]
    assert not torch.equal(bias, initial)
    trainer.end_epoch()
    for weight, before in zip(weights_of_labels(trainer), learned, strict=True):
        assert torch.equal(weight, before[first])
        assert all((moment == 0).all() for moment in moments(trainer, weight)) and moments(trainer, weight)
    assert torch.equal(bias, initial)
    assert all((moment == 0).all() for moment in moments(trainer, bias)) and moments(trainer, bias)
    convolution = trainer.model.convolution.weight
    assert moments(trainer, convolution)[0].item() == trainer.state.global_step  # one optimizer goes on


def test_log_odds_are_those_of_the_nodes(tiny_inputs, taught, engine, curriculum, tmp_path):
    informed = taught.model_copy(update={"label_biases": "log_odds"})
    trainer = trainers.trainer(tiny_inputs, informed, engine, tmp_path, curriculum=curriculum)
    gold = tiny_inputs.splits["train"].targets["icd"].matrix.toarray()
    for number, nodes in enumerate(NODES):
        counts = np.array([gold[:, np.array(nodes) == node].any(1).sum() for node in nodes])
        odds = np.log((counts + 0.5) / (len(gold) - counts + 0.5))
        torch.testing.assert_close(trainer.model.attention["icd"].output.bias, torch.from_numpy(odds).float())
        if number < 3:
            at_the_end_of_level(trainer, number)
            trainer.end_epoch()


def test_log_odds_are_those_of_notes_where_descriptions_are_training_documents(
    tiny_inputs, taught, engine, curriculum, tmp_path
):
    informed = taught.model_copy(update={"label_biases": "log_odds", "description_documents": True})
    more = with_description_documents(tiny_inputs, {"icd": [np.array([1, 2, 3])] * 6})
    biases = []
    for name, data in (("without", tiny_inputs), ("with", more)):
        trainer = trainers.trainer(data, informed, engine, tmp_path / name, curriculum=curriculum)
        at_the_end_of_level(trainer, 2)
        trainer.end_epoch()
        biases.append(trainer.model.attention["icd"].output.bias)
    assert len(more.splits["train"]) == len(tiny_inputs.splits["train"]) + 6
    assert torch.equal(*biases)


def new_head(labels: int, rows: nn.Module, bias: torch.Tensor) -> nn.Module:
    """Return the label attention of a level with its own number of labels."""
    head = type(rows)(rows.queries.in_features, labels)
    with torch.no_grad():
        head.output.bias.copy_(bias)
    return head


def test_it_equals_a_new_head_for_each_level_and_one_optimizer(tiny_inputs, taught, engine, curriculum, tmp_path):
    """The authors' form: layers of each level's own size, all in one optimizer from the start."""
    last = taught.model_copy(update={"restore": "last", "dropout": 0.0, "optimizer": "adamw", "epochs": 2})
    taught_model = trainers.trainer(tiny_inputs, last, engine, tmp_path, curriculum=curriculum)
    biases = taught_model.model.attention["icd"].output.bias.detach().clone()
    model = trainers.build(tiny_inputs, last)
    firsts = [[nodes.index(node) for node in range(max(nodes) + 1)] for nodes in NODES]
    heads = [new_head(len(first), model.attention["icd"], biases[first]) for first in firsts]
    start = trainers.build(tiny_inputs, last).attention["icd"]
    with torch.no_grad():
        for layer in ("queries", "output"):
            getattr(heads[0], layer).weight.copy_(getattr(start, layer).weight[firsts[0]])
    model.all_heads = nn.ModuleList(heads)
    notes, targets = taught_model.device_data.train_notes, tiny_inputs.splits["train"].targets["icd"]
    stepper = TrainStep(model, notes, {}, last, engine, DistributedContext())
    step = 0
    for epoch, number in enumerate(NUMBER_OF_EPOCH[:6]):
        if epoch and number != NUMBER_OF_EPOCH[epoch - 1]:
            parents = [NODES[number - 1][label] for label in firsts[number]]
            with torch.no_grad():
                for layer in ("queries", "output"):
                    above, below = (getattr(heads[place], layer).weight for place in (number - 1, number))
                    below.copy_(above[parents])
        model.attention["icd"] = heads[number]
        stepper.targets = {"icd": DeviceTargets(curriculum.levels[number].targets("icd", targets), torch.device("cpu"))}
        for batch in taught_model.epoch_batches(epoch):
            stepper.prepare(last.learning_rate, 1, step, epoch + 1)
            stepper.run(to_device(batch.documents, torch.device("cpu")), batch.length)
            step += 1
    run_alone(taught_model)
    for name, weight in taught_model.model.state_dict().items():
        if not name.endswith("queries.bias"):
            torch.testing.assert_close(weight, model.state_dict()[name], msg=name)


def test_only_epochs_on_the_labels_are_monitored_and_the_curve_says_which(
    tiny_inputs, taught, engine, curriculum, tmp_path
):
    lazy = taught.model_copy(update={"learning_rate": 1e-9, "patience": 1, "epochs": 9})
    result = run_alone(trainers.trainer(tiny_inputs, lazy, engine, tmp_path, curriculum=curriculum))
    assert [row["level"] for row in result.history] == [number + 1 for number in NUMBER_OF_EPOCH[: len(result.history)]]
    assert len(result.history) > curriculum.epochs + 1 and result.best_epoch > curriculum.epochs
    losses = [row["dev_loss"] for row in result.history[curriculum.epochs :]]
    assert result.best_epoch == curriculum.epochs + 1 + losses.index(min(losses))
    without = len(losses) - 1 - losses.index(min(losses))
    assert (without, result.stopped) in ((1, "1 epochs without a better loss"), (0, "last epoch"))


def test_early_epochs_with_the_best_metric_are_not_kept(tiny_inputs, taught, engine, curriculum, tmp_path):
    trainer = trainers.trainer(tiny_inputs, taught, engine, tmp_path, curriculum=curriculum)
    for _ in steps(trainer):
        above = len(trainer.state.history) <= curriculum.epochs
        assert (trainer.state.best_epoch == 0) == above
        assert bool(list(tmp_path.glob("best-*.pt"))) != above
        if len(trainer.state.history) == 1:
            trainer.state.history[0]["dev_loss"] = 0.0
    assert trainer.state.best_epoch > curriculum.epochs and len(trainer.state.history) == curriculum.epochs + 4


def test_dev_is_measured_on_the_codes_each_with_the_score_of_its_node(
    tiny_inputs, taught, engine, curriculum, tmp_path
):
    trainer = trainers.trainer(tiny_inputs, taught, engine, tmp_path, curriculum=curriculum)
    at_the_end_of_level(trainer, 0)
    model, dev = trainer.model.eval(), tiny_inputs.splits["dev"]
    notes = trainer.device_data.dev_notes
    with torch.inference_mode():
        logits = model(*notes.gather(torch.arange(len(dev)), 60))["icd"]
    gold = torch.from_numpy(dev.targets["icd"].matrix.toarray()).float()
    expected = nn.functional.binary_cross_entropy_with_logits(logits[:, [0, 0, 0, 3, 3, 3]], gold)
    model.train()
    trainer.end_epoch()
    assert trainer.state.history[0]["dev_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_the_schedule_runs_over_all_levels(tiny_inputs, taught, engine, curriculum, tmp_path):
    falling = taught.model_copy(update={"schedule": "linear"})
    result = run_alone(trainers.trainer(tiny_inputs, falling, engine, tmp_path, curriculum=curriculum))
    rates = [row["learning_rate"] for row in result.history]
    assert rates == pytest.approx([0.01 * (88 - 11 * epoch + 1) / 88 for epoch in range(1, 9)])


@pytest.mark.parametrize("changes", [{}, {"label_biases": "log_odds", "schedule": "plateau"}])
def test_a_run_killed_on_any_level_ends_in_the_same_bits(tiny_inputs, taught, engine, curriculum, tmp_path, changes):
    taught = taught.model_copy(update=changes | {"dropout": 0.2})
    whole = trainers.trainer(tiny_inputs, taught, engine, tmp_path / "whole", curriculum=curriculum)
    expected = run_alone(whole)
    for step in (5, 11, 13, 24, 40, 61):  # 11 steps an epoch, a checkpoint every 3
        folder = tmp_path / str(step)
        for _ in steps(trainers.trainer(tiny_inputs, taught, engine, folder, curriculum=curriculum)):
            step -= 1
            if not step:
                break
        resumed = trainers.trainer(tiny_inputs, taught, engine, folder, curriculum=curriculum)
        assert run_alone(resumed) == expected
        assert_same(resumed.model.state_dict(), whole.model.state_dict())


def test_several_seeds_have_the_same_bits_as_alone(tiny_inputs, taught, engine, curriculum, tmp_path):
    def make(folder, seed, **shared):
        trainer = trainers.trainer(tiny_inputs, taught, engine, tmp_path / folder, curriculum=curriculum, **shared)
        trainer.seed = seed
        trainer._begin_epoch()
        return trainer

    alone = [make(f"alone{seed}", seed) for seed in (1, 2)]
    expected = [run_alone(trainer) for trainer in alone]
    first = make("first", 1)
    together = [first, make("second", 2, share_data_with=first)]
    assert multi_seed.train(together) == expected
    for trainer, other in zip(together, alone, strict=True):
        assert_same(trainer.model.state_dict(), other.model.state_dict())
    assert expected[0].history != expected[1].history


def test_recorded_steps_are_recorded_again_on_each_level(
    tiny_inputs, taught, engine, curriculum, tmp_path, monkeypatch
):
    recorders = []

    def recorder():
        state = trainer.stepper.optimizer.state

        def changed():
            moments = (moment for of_parameter in state.values() for moment in of_parameter.values())
            return [*trainer.model.state_dict().values(), *trainer.model.parameters(), *moments]

        recorders.append(OperationRecorder(changed))
        return recorders[-1]

    monkeypatch.setattr(cuda_graphs, "CudaGraphs", recorder)
    eager = run_alone(trainers.trainer(tiny_inputs, taught, engine, tmp_path / "eager", curriculum=curriculum))
    trainer = trainers.trainer(tiny_inputs, taught, engine, tmp_path / "recorded", curriculum=curriculum)
    trainer.stepper.graphed = True
    trainer.stepper.train_on(trainer.stepper.targets, trainer.stepper.columns)
    recorded = run_alone(trainer)
    assert len(recorders) == 4 and all(one.replayed for one in recorders)
    assert [row["train_loss"] for row in recorded.history] == pytest.approx(
        [row["train_loss"] for row in eager.history]
    )


def test_two_heads_go_down_together(tiny_inputs, taught, engine, tmp_path):
    """The second head has no tree: its weights are never reset."""
    split = {}
    for name, one in tiny_inputs.splits.items():
        of_codes = one.targets["icd"]
        split[name] = replace(one, targets={"icd": of_codes, "ccs": Targets(of_codes.matrix[:, :2], of_codes.is_coded)})
    data = replace(tiny_inputs, splits=split, labels=tiny_inputs.labels | {"ccs": tiny_inputs.labels["icd"][:2]})
    tree = TREE | {"ccs": [(Node("code", "ccs", f"D{number}", ""),) for number in range(2)]}
    trainer = trainers.trainer(data, taught, engine, tmp_path, curriculum=Curriculum(EPOCHS, tree))
    at_the_end_of_level(trainer, 0)
    before = {name: value.clone() for name, value in trainer.model.attention.state_dict().items()}
    trainer.end_epoch()
    after = trainer.model.attention.state_dict()
    kept = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert {name for name in before if name.startswith("ccs")} <= kept
    assert not {"icd.queries.weight", "icd.output.weight", "icd.output.bias"} & kept
