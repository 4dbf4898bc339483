"""Base classes of models on a pretrained encoder, which read subwords."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from medcode.config.models.base import EncoderConfig, StudyConfig
from medcode.errors import UserError
from medcode.layers.chunks import Chunks
from medcode.layers.label_attention import LabelAttention
from medcode.layers.pooled_classifier import PooledClassifier
from medcode.models.base import LabelAttentionHeads, Model
from medcode.models.inputs import ModelInputs


class EncoderModel(Model):
    """A model on a pretrained encoder.

    Args:
        config: the subclass's `Config`.
        inputs: inputs that come from the data; `encoder` is required.

    `tokens` of `forward` are subword ids without special tokens, which the model adds; padding may have any id. Every
    process samples the dropout within the encoder by itself.

    Raises:
        ValueError: the inputs have a vocabulary instead of an encoder.
        UserError: a chunk has more positions than the encoder reads.
    """

    keeps_pooler: ClassVar[bool] = False

    def __init__(self, config: EncoderConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        encoder = inputs.encoder
        if encoder is None:
            raise ValueError(f"{type(self).__name__} reads subwords: it takes an encoder, not vocab_size")
        if (limit := encoder.positions) is not None and config.chunk > limit:
            raise UserError(
                f"chunk: the encoder reads {limit} subwords at a time, found {config.chunk}; set at most that"
            )
        self.outline = encoder.outline()
        self.encoder = encoder.module(config.dropout, pooler=self.keeps_pooler)
        self.width = self.encoder.config.hidden_size
        self.encoder.get_input_embeddings().weight.requires_grad_(config.embedding == "trained")

    def rebuild_metadata(self) -> dict[str, Any]:
        """See `Model`."""
        return {"encoder": self.outline.metadata()}

    def enable_gradient_checkpointing(self) -> None:
        """See `Model`."""
        self.encoder.activation_checkpointing_enable({"use_reentrant": False})

    def layer_depths(self) -> dict[str, int]:
        """Return the number of encoder layers above each parameter, for layer-wise learning rate decay.

        Token and position embeddings count as below all layers; every other parameter counts as the last layer.
        """
        layer = re.compile(r"^encoder\..*\blayers?\.(\d+)\.")
        names = [name for name, _ in self.named_parameters() if name.startswith("encoder.")]
        number = {name: int(match[1]) + 1 for name in names if (match := layer.match(name))}
        top = max(number.values(), default=0)
        return {name: top - number.get(name, 0 if "embeddings" in name else top) for name in names}

    def run(self, chunks: Chunks, real: Tensor | None) -> Tensor:
        """Return the encoder's last states over chunks, [C, L, D].

        Args:
            chunks: chunks of the batch.
            real: mask of the positions that are read, bool [C, L]; None reads all positions.
        """
        mask = None if real is None else real.long()
        return self.encoder(input_ids=chunks.token_ids, attention_mask=mask).last_hidden_state


class StudyModel(LabelAttentionHeads, EncoderModel):
    """A model of the BERT study: a linear layer on one pooled vector (`fcn`), or label attention over all vectors.

    A subclass sets `pooling`, how `fcn` pools the vectors. The encoder's pooler is unused, but kept so that parameters
    count as published.
    """

    keeps_pooler = True
    pooling: ClassVar[Literal["first", "max"]]

    def __init__(self, config: StudyConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.attention = nn.ModuleDict({head: self._head(labels) for head, labels in inputs.heads.items()})

    def _head(self, labels: int) -> nn.Module:
        if self.config.head == "fcn":
            return PooledClassifier(self.width, labels, self.pooling, self.config.dropout)
        return LabelAttention(self.width, labels)

    @property
    def has_label_attention(self) -> bool:
        """See `Model`."""
        return self.config.head == "label_attention"

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        if not self.has_label_attention:
            raise NotImplementedError(f"{type(self).__name__} has no label attention with head: fcn")
        return super().label_attention(tokens, lengths, labels)
