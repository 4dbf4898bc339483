"""The definition of an encoder, from which models build it: configuration, special tokens, optional weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from medcode.layers.chunks import Specials

# Configuration keys of dropout probabilities, which differ between architectures.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embd_pdrop")
# Prefix of the weights of the pooler, which some encoders have for a task of their pretraining.
POOLER = "pooler."


@dataclass(frozen=True)
class Encoder:
    """An encoder: configuration, special tokens and weights.

    Attributes:
        config: content of its config.json, `model_type` included.
        specials: ids of its special tokens.
        weights: weights by their names in transformers; None initializes them at random.
    """

    config: dict[str, Any]
    specials: Specials
    weights: dict[str, Tensor] | None = None

    def module(self, dropout: float, *, pooler: bool) -> nn.Module:
        """Build the module with transformers, on torch's scaled dot product attention where the architecture allows it.

        Args:
            dropout: replaces all dropout probabilities of the configuration.
            pooler: whether to keep the pooler, where the architecture has one.
        """
        from transformers import AutoConfig, AutoModel  # slow to load, and not needed by models on words

        config = AutoConfig.for_model(**self.config)
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, dropout)
        module = AutoModel.from_config(config)
        if not pooler and getattr(module, "pooler", None) is not None:
            module.pooler = None
        if self.weights is not None:
            _load(module, self.weights)
        return module

    @property
    def positions(self) -> int | None:
        """Largest number of subwords in a sequence; None where the configuration sets no limit."""
        limit = self.config.get("max_position_embeddings")
        if limit is None:
            return None
        # RoBERTa and its relatives number positions from the id of the padding token + 1.
        counted_from_pad = self.config["model_type"] in ("camembert", "mpnet", "roberta", "xlm-roberta")
        return limit - (self.config["pad_token_id"] + 1 if counted_from_pad else 0)

    def outline(self) -> Encoder:
        """Return the encoder without weights."""
        return replace(self, weights=None)

    def metadata(self) -> dict[str, Any]:
        """Return configuration and special tokens as plain values, for the metadata of a saved model."""
        return {"config": self.config, "specials": asdict(self.specials)}

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> Encoder:
        """Build an encoder from the result of `metadata`."""
        return cls(metadata["config"], Specials(**metadata["specials"]))


def _load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    missing, unexpected = module.load_state_dict(weights, strict=False)
    mismatches = [name for name in (*missing, *unexpected) if not name.startswith(POOLER)]
    if mismatches:
        raise ValueError(f"weights of another encoder architecture: {', '.join(mismatches[:3])}")
