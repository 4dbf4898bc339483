"""One training step: forward, backward, and an update of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medcode.config import Recipe, Training
from medcode.engine import cuda_graphs, reproducibility
from medcode.engine.device_data import DeviceNotes, DeviceTargets
from medcode.engine.device_spans import DeviceSpans
from medcode.engine.distributed import DistributedContext
from medcode.engine.precision import autocast
from medcode.errors import UserError
from medcode.layers import kernels
from medcode.layers.dropout import share_batch
from medcode.models.base import Model
from medcode.models.inputs import TrainingOutput
from medcode.training import span_supervision
from medcode.training.losses import document_losses
from medcode.training.optimizer import make_optimizer, put_lr_on_device, set_lr


class TrainingForward(nn.Module):
    """A model whose forward is that of a training batch, for what wraps it in several processes.

    Args:
        model: one with a training of its own.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor], epoch: Tensor) -> TrainingOutput:
        """See `Model.training_forward`."""
        return self.model.training_forward(tokens, lengths, gold, epoch)


class TrainStep:
    """Updates a model with one batch at a time.

    Args:
        model: on its device.
        notes: the training documents.
        targets: their gold labels under each head.
        recipe: loss, optimizer and clipping.
        engine: precision, micro-batches, gradient checkpointing and CUDA graphs.
        context: this process among those that train together.
        spans: of the gold labels under each head, for `span_weight` of the recipe; empty without it.

    Attributes:
        loss_names: of the losses that a step returns; empty before the first.

    Raises:
        UserError: a head of the model has no weight in the recipe; the model cannot be trained in micro-batches, or
            with spans.
    """

    def __init__(
        self,
        model: Model,
        notes: DeviceNotes,
        targets: dict[str, DeviceTargets],
        recipe: Recipe,
        engine: Training,
        context: DistributedContext,
        spans: dict[str, DeviceSpans] | None = None,
    ) -> None:
        self.spans = spans or {}
        self.model, self.notes, self.recipe, self.engine = model, notes, recipe, engine
        self.context, self.device = context, notes.device
        self.loss_weights = recipe.loss_weights or model.loss_weights
        unweighted = sorted(model.heads.keys() - (self.loss_weights or model.heads).keys())
        if unweighted and len(model.heads) > 1:
            raise UserError(f"loss_weights of the recipe: no weight for the model's head {', '.join(unweighted)}")
        if engine.micro_batch and any(isinstance(module, _BatchNorm) for module in model.modules()):
            raise UserError("training.micro_batch: the model normalizes over its batch; set 0, all of it at once")
        if self.spans and model.has_own_training:
            raise UserError(
                f"recipe: span_weight: {type(model).__name__} has a training of its own; set span_weight: 0"
            )
        if engine.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        self.loss_names: tuple[str, ...] = ()
        self.graphed = engine.cuda_graphs and self.device.type == "cuda" and context.size == 1
        self.optimizer = make_optimizer(model, recipe, model.layer_depths(), capturable=self.graphed)
        network: nn.Module = model
        if self.spans:
            network = span_supervision.ForwardWithAttention(model)
        elif model.has_own_training:
            network = TrainingForward(model)
        self.network = context.wrap(network, self.device)
        self.epoch = torch.ones((), dtype=torch.int64, device=self.device)
        self.random = cuda_graphs.RandomStream(self.device)
        self.train_on(targets, {})

    def train_on(self, targets: dict[str, DeviceTargets], columns: dict[str, Tensor]) -> None:
        """Train on some targets from now on.

        Args:
            targets: gold labels of the documents under each head.
            columns: the logit of each of these labels, {head: int64 [labels]}; empty if they are those of the model.
        """
        self.targets, self.columns = targets, columns
        self.run = self.update  # or a graph of it
        if self.graphed:
            self.run = cuda_graphs.GraphedStep(self.update, cuda_graphs.CudaGraphs(), self.random)

    def prepare(self, lr: float, seed: int, number: int, epoch: int = 1) -> None:
        """Set the learning rate, the seed and the epoch of a step, from the host.

        Args:
            lr: the learning rate.
            seed, number: of the training and of the step in it.
            epoch: counted from 1.
        """
        self.epoch.fill_(epoch)
        self.random.enter()
        reproducibility.seed_step(seed, number)
        set_lr(self.optimizer, lr)

    def update(self, documents: Tensor, length: int) -> Tensor:
        """Update the weights with one batch, and return its mean losses before the update.

        All work is on the device and depends on no number of the host, so that it can be captured as a CUDA graph.

        Args:
            documents: their indices, int [B], on the device.
            length: of the padded notes.

        Shapes: -> the mean losses of the batch, [len(loss_names)].
        """
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for start, stop in self.micro_batches(len(documents)):
            # A process without documents takes one with weight 0, so that all processes make the same calls.
            micro_batch = documents[start:stop] if stop > start else documents[:1]
            if self.context.size > 1:
                share_batch(self.model, (start, stop, len(documents)) if stop > start else (0, 1, len(documents)))
            targets = {head: labels.rows(micro_batch) for head, labels in self.targets.items()}
            notes = self.notes.gather(micro_batch, length)
            attention: dict[str, Tensor] = {}
            with autocast(self.device, self.engine.precision), kernels.replayed(self.graphed):
                if self.spans:
                    with_spans = span_supervision.labels_with_spans(self.spans, micro_batch)
                    logits, attention = self.network(*notes, with_spans)
                    output = TrainingOutput([logits], {})
                elif self.model.has_own_training:
                    output = self.network(*notes, targets, self.epoch)
                else:
                    output = TrainingOutput([self.network(*notes)], {})
                penalty = self.model.regularization(targets)
            is_coded = {head: labels.coded(micro_batch) for head, labels in self.targets.items()}
            losses = self._losses(output, targets, is_coded)
            if penalty is not None:
                losses["train_loss"] = losses["train_loss"] + penalty
            weight = 1.0 if stop > start else 0.0
            means = {name: values.sum() / len(documents) * weight for name, values in losses.items()}
            if self.spans:
                span_loss = self._span_loss(attention, documents, micro_batch, length) * weight
                means["train_loss"] = means["train_loss"] + self.recipe.span_weight * span_loss
                means[span_supervision.SPAN_LOSS] = span_loss
            (means["train_loss"] * self.context.size).backward()  # gradients are averaged over the processes
            sums = {name: sums.get(name, 0.0) + value.detach() for name, value in means.items()}
        self.loss_names = tuple(sums)
        mean_losses = self.context.sum(torch.stack(list(sums.values())))
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return mean_losses

    def _losses(
        self, output: TrainingOutput, targets: dict[str, Tensor], is_coded: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the losses of each document, a mean over the passes with what is added to it, {name: [B]}."""
        passes = [
            document_losses(self._of_labels(logits), targets, is_coded, self.recipe, self.loss_weights, "train_loss")
            for logits in output.logits
        ]
        losses = {name: sum(one[name] for one in passes) / len(passes) for name in passes[0]}
        for name, penalty in output.penalties.items():
            losses["train_loss"] = losses["train_loss"] + penalty
            losses[name] = penalty
        return losses

    def _of_labels(self, logits: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the logits of the labels that are trained."""
        return {head: x.index_select(1, self.columns[head]) for head, x in logits.items()} if self.columns else logits

    def _span_loss(self, attention: dict[str, Tensor], documents: Tensor, micro_batch: Tensor, length: int) -> Tensor:
        """Return a micro-batch's share of the mean span loss of a batch, fp32 []."""
        in_spans = span_supervision.attention_in_spans(self.model, self.spans, attention, micro_batch, length)
        pairs = span_supervision.count_pairs(self.spans, documents)
        return span_supervision.span_loss(*in_spans) / pairs.clamp(min=1)

    def micro_batches(self, batch_size: int) -> list[tuple[int, int]]:
        """Cut this process's share of a batch into micro-batches, and return their bounds: start, and stop, exclusive.

        Every process has the same number of micro-batches, so some may be empty.
        """
        start, stop = self.context.shard(batch_size)
        size, largest_share = self.engine.micro_batch or batch_size, -(-batch_size // self.context.size)
        return [(min(row, stop), min(row + size, stop)) for row in range(start, start + largest_share, size)]

    def load_optimizer(self, state: dict) -> None:
        """Restore the optimizer."""
        self.optimizer.load_state_dict(state)
        if self.graphed:
            put_lr_on_device(self.optimizer)
