"""A curriculum over the tree of codes (recipe key `curriculum`): from chapters down to codes.

Source: Ren et al. 2022, "HiCu: Leveraging Hierarchy for Curriculum Learning in Automated ICD Coding"; the authors'
code.

Each level of the tree is trained for some epochs. Its nodes are the labels then, and a node is gold where one of its
codes is. Moving down, each label takes the query and the output vector of its node, and learns on from there. Biases
start afresh, and so do the optimizer's moments of all three: the authors' code has a new layer for each level, and one
optimizer for all.

Here the model has the same weights throughout, those of the codes. A node has the rows of its first code, and the other
rows rest until the level below. The result is the same, and a checkpoint has one form whatever the level; but epochs on
chapters take as long as those on codes.

In the learning curve `level` counts from 1 at the top, and `train_loss` is that of the level's nodes. Dev is measured
on the codes from the first epoch on, each with the score of its node. The authors' hyperbolic vectors of nodes are left
out.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from medcode.codes.tree import Path, levels
from medcode.config import Recipe
from medcode.dataset.arrays import Split, Targets
from medcode.engine.device_data import DeviceTargets
from medcode.errors import UserError
from medcode.models.base import Model
from medcode.training.label_init import start_from_frequencies
from medcode.training.state import Row
from medcode.training.train_step import TrainStep


@dataclass(frozen=True)
class Level:
    """The nodes of one level of the tree.

    Attributes:
        nodes: the node of each label, numbered from 0 in the order of their first labels, {head: int64 [Y]}.
    """

    nodes: dict[str, np.ndarray]

    def first_labels(self, head: str) -> np.ndarray:
        """Return the first label of each node, whose rows are those of the node, ascending."""
        return np.unique(self.nodes[head], return_index=True)[1]

    def representatives(self) -> dict[str, np.ndarray]:
        """Return the first label of the node of each label, {head: int64 [Y]}."""
        return {head: self.first_labels(head)[nodes] for head, nodes in self.nodes.items()}

    def targets(self, head: str, targets: Targets) -> Targets:
        """Return the targets of the nodes: a node is gold where one of its labels is."""
        nodes = self.nodes[head]
        members = sparse.csr_matrix((np.ones(len(nodes), np.int32), (np.arange(len(nodes)), nodes)))
        matrix = sparse.csr_matrix(targets.matrix.astype(np.int32) @ members)
        return Targets((matrix > 0).astype(np.uint8).tocsr(), targets.is_coded)


class Curriculum:
    """The levels of the labels of some heads, and how many epochs each is trained.

    A level with the same nodes as the one below is left out, with its epochs. A head whose labels have no tree, as CCS
    categories, keeps its labels on every level.

    Args:
        epochs: of each level above the codes, from the chapters on.
        tree: the path of each label of each head, from its chapter down.

    Attributes:
        levels: from the top down; the last one is that of the labels themselves.
        epochs: number of epochs before the last level.

    Raises:
        UserError: no level has fewer nodes than there are labels.
    """

    def __init__(self, epochs: Sequence[int], tree: Mapping[str, Sequence[Path]]) -> None:
        every = [_level(depth, tree) for depth in range(len(epochs))]
        every.append(Level({head: np.arange(len(paths)) for head, paths in tree.items()}))
        kept = [depth for depth in range(len(epochs)) if _size(every[depth]) < _size(every[depth + 1])]
        if not kept:
            raise UserError(
                f"recipe: curriculum: no level of the tree has fewer nodes than there are labels ({', '.join(tree)}); "
                "leave curriculum out"
            )
        self.levels = [every[depth] for depth in (*kept, -1)]
        self._ends = list(itertools.accumulate(epochs[depth] for depth in kept))
        self.epochs = self._ends[-1]

    def number(self, epoch: int) -> int:
        """Return the place in `levels` of the level of an epoch, which is counted from 0."""
        return bisect.bisect_right(self._ends, epoch)


def _level(depth: int, tree: Mapping[str, Sequence[Path]]) -> Level:
    nodes = {}
    for head, paths in tree.items():
        keys = [(node.level, node.system, node.code) for node in (levels(path)[depth] for path in paths)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        nodes[head] = np.array([numbers[key] for key in keys], dtype=np.int64)
    return Level(nodes)


def _size(level: Level) -> int:
    return sum(len(np.unique(nodes)) for nodes in level.nodes.values())


class CurriculumTraining:
    """Leads one training through the levels of a curriculum.

    Args:
        curriculum: the levels.
        model: with its initial weights, whose output biases are those of a fresh level.
        stepper: trains it.
        train: the training documents, descriptions of labels among them, if they are training documents too.
        recipe: `label_biases`; log odds are those of the nodes of each level, among notes alone.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        model: Model,
        stepper: TrainStep,
        train: Split,
        recipe: Recipe,
    ) -> None:
        self.curriculum, self.model, self.stepper, self.recipe = curriculum, model, stepper, recipe
        self.targets = {head: train.targets[head] for head in model.heads}
        notes = len(train) - train.n_descriptions
        self.of_notes = {head: targets.first(notes) for head, targets in self.targets.items()}
        self.label_targets, self.entered = stepper.targets, len(curriculum.levels) - 1
        self.initial_biases = {head: model.attention[head].output.bias.detach().clone() for head in model.heads}
        for head in model.heads:
            self._reset_biases(curriculum.levels[0], head)

    def level(self, epoch: int) -> Row:
        """Return what the learning curve says of an epoch: its level, counted from 1 at the top."""
        return {"level": self.curriculum.number(epoch) + 1}

    def representatives(self, epoch: int) -> dict[str, np.ndarray]:
        """Return the label whose logit each label has in an epoch, {head: int64 [Y]}."""
        return self.curriculum.levels[self.curriculum.number(epoch)].representatives()

    def enter(self, epoch: int) -> None:
        """Train on the labels of the level of an epoch from now on."""
        number = self.curriculum.number(epoch)
        if number == self.entered:
            return
        self.entered, level, device = number, self.curriculum.levels[number], self.stepper.device
        if level is self.curriculum.levels[-1]:
            self.stepper.train_on(self.label_targets, {})
            return
        targets = {head: DeviceTargets(level.targets(head, x), device) for head, x in self.targets.items()}
        columns = {head: torch.from_numpy(level.first_labels(head)).to(device) for head in self.targets}
        self.stepper.train_on(targets, columns)

    @torch.no_grad()
    def descend(self, epoch: int) -> None:
        """After an epoch, give each label the weights of its node if the next epoch is of another level."""
        above, below = (self.curriculum.levels[self.curriculum.number(number)] for number in (epoch, epoch + 1))
        for head, labels in above.representatives().items():
            if np.array_equal(above.nodes[head], below.nodes[head]):
                continue
            attention = self.model.attention[head]
            rows = torch.from_numpy(labels).to(self.stepper.device)
            for weight in (attention.queries.weight, attention.output.weight):
                weight.copy_(weight[rows])
            self._reset_biases(below, head)
            for parameter in (*attention.queries.parameters(), *attention.output.parameters()):
                for moment in self.stepper.optimizer.state.get(parameter, {}).values():
                    moment.zero_()  # the number of steps, too

    @torch.no_grad()
    def _reset_biases(self, level: Level, head: str) -> None:
        if self.recipe.label_biases == "log_odds":
            targets = level.targets(head, self.of_notes[head])
            counts = np.asarray(targets.matrix.sum(0)).ravel()[level.nodes[head]]
            start_from_frequencies(self.model, head, counts, int(targets.is_coded.sum()))
        else:
            self.model.attention[head].output.bias.copy_(self.initial_biases[head])
