"""What a section of params.yaml is, and how plain values become one."""

from __future__ import annotations

import itertools
import os
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medcode.errors import UserError, nearest

# YAML 1.1 reads 1e-4 (without a point) as text.
Number = Annotated[float, Field(strict=False), BeforeValidator(lambda v: _number(v))]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
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
        UserError: names the file, the key, what is wrong, and the nearest valid key or the valid values.
    """
    try:
        return cls.model_validate(raw)
    except ValidationError as error:
        raise UserError(_explain(cls, error, raw, path, where)) from None


def _explain(cls: type[BaseModel], error: ValidationError, raw: Any, path: str | os.PathLike, where: str) -> str:
    # An unknown key often comes with a missing one: the unknown key is what the user can see.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    location = [str(part) for part in first["loc"]]
    key = ".".join([where, *location] if where else location)
    if first["type"] == "extra_forbidden":
        siblings = _keys(cls, location[:-1]) - set(_inside(raw, location[:-1]))
        return f"{path}: {key}: unknown key; {nearest(location[-1], siblings or _keys(cls, location[:-1]))}"
    if first["type"] == "missing":
        return f"{path}: {key}: missing"
    said = first["msg"].removeprefix("Value error, ")
    return f"{path}: {key}: {said}, found {_shown(first['input'])}"


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
