"""Sections of params.yaml about encoders: their source, further pretraining, and subwords."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medcode.config.section import BatchSize, Chunk, Count, Depth, Number, Section, Seed, Share, Width


class Scratch(Section):
    """Sizes of a new BERT encoder: size of the subword vocabulary, and layers."""

    vocabulary_size: Annotated[int, Field(ge=100, le=1_000_000)]
    layers: Depth
    hidden: Width
    attention_heads: Width
    feed_forward: Width
    positions: Chunk

    @model_validator(mode="after")
    def _divisible(self) -> Scratch:
        if self.hidden % self.attention_heads:
            raise ValueError(f"hidden: expected a multiple of attention_heads ({self.attention_heads})")
        return self


class EncoderSource(Section):
    """Source of an encoder; empty for `none`.

    `hub` is a repository of Hugging Face; `revision` names a branch, tag or commit of it. `package` is an installed
    Python package with the encoder in its folder `folder`. `folder` alone is a folder of this machine; `url` says where
    its files can be downloaded. `scratch` is a new encoder with randomly initialized weights.
    """

    hub: str | None = None
    revision: str | None = None
    package: str | None = None
    folder: str | None = None
    url: str | None = None
    scratch: Scratch | None = None

    @model_validator(mode="after")
    def _one_place(self) -> EncoderSource:
        named = [name for name in ("hub", "package", "scratch") if getattr(self, name) is not None]
        if len(named) > 1 or (self.folder is not None and named not in ([], ["package"])):
            raise ValueError("expected one place: hub, package (with its folder), folder or scratch")
        return self


class Pretrain(Section):
    """Continued pretraining of the encoder as a masked language model."""

    steps: Count
    learning_rate: Annotated[Number, Field(gt=0)]
    batch_size: BatchSize
    block_size: Chunk
    masked: Annotated[Share, Field(gt=0, lt=1)]
    background: bool
    seed: Seed


class Subword(Section):
    """Input of subword tokenization: the words that word models read, or the raw note."""

    text: Literal["words", "raw"]
