"""An encoder as a model is built on it: configuration, special pieces and, where they are known, weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from medcode.layers.chunks import Specials

# What kinds of encoders call the probabilities of their dropout.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embd_pdrop")
# The last layer of some encoders, for a task of their pretraining.
POOLER = "pooler."


@dataclass(frozen=True)
class Encoder:
    """An encoder.

    `config` is what its config.json says, `model_type` included; `weights` have the names that transformers gives them.
    Without, a module starts with random ones.
    """

    config: dict[str, Any]
    specials: Specials
    weights: dict[str, Tensor] | None = None

    def module(self, dropout: float, *, pooler: bool) -> nn.Module:
        """Builds it with transformers, on torch's scaled dot product attention wherever its kind can.

        Args:
            dropout: in place of all probabilities of dropout in the configuration.
            pooler: whether to keep the pooler, where the kind has one.
        """
        from transformers import AutoConfig, AutoModel  # slow to load, and models on words need none of it

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
        """How many pieces it reads at a time; None where its configuration sets no limit."""
        limit = self.config.get("max_position_embeddings")
        if limit is None:
            return None
        # RoBERTa and its kin count positions from behind the number of the pad.
        counted_from_pad = self.config["model_type"] in ("camembert", "mpnet", "roberta", "xlm-roberta")
        return limit - (self.config["pad_token_id"] + 1 if counted_from_pad else 0)

    def outline(self) -> Encoder:
        """The same without weights."""
        return replace(self, weights=None)

    def described(self) -> dict[str, Any]:
        """Config and special pieces as plain values."""
        return {"config": self.config, "specials": asdict(self.specials)}

    @classmethod
    def from_description(cls, described: dict[str, Any]) -> Encoder:
        """The opposite of `described`."""
        return cls(described["config"], Specials(**described["specials"]))


def _load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    missing, unknown = module.load_state_dict(weights, strict=False)
    strange = [name for name in (*missing, *unknown) if not name.startswith(POOLER)]
    if strange:
        raise ValueError(f"weights of another kind of encoder: {', '.join(strange[:3])}")
