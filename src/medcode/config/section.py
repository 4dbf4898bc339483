"""Typed sections of params.yaml, built from plain values."""

from __future__ import annotations

import itertools
import os
from collections.abc import Container, Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medcode.errors import UserError, is_guess, nearest

# {key in older files: current key}; several current keys where the key had a meaning of its own in each section.
RENAMED_KEYS: dict[str, str | tuple[str, ...]] = {
    "criterion": "monitor", "criterion_heads": "monitor_heads", "embed": "word2vec", "faithful": "match_released_code",
    "head_weights": "loss_weights", "keep": "restore", "label_vectors": "label_init", "limit": "limit_batches",
    "overfit": "overfit_documents", "pieces": ("vocabulary_size", "block_size"), "renormalised": "renormalized",
    "systems": "track", "title_documents": "description_documents",
}  # fmt: skip
# {key in older files: why it is gone, or what to set instead}.
REMOVED_KEYS = {
    "buckets": "padding is a share now",
    "decorrelate": "a recipe sets embedding_init: whitened now",
}
# Values that older files have under a renamed key or its successor, and what they are called now.
RENAMED_VALUES = {
    "label_init": {"drawn": "random", "titles": "descriptions"},
    "label_biases": {"drawn": "random"},
}

# YAML 1.1 reads 1e-4 (without a point) as text.
Number = Annotated[float, Field(strict=False, allow_inf_nan=False), BeforeValidator(lambda v: _number(v))]
Share = Annotated[Number, Field(ge=0, le=1)]
# Every integer has an upper bound: far above any published setting, below what overflows, exhausts the memory of a
# machine or never ends. LARGEST is for numbers of which a large one has no effect, such as a limit.
LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST)]  # NumPy and gensim take 32 bits; seeds + 1, + 2, ... must fit too
Width = Annotated[int, Field(ge=1, le=8_192)]  # features of a layer
Kernel = Annotated[int, Field(ge=1, le=255)]  # neighboring positions that a layer reads at once
Depth = Annotated[int, Field(ge=1, le=100)]  # layers, one upon the other
Chunk = Annotated[int, Field(ge=3, le=32_768)]  # positions that attend to each other, two special tokens included
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]  # of a note
BatchSize = Annotated[int, Field(ge=1, le=16_384)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
System = Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs", "icdo3"]
Ascending = Annotated[list[Positive], AfterValidator(lambda v: _ascending(v))]


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    if isinstance(value, str):
        return float(value)
    return value


def _ascending(values: list[int]) -> list[int]:
    if any(low >= high for low, high in itertools.pairwise(values)):
        raise ValueError("expected ascending numbers, each once")
    return values


class Section(BaseModel):
    """A part of params.yaml: no unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


SectionType = TypeVar("SectionType", bound=BaseModel)


def build(cls: type[SectionType], raw: Any, path: str | os.PathLike, where: str = "") -> SectionType:
    """Build a typed section from plain values.

    Args:
        path: the file that the values came from, for the message.
        where: the key of the section within the file, dotted.

    Raises:
        UserError: a line for each mistake, with the file, the key, what is wrong, and the nearest valid key or the
            valid values.
    """
    try:
        return cls.model_validate(raw)
    except ValidationError as error:
        raise UserError(*_explain(cls, error, raw, path, where)) from None


def _explain(
    cls: type[BaseModel], error: ValidationError, raw: Any, path: str | os.PathLike, where: str
) -> Iterator[str]:
    # A misspelled key is also a missing one: report only the misspelling, which the user can see.
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    misspelled = set()
    for problem in errors:
        location = [str(part) for part in problem["loc"]]
        key = ".".join([where, *location] if where else location)
        if problem["type"] == "extra_forbidden":
            keys = _keys(cls, location[:-1])
            if (current := current_key(location[-1], keys)) is not None:
                misspelled.add((*location[:-1], current))
                old = _subsection(raw, location[:-1]).get(location[-1])
                value = RENAMED_VALUES.get(current, {}).get(old) if isinstance(old, str) else None
                yield f"{path}: {key}: renamed; write {current}{f': {value}' if value else ''}"
                continue
            if location[-1] in REMOVED_KEYS:
                yield f"{path}: {key}: removed; {REMOVED_KEYS[location[-1]]}"
                continue
            siblings = keys - set(_subsection(raw, location[:-1]))
            hint = next(filter(is_guess, (nearest(location[-1], names) for names in (siblings, keys))), "")
            hint = hint or nearest(location[-1], siblings or keys)
            misspelled |= {(*location[:-1], sibling) for sibling in siblings if f"'{sibling}'" in hint}
            yield f"{path}: {key}: unknown key; {hint}"
        elif problem["type"] == "missing":
            if tuple(location) not in misspelled:
                yield f"{path}: {key}: missing"
        else:
            renamed = RENAMED_VALUES.get(location[-1] if location else "", {})
            if isinstance(problem["input"], str) and (value := renamed.get(problem["input"])):
                yield f"{path}: {key}: renamed; write {value}"
                continue
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "model_type":  # pydantic names a class
                message = "expected keys with values, {key: value}"
            # The message of a rule about several keys names them; the whole mapping would not help.
            value = (
                ""
                if isinstance(problem["input"], dict) and message != problem["msg"]
                else f", found {_shown(problem['input'])}"
            )
            yield f"{path}: {key}: {message}{value}" if key else f"{path}: {message}{value}"


def current_key(key: str, keys: Container[str]) -> str | None:
    """Return the current name of a renamed key; None if the key was not renamed to one of `keys`."""
    current = RENAMED_KEYS.get(key, ())
    return next((name for name in ((current,) if isinstance(current, str) else current) if name in keys), None)


def with_current_keys(cls: type[BaseModel], raw: Any) -> Any:
    """Return the values of a section from an older version under the current keys.

    For files that the program writes, such as those of a saved model. In a file of the user a renamed key is an error.
    Mappings within the section stay as they are.
    """
    if not isinstance(raw, dict):
        return raw
    keys = _keys(cls, []) - raw.keys()
    return {current_key(key, keys) or key: value for key, value in raw.items()}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _subsection(raw: Any, location: list[str]) -> dict:
    for part in location:
        raw = raw.get(part, {}) if isinstance(raw, dict) else {}
    return raw if isinstance(raw, dict) else {}


def _keys(cls: type[BaseModel], location: list[str]) -> set[str]:
    """Return the valid keys of the (sub)section at a location."""
    for part in location:
        field = next((f for n, f in cls.model_fields.items() if part in (n, f.alias)), None)
        if field is None:  # a name that the user chooses, such as a recipe's
            continue
        section = _section_in(field.annotation)
        if section is not None:
            cls = section
    return {field.alias or name for name, field in cls.model_fields.items()}


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        section = _section_in(argument)
        if section is not None:
            return section
    return None
