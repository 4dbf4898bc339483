"""One training step: words and gold labels of a batch, forward, backward, and an update of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medcode.config import Recipe, Training
from medcode.engine import cuda_graphs, reproducibility
from medcode.engine.batches import Batch
from medcode.engine.device_data import DeviceNotes, DeviceTargets
from medcode.engine.distributed import World
from medcode.engine.precision import autocast
from medcode.engine.transfer import to_device
from medcode.errors import UserError
from medcode.layers import kernels
from medcode.layers.dropout import share_batch
from medcode.models.base import Model
from medcode.training import optimizer
from medcode.training.losses import by_document


class Step:
    """What is done with each batch.

    Args:
        model: on its device.
        documents: the training documents.
        gold: their gold labels under each head.
        recipe: loss, optimiser and clipping.
        settings: the engine.
        world: this process among those that train together.

    Attributes:
        names: of the losses that a step returns, once there was one.

    Raises:
        UserError: a head of the model has no weight in the recipe; the model cannot be trained in micro-batches.
    """

    def __init__(
        self,
        model: Model,
        documents: DeviceNotes,
        gold: dict[str, DeviceTargets],
        recipe: Recipe,
        settings: Training,
        world: World,
    ) -> None:
        self.model, self.documents, self.gold, self.recipe, self.settings = model, documents, gold, recipe, settings
        self.world, self.device = world, documents.device
        self.weights = recipe.head_weights or model.head_weights
        left_out = sorted(model.heads.keys() - (self.weights or model.heads).keys())
        if left_out and len(model.heads) > 1:
            raise UserError(f"head_weights of the recipe: no weight for the model's head {', '.join(left_out)}")
        if settings.micro_batch and any(isinstance(module, _BatchNorm) for module in model.modules()):
            raise UserError("training.micro_batch: the model normalises over its batch; set 0, all of it at once")
        if settings.gradient_checkpointing:
            model.save_memory()
        self.names: tuple[str, ...] = ()
        self.recorded = settings.cuda_graphs and self.device.type == "cuda" and world.size == 1
        self.optimiser = optimizer.make_optimiser(model, recipe, model.layers_above(), recorded=self.recorded)
        self.network = world.wrap(model, self.device)
        self.random = cuda_graphs.RandomStream(self.device)
        self._run = self._update
        if self.recorded:
            self._run = cuda_graphs.RecordedSteps(self._update, cuda_graphs.CudaGraphs(), self.random)

    def __call__(self, batch: Batch, rate: float, seed: int, number: int) -> Tensor:
        """Updates the weights once.

        Args:
            batch: documents, and the number of tokens that they are padded to.
            rate: the learning rate.
            seed, number: of the training and of the step in it, on which the random numbers depend.

        Returns:
            The mean losses of the batch, [len(names)], before the update. A GPU may still be computing them.
        """
        self.random.enter()
        reproducibility.seed_step(seed, number)
        optimizer.set_learning_rate(self.optimiser, rate)
        return self._run(to_device(batch.documents, self.device), batch.length)

    def load_optimiser(self, state: dict[str, Any]) -> None:
        """Puts the optimiser back to an earlier state."""
        self.optimiser.load_state_dict(state)
        if self.recorded:
            optimizer.put_rates_on_device(self.optimiser)

    def _update(self, documents: Tensor, length: int) -> Tensor:
        """What the device does in a step; nothing in it depends on numbers that only the host knows.

        Shapes: int [B] -> [losses].
        """
        self.optimiser.zero_grad(set_to_none=True)
        losses: dict[str, Tensor] = {}
        for first, last in self.parts(len(documents)):
            own = self.losses(documents, length, first, last)
            (own["train_loss"] * self.world.size).backward()  # gradients are averaged over the processes
            losses = {name: losses.get(name, 0.0) + value.detach() for name, value in own.items()}
        self.names = tuple(losses)
        values = self.world.sum(torch.stack(list(losses.values())))
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        return values

    def parts(self, whole: int) -> list[tuple[int, int]]:
        """This process's documents of a batch, as many at a time as `micro_batch` says: first, and one past the last.

        Every process has as many parts as the others, so some may be empty.
        """
        first, last = self.world.rows(whole)
        size, most = self.settings.micro_batch or whole, -(-whole // self.world.size)
        return [(min(start, last), min(start + size, last)) for start in range(first, first + most, size)]

    def losses(self, documents: Tensor, length: int, first: int, last: int) -> dict[str, Tensor]:
        """What some documents of a batch add to the mean losses over all of them: `train_loss`, weighed and added up,
        and `train_loss_<head>` where there are several heads."""
        whole = len(documents)
        empty = first == last  # more processes than documents: a document of no weight keeps the processes in step
        if empty:
            first, last = 0, 1
        if self.world.size > 1:
            share_batch(self.model, (first, last, whole))
        share = documents[first:last]
        gold = {head: own.rows(share) for head, own in self.gold.items()}
        with autocast(self.device, self.settings.precision), kernels.replayed(self.recorded):
            logits = self.network(*self.documents.gather(share, length))
            extra = self.model.regularisation(gold)
        coded = {head: own.coded(share) for head, own in self.gold.items()}
        losses = by_document(logits, gold, coded, self.recipe, self.weights, "train_loss")
        if extra is not None:
            losses["train_loss"] = losses["train_loss"] + extra
        return {name: values.sum() / whole * (0.0 if empty else 1.0) for name, values in losses.items()}
