"""The training of a model whose weights are fitted at once: a fit and one evaluation on dev, the only epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from medcode.config import Recipe, Training
from medcode.dataset.arrays import Inputs, Split
from medcode.engine.batches import scoring_batches
from medcode.engine.device_data import DeviceData, DeviceNotes, DeviceTargets
from medcode.engine.distributed import DistributedContext
from medcode.engine.precision import autocast
from medcode.engine.transfer import to_device
from medcode.inference.scoring import split_notes
from medcode.models.base import Model
from medcode.training import validation
from medcode.training.checkpoint import Checkpoints
from medcode.training.losses import document_losses
from medcode.training.state import Result, Row, TrainState
from medcode.training.timing import timed

STOPPED = "fitted at once"


class AtOnce:
    """The training of one model with `fit`, with the arguments of a `Trainer`.

    The seed has no effect. A fit that is killed leaves nothing behind and begins anew; one that has ended is kept as a
    checkpoint, from which the same training ends at once.

    Args:
        model: on its device; ends with the fitted weights.
        data, recipe, engine, seed, checkpoints, context, on_epoch, on_resume: as for `Trainer`.
        share_data_with: another training of the same data and settings, whose weights this one takes.
    """

    def __init__(
        self,
        model: Model,
        data: Inputs,
        recipe: Recipe,
        engine: Training,
        seed: int,
        checkpoints: Checkpoints,
        context: DistributedContext | None = None,
        on_epoch: Callable[[list[Row], Row], None] = lambda history, times: None,
        on_resume: Callable[[TrainState, Path], None] = lambda state, folder: None,
        share_data_with: AtOnce | None = None,
    ) -> None:
        self.model, self.recipe, self.engine, self.seed = model, recipe, engine, seed
        self.checkpoints, self.context = checkpoints, context or DistributedContext()
        self.on_epoch, self.on_resume, self.first = on_epoch, on_resume, share_data_with
        self.data, self.device = data, next(model.parameters()).device
        self.train_split, self.dev_split = data.splits["train"], data.splits["dev"]
        if engine.overfit_documents:
            self.train_split = self.dev_split = self.train_split.first(engine.overfit_documents)
        self.state = TrainState()

    def run(self) -> Result:
        """Fit the model, or load the weights of the checkpoint, or take those of the other training.

        Raises:
            UserError: the monitored metric cannot be computed on dev.
        """
        if (checkpoint := self.checkpoints.load()) is not None:
            self.state = TrainState(**checkpoint["state"])
            self.model.load_state_dict(self.checkpoints.load_best(self.state.best_epoch))
            self.on_resume(self.state, self.checkpoints.folder)
        else:
            times: Row = {}
            with timed(times):
                self._fit()
            self.state.epoch_times.append(times)
            self.on_epoch(self.state.history, times)
            self.checkpoints.save_best(1, self.model.state_dict())
            self.checkpoints.save({"state": asdict(self.state)})
        return Result(self.state.history, self.state.best_epoch, self.state.stopped)

    def _fit(self) -> None:
        if self.first is not None:
            self.model.load_state_dict(self.first.model.state_dict())
            history = self.first.state.history
        else:
            data = self._device_data()
            self.model.fit(data.train_notes, {head: self.train_split.targets[head] for head in self.model.heads})
            history = [{"epoch": 1} | self._train_losses(data) | self._dev_metrics(data)]
        self.state = TrainState(epoch=1, history=history, best_epoch=1, stopped=STOPPED)

    def _device_data(self) -> DeviceData:
        def notes(split: Split) -> DeviceNotes:
            return split_notes(self.data.tokens, split, self.recipe.max_tokens, self.device)

        def targets(split: Split) -> dict[str, DeviceTargets]:
            return {head: DeviceTargets(split.targets[head], torch.device("cpu")) for head in self.model.heads}

        return DeviceData(
            notes(self.train_split), notes(self.dev_split), targets(self.train_split), targets(self.dev_split)
        )

    def _dev_metrics(self, data: DeviceData) -> Row:
        weights = self.recipe.loss_weights or self.model.loss_weights
        return validation.evaluate(self.model, self.dev_split, data, weights, self.recipe, self.engine)

    @torch.inference_mode()
    def _train_losses(self, data: DeviceData) -> Row:
        """Compute the mean losses of the training documents."""
        self.model.eval()
        notes, sums = data.train_notes, dict[str, float]()
        weights = self.recipe.loss_weights or self.model.loss_weights
        for batch in scoring_batches(notes.lengths, validation.SCORING_BATCH, padding=True):
            with autocast(self.device, self.engine.precision):
                logits = self.model(*notes.gather(to_device(batch.documents, self.device), batch.length))
            documents, scores = torch.from_numpy(batch.documents), {head: x.cpu() for head, x in logits.items()}
            targets = {head: labels.rows(documents) for head, labels in data.train_targets.items()}
            is_coded = {head: labels.coded(documents) for head, labels in data.train_targets.items()}
            losses = document_losses(scores, targets, is_coded, self.recipe, weights, "train_loss")
            for name, values in losses.items():
                sums[name] = sums.get(name, 0.0) + values.sum().item()
        return {name: total / len(notes) for name, total in sums.items()}


def train(trainings: list[AtOnce]) -> list[Result]:
    """Run trainings one after another. Of several processes only the main one does, and the others return nothing.

    Raises:
        UserError: the monitored metric cannot be computed on dev.
    """
    return [training.run() for training in trainings if training.context.is_main]
