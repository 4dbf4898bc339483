"""What a section of params.yaml is, and how plain values become one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Container, Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medcode.errors import UserError, is_guess, nearest

# Keys that older files have, and what they are called now.
RENAMED_KEYS = {
    "criterion": "monitor", "criterion_heads": "monitor_heads", "embed": "word2vec", "faithful": "match_released_code",
    "head_weights": "loss_weights", "keep": "restore", "label_vectors": "label_init", "limit": "limit_batches",
    "overfit": "overfit_documents", "title_documents": "description_documents",
}  # fmt: skip

# YAML 1.1 reads 1e-4 (without a point) as text.
Number = Annotated[float, Field(strict=False), BeforeValidator(lambda v: _number(v))]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
System = Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]
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
    """Builds a typed section from plain values.

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
    # A misspelled key often comes with a missing one: the misspelled key is what the user can see.
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    misspelled = set()
    for one in errors:
        location = [str(part) for part in one["loc"]]
        key = ".".join([where, *location] if where else location)
        if one["type"] == "extra_forbidden":
            keys = _keys(cls, location[:-1])
            if (current := current_key(location[-1], keys)) is not None:
                misspelled.add((*location[:-1], current))
                yield f"{path}: {key}: renamed; write {current}"
                continue
            siblings = keys - set(_inside(raw, location[:-1]))
            hint = next(filter(is_guess, (nearest(location[-1], some) for some in (siblings, keys))), "")
            hint = hint or nearest(location[-1], siblings or keys)
            misspelled |= {(*location[:-1], sibling) for sibling in siblings if f"'{sibling}'" in hint}
            yield f"{path}: {key}: unknown key; {hint}"
        elif one["type"] == "missing":
            if tuple(location) not in misspelled:
                yield f"{path}: {key}: missing"
        else:
            message = one["msg"].removeprefix("Value error, ")
            # A rule about several keys names them itself; the mapping that they stand in would say nothing.
            shown = (
                "" if isinstance(one["input"], dict) and message != one["msg"] else f", found {_shown(one['input'])}"
            )
            yield f"{path}: {key}: {message}{shown}" if key else f"{path}: {message}{shown}"


def current_key(key: str, keys: Container[str]) -> str | None:
    """Returns what a key of an older file is called now; None where it is not a renamed one of these keys."""
    current = RENAMED_KEYS.get(key)
    return current if current in keys else None


def with_current_keys(cls: type[BaseModel], raw: Any) -> Any:
    """Returns the values of a section that an older version wrote, under the keys of today.

    For what the program wrote by itself, such as a saved model's folder; a file of the user is told to rename the key.
    Mappings within the section stay as they are.
    """
    if not isinstance(raw, dict):
        return raw
    keys = _keys(cls, []) - raw.keys()
    return {current_key(key, keys) or key: value for key, value in raw.items()}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _inside(raw: Any, location: list[str]) -> dict:
    for part in location:
        raw = raw.get(part, {}) if isinstance(raw, dict) else {}
    return raw if isinstance(raw, dict) else {}


def _keys(cls: type[BaseModel], location: list[str]) -> set[str]:
    """The keys that are valid in the (sub)section at a location."""
    for part in location:
        field = next((f for n, f in cls.model_fields.items() if part in (n, f.alias)), None)
        if field is None:  # a name of the user's own, such as a model's or a recipe's
            continue
        found = _section_in(field.annotation)
        if found is not None:
            cls = found
    return {field.alias or name for name, field in cls.model_fields.items()}


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _section_in(argument)
        if found is not None:
            return found
    return None
