"""Base classes of all models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from medcode.config.models.base import ModelConfig
from medcode.layers.label_attention import LabelAttention, attend_heads, run_heads
from medcode.layers.masks import position_mask
from medcode.layers.word_embedding import WordEmbedding
from medcode.models.inputs import ModelInputs, TrainingOutput

if TYPE_CHECKING:
    from medcode.dataset.arrays import Targets
    from medcode.engine.device_data import DeviceNotes

PAPERS_EMBEDDING_SIZE = 100


class Model(nn.Module, ABC):
    """A medical coder: documents in, one logit per label and head out.

    A subclass sets `Config`, and `paper` where it was published. Losses, optimizer and schedule belong to the trainer.
    A model whose weights are fitted at once rather than in steps has `fit`, and its `Config` says `fits_at_once`.
    When padding is masked, the scores of a document do not depend on the rest of the batch.

    Args:
        config: the subclass's `Config`.
        inputs: inputs that come from the data.

    Attributes:
        loss_weights: weight of each head's loss; None gives every head weight 1.
    """

    paper: ClassVar[str | None] = None
    Config: ClassVar[type[ModelConfig]]

    loss_weights: dict[str, float] | None = None

    def __init__(self, config: ModelConfig, inputs: ModelInputs) -> None:
        super().__init__()
        self.config = config
        self.heads = dict(inputs.heads)

    @abstractmethod
    def rebuild_metadata(self) -> dict[str, Any]:
        """Return metadata from which a saved model is rebuilt without its pretrained weights."""

    @abstractmethod
    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Compute the logit of every label.

        Args:
            tokens: ids of words or subwords, padded with 0, int [B, N].
            lengths: number of tokens of each document, int [B]; 0 for an empty document.

        Returns:
            {head: logits [B, Y]}.
        """

    def training_forward(
        self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor], epoch: Tensor
    ) -> TrainingOutput:
        """Run the network on a training batch: one pass, unless a model overrides this.

        A model may run several passes, as for R-Drop, read further documents, or add penalties.

        Args:
            tokens, lengths: as for `forward`.
            gold: gold labels, {head: 0 or 1, [B, Y]}.
            epoch: counted from 1, int64 [], on the device, so that a step may be captured as a CUDA graph.
        """
        return TrainingOutput([self(tokens, lengths)], {})

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the attention weights of labels over positions, {head: fp32 [B, Y, positions]}.

        Args:
            tokens, lengths: as for `forward`.
            labels: indices of the labels to compute, {head: int [Y']}, or {head: int [B, Y']} for each document its
                own; None computes all labels of all heads.

        Raises:
            NotImplementedError: the model has no label attention.
        """
        raise NotImplementedError(f"{type(self).__name__} has no label attention")

    def forward_with_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the result of `forward` and, of the same pass with the same dropout, the attention of some labels.

        Args:
            tokens, lengths: as for `forward`.
            labels: as for `label_attention`.

        Raises:
            NotImplementedError: the model has no label attention.
        """
        raise NotImplementedError(f"{type(self).__name__} has no label attention")

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """Return the positions of the label attention that stand for marked tokens.

        Here positions are tokens; a model with other positions overrides this.

        Args:
            marked: bool [..., N].
            positions: number of positions P of a document of N tokens, padding included.

        Shapes: -> bool [..., P].
        """
        return marked

    def label_vectors(self) -> dict[str, Tensor]:
        """Return the output vector of every label, in one space for all heads, {head: [Y, D]}.

        The logit of a label is the product of its vector and its context vector, plus a bias. A model without such
        vectors returns an empty dictionary.
        """
        return {}

    def regularization(self, gold: dict[str, Tensor]) -> Tensor | None:
        """Return a penalty that the trainer adds to the loss of each document, [B]; None without a penalty.

        Args:
            gold: gold labels, {head: 0 or 1, [B, Y]}.
        """
        return None

    def fit(self, documents: DeviceNotes, targets: dict[str, Targets]) -> None:
        """Set the weights in place to those that fit the training documents best, with a progress bar.

        Args:
            documents: the training documents.
            targets: their gold labels under each head. Those not coded in a head's system are left out for it.

        Raises:
            NotImplementedError: the model is trained in steps.
        """
        raise NotImplementedError(f"{type(self).__name__} is trained in steps")

    def before_training(self) -> None:
        """Set initial weights that take computing, in place, once the model is on its device. Does nothing by default.

        A training that is resumed replaces them.
        """

    def before_evaluation(self, train_counts: dict[str, Tensor]) -> None:
        """Update weights in place after every epoch, before it is evaluated and saved. Does nothing by default.

        Training goes on from the updated weights.

        Args:
            train_counts: number of training documents of each label, {head: int [Y]}.
        """

    def layer_depths(self) -> dict[str, int]:
        """Return the number of encoder layers above each encoder parameter, by name; empty without an encoder."""
        return {}

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass instead of storing them, where the model supports it."""

    @property
    def has_own_training(self) -> bool:
        """Whether the model has its own `training_forward`."""
        return type(self).training_forward is not Model.training_forward

    @property
    def has_label_attention(self) -> bool:
        """Whether the model has `label_attention`."""
        return type(self).label_attention is not Model.label_attention


class WordModel(Model):
    """A model on word vectors.

    Args:
        config: the subclass's `Config`.
        inputs: inputs that come from the data; `vocab_size` is required.

    Raises:
        ValueError: the inputs have an encoder instead of a vocabulary.
    """

    def __init__(self, config: ModelConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        if not inputs.vocab_size:
            raise ValueError(f"{type(self).__name__} reads words: it takes vocab_size, not an encoder")
        vectors = inputs.vectors
        self.embedding_size = PAPERS_EMBEDDING_SIZE if vectors is None else vectors.shape[1]
        trained = config.embedding == "trained"
        self.embedding = WordEmbedding(
            inputs.vocab_size, self.embedding_size, vectors, trained=trained, dropout=config.dropout
        )

    def rebuild_metadata(self) -> dict[str, Any]:
        """See `Model`."""
        return {"embedding_size": self.embedding_size}

    def real_positions(self, lengths: Tensor, positions: int) -> Tensor | None:
        """Return the mask of real positions, bool [B, positions]; None where padding is not masked.

        Args:
            lengths: number of real positions, [B]. An empty document counts as one position, a padding token.
            positions: number of positions of the padded batch.
        """
        return position_mask(lengths.clamp(min=1), positions) if self.config.masked else None


class LabelAttentionHeads(Model):
    """Mixin for models with one label attention per head on top of a shared encoder.

    A subclass sets `attention`, {head: label attention}, and implements `encode`.
    """

    attention: nn.ModuleDict

    @abstractmethod
    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features [B, P, D] and the mask of real positions, bool [B, P]; None where padding is not masked."""

    def features(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features and mask that the heads read: those of `encode`, which a subclass may transform."""
        return self.encode(tokens, lengths)

    def logits(self, features: Tensor, real: Tensor | None) -> dict[str, Tensor]:
        """Return the logits of every head, from what `features` returns."""
        return run_heads(self.attention, features, real)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return self.logits(*self.features(tokens, lengths))

    def forward_with_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Model`."""
        features, real = self.features(tokens, lengths)
        return self.logits(features, real), attend_heads(self.attention, features, real, labels)

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        return attend_heads(self.attention, *self.features(tokens, lengths), labels)

    def label_vectors(self) -> dict[str, Tensor]:
        """See `Model`."""
        return {
            head: attention.output.weight
            for head, attention in self.attention.items()
            if isinstance(attention, LabelAttention)
        }


class LabelAttentionModel(LabelAttentionHeads, WordModel):
    """A model on word vectors with one label attention per head."""


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count all parameters and the trainable ones, the embedding table included."""
    return {
        "total": sum(parameter.numel() for parameter in model.parameters()),
        "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
    }
