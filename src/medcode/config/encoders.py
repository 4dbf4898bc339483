"""Sections of params.yaml about encoders: where they come from, further pretraining, and word pieces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medcode.config.section import Count, Number, Positive, Section, Share


class Scratch(Section):
    """A new encoder of BERT's kind: the size of its vocabulary of word pieces, and of its layers."""

    pieces: Annotated[int, Field(ge=100)]
    layers: Positive
    hidden: Positive
    attention_heads: Positive
    feed_forward: Positive
    positions: Annotated[int, Field(ge=3)]

    @model_validator(mode="after")
    def _divisible(self) -> Scratch:
        if self.hidden % self.attention_heads:
            raise ValueError(f"hidden: expected a multiple of attention_heads ({self.attention_heads})")
        return self


class EncoderSource(Section):
    """Where an encoder comes from; empty for `none`.

    `hub` is a repository of Hugging Face, of which `revision` names a branch, tag or commit; `package` an installed
    Python package with the encoder in its folder `folder`; `folder` alone a folder of this machine, for which `url`
    says where its files can be had; `scratch` a new encoder, whose weights training draws.
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
    batch_size: Positive
    pieces: Annotated[int, Field(ge=3)]
    masked: Annotated[Share, Field(gt=0, lt=1)]
    background: bool
    seed: Count


class Subword(Section):
    """What word pieces are made of: the words that the models on words read, or the note as it stands."""

    text: Literal["words", "raw"]
