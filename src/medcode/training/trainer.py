"""The training of one model: a step, the end of an epoch, and the state from which a killed run resumes.

`multi_seed.train` is the loop around it, for one training or several:

    trainer.restore()
    while not trainer.done:
        if not trainer.at_epoch_end:
            trainer.train_step()
        if trainer.at_epoch_end:
            trainer.end_epoch()
    trainer.finish()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tqdm import tqdm

from medcode.config import Recipe, Training
from medcode.dataset.arrays import Inputs, Split
from medcode.engine.batches import Batch, bucket_lengths, epoch_batches
from medcode.engine.device_data import DeviceData, DeviceTargets
from medcode.engine.device_spans import DeviceSpans
from medcode.engine.distributed import DistributedContext
from medcode.engine.transfer import AsyncHostCopy, to_device
from medcode.inference.scoring import split_notes
from medcode.models.base import Model
from medcode.training import early_stopping, lr_schedule, validation
from medcode.training.checkpoint import Checkpoints, checkpoint_of_all
from medcode.training.curriculum import Curriculum, CurriculumTraining
from medcode.training.losses import LossMeter, StepLosses
from medcode.training.state import Result, Row, TrainState
from medcode.training.timing import timed
from medcode.training.train_step import TrainStep


class Trainer:
    """Trains one model on the training split and evaluates it on dev after every epoch.

    The result is a function of the model's initial weights, the inputs, the recipe and the seed. A training that is
    killed and resumed has the same result; on a CPU, the same bits.

    Args:
        model: on its device, with its initial weights; ends with those of the best epoch.
        data: with the splits train and dev.
        recipe: how to train.
        engine: how it is computed: device, precision, batches.
        seed: of dropout and of the order of batches.
        checkpoints: of this training.
        context: this process among those that train together.
        on_epoch: called by the main process after every epoch, with the learning curve and the time of the epoch.
        on_resume: called by the main process with the state and the folder of the checkpoint that it resumes from.
        share_data_with: another training of the same data, recipe and engine, whose device data this one uses.
        curriculum: the levels of the tree through which training goes down to the labels; None trains these alone.

    Raises:
        UserError: a head of the model has no weight in the recipe; the model cannot be trained in micro-batches; the
            monitored metric cannot be computed on dev.
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
        share_data_with: Trainer | None = None,
        curriculum: Curriculum | None = None,
    ) -> None:
        self.model, self.recipe, self.engine, self.seed = model, recipe, engine, seed
        self.checkpoints, self.context = checkpoints, context or DistributedContext()
        self.on_epoch, self.on_resume = on_epoch, on_resume
        self.device = next(model.parameters()).device
        self.train_split, self.dev_split = data.splits["train"], data.splits["dev"]
        if engine.overfit_documents:
            self.train_split = self.dev_split = self.train_split.first(engine.overfit_documents)
        self.train_counts = {head: torch.from_numpy(data.example_counts(head)) for head in model.heads}
        self.device_data = self._to_device(data) if share_data_with is None else share_data_with.device_data
        self.lengths = self.device_data.train_notes.lengths
        self.bucket_lengths = bucket_lengths(self.lengths, recipe.batch_size, engine.padding)
        on_device = self.device_data
        self.stepper = TrainStep(
            model, on_device.train_notes, on_device.train_targets, recipe, engine, self.context, on_device.train_spans
        )
        self.curriculum = None
        if curriculum is not None:
            self.curriculum = CurriculumTraining(curriculum, model, self.stepper, self.train_split, recipe)
        self.epochs_above = 0 if curriculum is None else curriculum.epochs
        self.epochs = self.epochs_above + recipe.epochs
        self.floor = validation.floor(self.train_split, self.dev_split, list(model.heads), recipe)
        self.state = TrainState(processes=self.context.size)
        self.losses = LossMeter(self.state.loss_sums)
        self._begin_epoch()

    @property
    def done(self) -> bool:
        """Whether training has ended."""
        return bool(self.state.stopped)

    @property
    def at_epoch_end(self) -> bool:
        """Whether all steps of the current epoch are taken."""
        return self.state.step_in_epoch == len(self.batches)

    def restore(self) -> None:
        """Restore the last checkpoint, if there is one of use.

        Raises:
            UserError: a process sees another training, or another checkpoint, than the main one.
        """
        checkpoint = checkpoint_of_all(self.checkpoints, self.context)
        if checkpoint is None:
            return
        self.state = replace(TrainState(**checkpoint["state"]), processes=self.context.size)
        self.losses = LossMeter(self.state.loss_sums)
        if not self.done:  # a training that has ended needs only the best weights, which `finish` reads
            self.model.load_state_dict(checkpoint["model"])
            self.stepper.load_optimizer(checkpoint["optimizer"])
            self._begin_epoch()
        if self.context.is_main:
            self.on_resume(self.state, self.checkpoints.folder)

    def train_step(self) -> None:
        """Take one step, and save a checkpoint every `checkpoint_steps` steps.

        Raises:
            UserError: the loss of the step before is not finite.
        """
        state = self.state
        with timed(state.times):
            self._show_bar()
            batch, lr = self.batches[state.step_in_epoch], self._learning_rate(state.global_step)
            self.stepper.prepare(lr, self.seed, state.global_step, state.epoch + 1)
            losses = AsyncHostCopy(self.stepper.run(to_device(batch.documents, self.device), batch.length))
            admissions = [self.train_split.documents[number] for number in batch.documents]
            self.losses.add(StepLosses(self.stepper.loss_names, losses, state.global_step + 1, lr, admissions))
            state.step_in_epoch += 1
            state.global_step += 1
            self.bar.update()
        if state.step_in_epoch % self.engine.checkpoint_steps == 0 and not self.at_epoch_end:
            with timed(state.times):
                self.save()

    def end_epoch(self) -> None:
        """Evaluate on dev, keep the weights if they are the best, decide whether to stop, and save.

        Raises:
            UserError: the loss is not finite, or the monitored metric cannot be computed on dev.
        """
        state = self.state
        self.close_bar()
        with timed(state.times):
            self._evaluate()
        state.epoch_times.append(dict(state.times))
        state.times.clear()
        monitored, patience = self._monitored(), self.recipe.patience
        if monitored and early_stopping.should_stop(monitored, patience, lowest=self._lowest, floor=self.floor):
            state.stopped = f"{patience} epochs without a better {self.recipe.monitor}"
        elif state.epoch == self.epochs:
            state.stopped = "last epoch"
        if self.context.is_main:
            if state.best_epoch == state.epoch:
                self.checkpoints.save_best(state.epoch, self.model.state_dict())
            self.on_epoch(state.history, state.epoch_times[-1])
        if self.curriculum is not None and not self.done:
            self.curriculum.descend(state.epoch - 1)
        self.save()
        if not self.done:
            self._begin_epoch()

    def _evaluate(self) -> None:
        """End the epoch in the state: its row of the learning curve, with the metrics on dev, and the best epoch."""
        state = self.state
        self.losses.flush()
        row = {"epoch": state.epoch + 1} | ({} if self.curriculum is None else self.curriculum.level(state.epoch))
        row |= {name: total / len(self.batches) for name, total in state.loss_sums.items()}
        lr = self._learning_rate(state.global_step - 1)
        self.model.before_evaluation(self.train_counts)
        if self.context.is_main:
            weights = self.stepper.loss_weights
            columns = {} if self.curriculum is None else self.curriculum.representatives(state.epoch)
            row |= validation.evaluate(
                self.model, self.dev_split, self.device_data, weights, self.recipe, self.engine, columns
            )
            row["learning_rate"] = lr
        state.history.append(self.context.broadcast(row))
        state.epoch, state.step_in_epoch = state.epoch + 1, 0
        state.loss_sums.clear()
        state.best_epoch = self._best_epoch()

    def save(self) -> None:
        """Replace the last checkpoint with the current state."""
        self.losses.flush()
        if self.context.is_main:
            self.checkpoints.save(
                {
                    "model": self.model.state_dict(),
                    "optimizer": self.stepper.optimizer.state_dict(),
                    "state": asdict(self.state),
                }
            )

    def finish(self) -> Result:
        """Load the weights of the epoch to keep into the model, after training has ended."""
        self.context.barrier()  # the main process has written them
        self.model.load_state_dict(self.checkpoints.load_best(self.state.best_epoch))
        return Result(self.state.history, self.state.best_epoch, self.state.stopped)

    def epoch_batches(self, epoch: int) -> list[Batch]:
        """Return the batches of an epoch, a function of the seed and the epoch."""
        batches = epoch_batches(self.lengths, self.bucket_lengths, self.recipe.batch_size, self.seed, epoch)
        return batches[: self.engine.limit_batches] if self.engine.limit_batches else batches

    def _begin_epoch(self) -> None:
        self.batches = self.epoch_batches(self.state.epoch)
        if self.curriculum is not None:
            self.curriculum.enter(self.state.epoch)
        self.bar: tqdm | None = None
        self.stepper.network.train()

    def _show_bar(self) -> None:
        """Show the progress of the epoch, and the mean loss of the steps whose losses have been read."""
        self.bar = self.bar or tqdm(
            total=len(self.batches),
            initial=self.state.step_in_epoch,
            desc=f"seed {self.seed}, epoch {self.state.epoch + 1}/{self.epochs}",
            unit="batch",
            disable=None if self.context.is_main else True,
            leave=False,
        )
        steps_read = self.state.step_in_epoch - 1  # the losses of the last step are still on the device
        if steps_read > 0 and self.state.loss_sums:
            metric = {f"dev {self._monitor}": f"{value:.4f}" for value in self._monitored()[-1:]}
            loss = f"{self.state.loss_sums['train_loss'] / steps_read:.4f}"
            self.bar.set_postfix(loss=loss, **metric, refresh=False)

    def close_bar(self) -> None:
        """Close the progress bar, so that the next output starts on a new line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _to_device(self, data: Inputs) -> DeviceData:
        def targets(split: Split, device: torch.device) -> dict[str, DeviceTargets]:
            return {head: DeviceTargets(split.targets[head], device) for head in self.model.heads}

        def spans(split: Split) -> dict[str, DeviceSpans]:
            examples = len(split) if split.fragments is None else len(split.fragments.offsets)
            return {head: DeviceSpans(x, examples, self.device) for head, x in split.spans.items()}

        train, dev = (
            split_notes(data.tokens, split, self.recipe.max_tokens, self.device)
            for split in (self.train_split, self.dev_split)
        )
        return DeviceData(
            train,
            dev,
            targets(self.train_split, self.device),
            targets(self.dev_split, torch.device("cpu")),
            *((spans(self.train_split), spans(self.dev_split)) if self.recipe.span_weight else ()),
        )

    @property
    def _lowest(self) -> bool:
        return self.recipe.monitor == "loss"

    @property
    def _monitor(self) -> str:
        return "dev_loss" if self._lowest else self.recipe.monitor

    def _monitored(self) -> list[float]:
        """Return the monitored metric after each epoch so far, without those of a curriculum above the labels."""
        return [row[self._monitor] for row in self.state.history[self.epochs_above :]]

    def _best_epoch(self) -> int:
        if not (monitored := self._monitored()):
            return 0
        if self.recipe.restore == "last":
            return len(self.state.history)
        return self.epochs_above + early_stopping.best(monitored, lowest=self._lowest) + 1

    def _learning_rate(self, step: int) -> float:
        return lr_schedule.learning_rate(self.recipe, step, len(self.batches) * self.epochs, self._monitored())
