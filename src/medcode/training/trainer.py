"""The training loop: epochs of steps, a look at dev after each, the best epoch kept, resumed wherever it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from medcode.config import Recipe, Training
from medcode.dataset.arrays import Inputs, Split
from medcode.engine import batches
from medcode.engine.device_data import Documents, Gold
from medcode.engine.distributed import World
from medcode.engine.transfer import Arrival
from medcode.evaluation.monitor import dev_metrics, epoch_metrics
from medcode.inference.scoring import probabilities, score_documents
from medcode.models.base import Model
from medcode.training import early_stopping, lr_schedule, multi_seed
from medcode.training.checkpoint import Checkpoints
from medcode.training.losses import StepLosses, by_document
from medcode.training.train_step import Step

SCORING_BATCH = 32

Row = dict[str, float]


@dataclass
class Progress:
    """Where a training stands: epochs counted from 0, `step` within the epoch, and the losses summed over it so far,
    weighed and added up (`train_loss`) and, where there are several heads, of each (`train_loss_<head>`)."""

    epoch: int = 0
    step: int = 0
    steps: int = 0
    losses: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    stopped: str = ""


@dataclass(frozen=True)
class Result:
    """What training found: the learning curve, its best epoch (counted from 1), and why it ended."""

    history: list[Row]
    best_epoch: int
    stopped: str


class Trainer:
    """Trains one model on the training split, watching the dev split.

    The result is a function of the model's initial weights, the inputs, the recipe and the seed. Being killed and
    started again does not change it: on a CPU not by a bit.

    Args:
        model: on its device, with its initial weights; ends with those of the best epoch.
        inputs: with the splits train and dev.
        recipe: how to train.
        settings: the engine.
        seed: of dropout and of the order of batches.
        checkpoints: where this training's state is kept.
        world: this process among those that train together.
        on_epoch: called with the learning curve after every epoch, by the leading process.
        beside: another training of the same inputs, recipe and settings, whose documents on the device it shares.
        on_resume: called with the progress and the folder of a checkpoint that training goes on from, by the leading
            process.

    Raises:
        UserError: a head of the model has no weight in the recipe; the model cannot be trained in micro-batches.
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        recipe: Recipe,
        settings: Training,
        seed: int,
        checkpoints: Checkpoints,
        world: World | None = None,
        on_epoch: Callable[[list[Row], float], None] = lambda history, seconds: None,
        beside: Trainer | None = None,
        on_resume: Callable[[Progress, Path], None] = lambda progress, folder: None,
    ) -> None:
        self.model, self.inputs, self.recipe, self.settings, self.seed = model, inputs, recipe, settings, seed
        self.checkpoints, self.world = checkpoints, world or World()
        self.on_epoch, self.on_resume = on_epoch, on_resume
        self.device = next(model.parameters()).device
        self.train, self.dev = inputs.splits["train"], inputs.splits["dev"]
        if settings.overfit:
            self.train = self.dev = self.train.first(settings.overfit)
        self.material = self._material(inputs.tokens) if beside is None else beside.material
        self.documents, self.dev_documents, self.gold, self.dev_gold = self.material
        self.lengths = self.documents.lengths
        self.padded = batches.bucket_lengths(self.lengths, recipe.batch_size, settings.padding)
        self.lowest = recipe.criterion == "loss"
        self.criterion = "dev_loss" if self.lowest else recipe.criterion
        self.step = Step(model, self.documents, self.gold, recipe, settings, self.world)
        self.progress = Progress()
        self.pending: StepLosses | None = None

    def run(self) -> Result:
        """Trains to the end, from the last checkpoint where there is one.

        Raises:
            UserError: the loss is no longer finite, or the criterion cannot be computed on dev.
            SystemExit: SIGTERM or SIGINT came; the state is saved first.
        """
        return multi_seed.train([self])[0]

    def resume(self) -> None:
        """Goes back to the last checkpoint, where there is one."""
        state: dict[str, Any] | None = self.checkpoints.load()
        if state is None:
            return
        self.progress = Progress(**state["progress"])
        if not self.progress.stopped:  # one that ended needs the best weights alone, and `finish` reads those
            self.model.load_state_dict(state["model"])
            self.step.load_optimiser(state["optimiser"])
        if self.world.leads:
            self.on_resume(self.progress, self.checkpoints.folder)
            self.on_epoch(self.progress.history, 0.0)

    def steps(self) -> Iterator[None]:
        """Trains to the end and pauses after every step, so that others can train in between, or the state be saved."""
        while not self.progress.stopped:
            yield from self._epoch()

    def save(self) -> None:
        """Replaces the last checkpoint by the present state."""
        self._settle()
        if self.world.leads:
            self.checkpoints.save(
                {
                    "model": self.model.state_dict(),
                    "optimiser": self.step.optimiser.state_dict(),
                    "progress": asdict(self.progress),
                    "best_epoch": self._best_epoch(),
                }
            )

    def finish(self) -> Result:
        """Gives the model the weights to keep, once training has ended."""
        best_epoch = self._best_epoch()
        self.world.wait()  # the leader has written the weights
        self.model.load_state_dict(self.checkpoints.load_best(best_epoch))
        return Result(self.progress.history, best_epoch, self.progress.stopped)

    def _epoch(self) -> Iterator[None]:
        progress, seconds = self.progress, 0.0
        plan = self._plan(progress.epoch)
        total_steps = len(plan) * self.recipe.epochs
        self.step.network.train()
        with self._bar(len(plan)) as bar:
            for batch in plan[progress.step :]:
                started = time.perf_counter()
                self._settle(self._step(batch, total_steps))
                if progress.step:
                    mean_loss = progress.losses["train_loss"] / progress.step
                    bar.set_postfix(loss=f"{mean_loss:.4f}", **self._headline(), refresh=False)
                progress.step += 1
                progress.steps += 1
                bar.update()
                if progress.step % self.settings.checkpoint_steps == 0 and progress.step < len(plan):
                    self.save()
                seconds += time.perf_counter() - started
                yield
        self._settle()
        row = {name: total / len(plan) for name, total in progress.losses.items()}
        rate = lr_schedule.learning_rate(self.recipe, progress.steps - 1, total_steps, self._watched())
        self._finish_epoch(row, rate, seconds)

    def _bar(self, steps: int) -> tqdm:
        return tqdm(
            total=steps,
            initial=self.progress.step,
            desc=f"seed {self.seed}, epoch {self.progress.epoch + 1}/{self.recipe.epochs}",
            unit="batch",
            disable=None if self.world.leads else True,
            leave=False,
        )

    def _plan(self, epoch: int) -> list[batches.Batch]:
        plan = batches.epoch_batches(self.lengths, self.padded, self.recipe.batch_size, self.seed, epoch)
        return plan[: self.settings.limit] if self.settings.limit else plan

    def _step(self, batch: batches.Batch, total_steps: int) -> StepLosses:
        """One update of the weights; returns the mean losses of the batch."""
        number = self.progress.steps
        rate = lr_schedule.learning_rate(self.recipe, number, total_steps, self._watched())
        values = Arrival(self.step(batch, rate, self.seed, number))
        documents = [self.train.documents[own] for own in batch.documents]
        return StepLosses(self.step.names, values, number + 1, rate, documents)

    def _settle(self, following: StepLosses | None = None) -> None:
        """Adds the losses of the last step to those of the epoch, now that the following one is under way.

        Raises:
            UserError: the loss is not finite.
        """
        pending, self.pending = self.pending, following
        for name, value in (pending.read() if pending else {}).items():
            self.progress.losses[name] = self.progress.losses.get(name, 0.0) + value

    def _material(self, tokens: np.ndarray) -> tuple[Documents, Documents, dict[str, Gold], dict[str, Gold]]:
        def gold(split: Split, device: torch.device) -> dict[str, Gold]:
            return {head: Gold(split.labels[head], split.has[head], device) for head in self.model.heads}

        train, dev = (
            Documents(tokens, split.offsets, self.recipe.max_tokens, self.device) for split in (self.train, self.dev)
        )
        return train, dev, gold(self.train, self.device), gold(self.dev, torch.device("cpu"))

    def _finish_epoch(self, train_losses: Row, rate: float, seconds: float) -> None:
        progress, started = self.progress, time.perf_counter()
        row = {"epoch": progress.epoch + 1, **train_losses}
        if self.world.leads:
            row |= self._watch() | {"learning_rate": rate}
        progress.history.append(self.world.agree(row))
        progress.epoch, progress.step, progress.losses = progress.epoch + 1, 0, {}
        seconds += time.perf_counter() - started
        if early_stopping.should_stop(self._watched(), self.recipe.patience, lowest=self.lowest):
            progress.stopped = f"{self.recipe.patience} epochs without a better {self.recipe.criterion}"
        elif progress.epoch == self.recipe.epochs:
            progress.stopped = "last epoch"
        if self.world.leads:
            if self._best_epoch() == progress.epoch:
                self.checkpoints.save_best(progress.epoch, self.model.state_dict())
            self.on_epoch(progress.history, seconds)
        self.save()

    def _watch(self) -> Row:
        """Dev losses, and dev metrics on documents coded in the head's system, each a mean over the watched heads."""
        logits = score_documents(self.model, self.dev_documents, SCORING_BATCH, self.settings.precision)
        scores, everyone = {head: torch.from_numpy(x) for head, x in logits.items()}, torch.arange(len(self.dev))
        gold = {head: own.rows(everyone) for head, own in self.dev_gold.items()}
        coded = {head: own.coded(everyone) for head, own in self.dev_gold.items()}
        losses = by_document(scores, gold, coded, self.recipe, self.step.weights, "dev_loss")
        heads = list(logits) if self.recipe.criterion_heads == "all" else list(logits)[:1]
        measured = [self._measure(self.dev, head, logits[head]) for head in heads]
        shared = [name for name in measured[0] if all(name in own for own in measured)]
        means = {name: float(np.mean([own[name] for own in measured])) for name in shared}
        return {name: values.mean().item() for name, values in losses.items()} | means

    def _measure(self, split: Split, head: str, logits: np.ndarray) -> Row:
        coded = split.has[head]
        names = epoch_metrics(logits.shape[1])
        extra = [] if self.lowest or self.recipe.criterion in names else [self.recipe.criterion]
        return dev_metrics(split.labels[head][coded], probabilities(logits[coded]), names + extra)

    def _watched(self) -> list[float]:
        """The criterion after each epoch so far."""
        return [row[self.criterion] for row in self.progress.history]

    def _best_epoch(self) -> int:
        """Number of the epoch to keep, from 1: the best so far, or the last; 0 before the first."""
        if self.recipe.keep == "last":
            return len(self.progress.history)
        return early_stopping.best(self._watched(), lowest=self.lowest) + 1 if self.progress.history else 0

    def _headline(self) -> dict[str, str]:
        """The last dev metric, for the progress bar."""
        return {f"dev {self.criterion}": f"{value:.4f}" for value in self._watched()[-1:]}
