"""The contract of all models."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from medcode.config.models.base import ModelConfig, RecalibratedConfig
from medcode.layers.label_attention import LabelAttention, attend_heads, label_attention_heads, run_heads
from medcode.layers.masks import position_mask
from medcode.layers.word_embedding import WordEmbedding

if TYPE_CHECKING:
    from medcode.encoders.outline import Encoder
    from medcode.layers.medical_code_attention import Edges

PAPERS_EMBEDDING_SIZE = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelInputs:
    """What the data give a model's constructor: for training, from a saved folder, or to count its parameters.

    A model on words takes `vocab_size`, and `vectors` where they are pretrained; a model on subwords takes `encoder`.

    Attributes:
        heads: number of labels Y of each head, {"icd": Y}.
        vocab_size: number V of embedding rows, PAD and UNK included.
        vectors: pretrained word vectors [V, E]; None initializes them at random with the papers' E = 100.
        encoder: the pretrained encoder, with or without weights.
        descriptions: words of each label's title, {head: int [Y, T]}, padded with 0; for a model with
            `needs_descriptions`.
        edges: {head: links of its codes to those of another head}; for a model with `needs_edges`.

    Only training needs descriptions and edges: a saved model is built without.

    Raises:
        ValueError: there are both words and an encoder, or neither.
    """

    heads: dict[str, int]
    vocab_size: int = 0
    vectors: Tensor | None = None
    encoder: Encoder | None = None
    descriptions: dict[str, Tensor] | None = None
    edges: dict[str, Edges] | None = None

    def __post_init__(self) -> None:
        if (self.encoder is None) == (self.vocab_size == 0) or (self.vectors is not None and self.vocab_size == 0):
            raise ValueError("a model takes vocab_size, with or without vectors, or it takes an encoder")


class Model(nn.Module, ABC):
    """A medical coder: documents in, one logit per label and head out.

    A subclass sets `Config`, and `paper` where it was published. Losses, optimizer and schedule belong to the trainer.
    Scores of a document do not depend on the rest of the batch when pads are masked.

    Args:
        config: the subclass's `Config`.
        inputs: what the data give.

    Attributes:
        loss_weights: weight of each head's loss; None weighs each head 1.
    """

    paper: ClassVar[str | None] = None
    Config: ClassVar[type[ModelConfig]]
    needs_descriptions: ClassVar[bool] = False
    needs_edges: ClassVar[bool] = False

    loss_weights: dict[str, float] | None = None

    def __init__(self, config: ModelConfig, inputs: ModelInputs) -> None:
        super().__init__()
        self.config = config
        self.heads = dict(inputs.heads)

    @abstractmethod
    def rebuild_metadata(self) -> dict[str, Any]:
        """What a saved model's folder records so that the model can be rebuilt without pretrained weights."""

    @abstractmethod
    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Scores every label.

        Args:
            tokens: numbers of words, or of pieces, padded with 0, int [B, N].
            lengths: number of words of each document, int [B]; 0 for a document without words.

        Returns:
            {head: logits [B, Y]}.
        """

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Attention of labels over the positions, {head: fp32 [B, Y, positions]}.

        Args:
            tokens, lengths: as for `forward`.
            labels: the labels that are asked about, {head: int [Y], their numbers}; None asks about all of every head.

        Raises:
            NotImplementedError: the model has no label attention.
        """
        raise NotImplementedError(f"{type(self).__name__} has no label attention")

    def label_vectors(self) -> dict[str, Tensor]:
        """Vectors by which labels are scored, in one space for all heads, {head: [Y, D]}; none where there are no such.

        The score of a label is the product of its vector with what the model read for it.
        """
        return {}

    def regularisation(self, gold: dict[str, Tensor]) -> Tensor | None:
        """What the trainer adds to the loss of each document, [B]; None where the model asks for nothing.

        Args:
            gold: {head: 0 or 1, [B, Y]}.
        """
        return None

    def on_train_end(self, train_counts: dict[str, Tensor]) -> None:
        """Changes the weights after training, in place, where the model asks for it; the model is saved after it.

        Args:
            train_counts: training documents of each label, {head: int [Y]}.
        """

    def layer_depths(self) -> dict[str, int]:
        """How many layers of a pretrained encoder lie above each of its parameters, by name; empty without one."""
        return {}

    def enable_gradient_checkpointing(self) -> None:
        """Makes training compute activations a second time instead of keeping them, where the model can."""

    @property
    def has_label_attention(self) -> bool:
        """Whether the model has `label_attention`."""
        return type(self).label_attention is not Model.label_attention


class WordModel(Model):
    """A model on word vectors.

    Args:
        config: the subclass's `Config`.
        inputs: what the data give; `vocab_size` is needed.

    Raises:
        ValueError: the inputs are those of a model on an encoder.
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
        """Which of an encoder's positions are real, bool [B, positions], or None where pads take part.

        Args:
            lengths: number of real positions, [B]; a document without words has one all the same, a pad.
            positions: of the padded batch.
        """
        return position_mask(lengths.clamp(min=1), positions) if self.config.masked else None


class LabelAttentionHeads(Model):
    """What a model that ends in one label attention per head, on features that the heads share, has whatever it reads.

    A subclass sets `attention`, {head: label attention}, and says how documents become features.
    """

    attention: nn.ModuleDict

    @abstractmethod
    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [B, P, D] and which positions are real, bool [B, P], or None where pads take part."""

    def features(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the heads read, as `encode` returns it; a subclass may put something between."""
        return self.encode(tokens, lengths)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return run_heads(self.attention, *self.features(tokens, lengths))

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
    """A model on word vectors that ends in one label attention per head."""


def ram_layers() -> ModuleType:
    """Import the layers of RAM, by name: a run whose model goes without RAM does not depend on their code."""
    return importlib.import_module("medcode.layers.recalibrated_aggregation")


class RecalibratedModel(LabelAttentionModel):
    """A model on word vectors, then RAM where `ram` asks for it, then one label attention per head.

    Source: Sun et al. 2021 (MT-RAM), whose ablations put RAM on three encoders. A subclass makes its encoder, and ends
    its constructor with `make_heads`.
    """

    config: RecalibratedConfig

    def make_heads(self, features: int) -> None:
        """Makes RAM and the heads.

        Args:
            features: D of the encoder.
        """
        position = self.config.ram_position if self.config.ram else "nowhere"
        self.attention = label_attention_heads(features, self.heads)
        if position == "branches":
            for head, attention in list(self.attention.items()):
                self.attention[head] = ram_layers().RecalibratedBranch(self._ram(features), attention)
        self.recalibration = self._ram(features) if position == "shared" else None

    def _ram(self, features: int) -> nn.Module:
        return ram_layers().RecalibratedAggregation(features, self.config.ram_combine, self.config.dropout)

    def features(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `LabelAttentionHeads`."""
        features, real = self.encode(tokens, lengths)
        return (features if self.recalibration is None else self.recalibration(features, real)), real


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Counts all parameters and the trainable ones, the embedding table included."""
    return {
        "total": sum(parameter.numel() for parameter in model.parameters()),
        "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
    }
