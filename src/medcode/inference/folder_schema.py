"""What the files of a trained model's folder may say, checked when they are read: a folder may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from medcode.config.recipes import Unit
from medcode.config.section import Count, Positive, Seed, Tokens, Width
from medcode.errors import UserError

TRAIN_AGAIN = "train it again (dvc repro)"
Name = Annotated[str, Field(min_length=1)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    """A part of a file. Further keys are for readers of the file."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Provenance(_Part):
    """Facts about the training. Folders of older versions have fewer."""

    seed: Seed
    corpus: str | None = None
    recipe: str | None = None


class SpecialTokens(_Part):
    """Ids of an encoder's special tokens, as `layers.chunks.Specials`."""

    begin: Count
    end: Count
    pad: Count


class Encoder(_Part):
    """Configuration and special tokens of an encoder."""

    config: dict[str, Any]
    specials: SpecialTokens


class Metadata(_Part):
    """model.json."""

    format: int
    name: Name
    config: dict[str, Any]
    label_set: Name
    max_tokens: Tokens
    rule: Literal["caml", "diagnoses", "edin", "laat"]
    thresholds: dict[Name, Probability]
    text: Literal["words", "raw"] | None = None
    unit: Unit = "documents"
    dev_lengths: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None
    embedding_size: Width | None = None
    encoder: Encoder | None = None
    features: Positive | None = None
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    provenance: Provenance


class Label(_Part):
    """A record of labels.json."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    system: Name
    code: Name
    description: str
    train_documents: Count


LABELS = TypeAdapter(dict[Name, Annotated[list[Label], Field(min_length=1)]])
THRESHOLDS = TypeAdapter(dict[Name, Probability])
METADATA: TypeAdapter[Metadata] = TypeAdapter(Metadata)


def checked(schema: TypeAdapter, value: Any, path: Path, again: str = TRAIN_AGAIN) -> Any:
    """Return a value of a file as its schema says.

    Args:
        schema: of the value.
        value: as it was read.
        path: of the file, for the message.
        again: what makes the file again, for the message.

    Raises:
        UserError: it is otherwise; one line, with the first thing that is wrong.
    """
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the whole"
        wrong = "missing" if problem["type"] == "missing" else problem["msg"]
        raise UserError(f"{path}: damaged, {place}: {wrong}; {again}") from None
