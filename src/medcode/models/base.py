"""The contract of all models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

from medcode.config import Section, Share
from medcode.layers.word_embedding import WordEmbedding

PAPERS_EMBEDDING_SIZE = 100


class ModelConfig(Section):
    """What every model's constructor is told: the options of its block, and what the recipe says of the layers.

    `faithful` switches to what the authors' code does wherever that differs from what their paper describes.
    """

    dropout: Share
    embedding: Literal["trained", "static"]
    mask_padding: bool
    faithful: bool

    @property
    def masked(self) -> bool:
        """Whether pads are kept out; no reference implementation does so."""
        return self.mask_padding and not self.faithful


class Model(nn.Module, ABC):
    """A medical coder: documents in, one logit per label and head out.

    A subclass sets `paper` and `Config`. Losses, optimiser and schedule belong to the trainer. Scores of a document do
    not depend on the rest of the batch when pads are masked.

    Args:
        config: the subclass's `Config`.
        heads: number of labels Y of each head, {"icd": Y}.
    """

    paper: ClassVar[str]
    Config: ClassVar[type[ModelConfig]]

    def __init__(self, config: ModelConfig, heads: dict[str, int]) -> None:
        super().__init__()
        self.config = config
        self.heads = dict(heads)

    @abstractmethod
    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Scores every label.

        Args:
            tokens: word numbers padded with 0, int [B, N].
            lengths: number of words of each document, int [B]; 0 for a document without words.

        Returns:
            {head: logits [B, Y]}.
        """

    def label_attention(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Attention of every label over the positions, {head: fp32 [B, Y, positions]}.

        Raises:
            NotImplementedError: the model has no label attention.
        """
        raise NotImplementedError(f"{type(self).__name__} has no label attention")

    @classmethod
    def has_label_attention(cls) -> bool:
        """Whether `label_attention` can be asked for."""
        return cls.label_attention is not Model.label_attention


class WordModel(Model):
    """A model on word vectors.

    Args:
        config: the subclass's `Config`.
        vocabulary: number of embedding rows, PAD and UNK included.
        vectors: pretrained word vectors [vocabulary, E], or None to draw them with the papers' E = 100.
        heads: number of labels Y of each head, {"icd": Y}.
    """

    def __init__(self, config: ModelConfig, vocabulary: int, vectors: Tensor | None, heads: dict[str, int]) -> None:
        super().__init__(config, heads)
        self.embedding_size = PAPERS_EMBEDDING_SIZE if vectors is None else vectors.shape[1]
        trained = config.embedding == "trained"
        self.embedding = WordEmbedding(
            vocabulary, self.embedding_size, vectors, trained=trained, dropout=config.dropout
        )


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Counts all parameters and the trainable ones, the embedding table included."""
    return {
        "total": sum(parameter.numel() for parameter in model.parameters()),
        "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
    }
