"""Read parameter files, and choose the values that depend on the label set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from medcode.config.section import Section, build
from medcode.errors import UserError

SectionType = TypeVar("SectionType", bound=Section)

# Sections in which a value may be a mapping `{top50: a, full: b}`. Stages that read them depend on label_set.
BY_LABEL_SET = ("training", "evaluation")
# Keys of these sections with one value for all label sets, read by stages whose results all label sets share.
FOR_ALL = {"training": ("device", "precision", "threads", "kernels")}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(cls: type[SectionType], path: str | os.PathLike) -> SectionType:
    """Read only the parameters that one stage depends on: the fields of its class.

    Args:
        cls: a section whose fields are named as keys of the file.
        path: params.yaml.

    Raises:
        UserError: the file is missing or not YAML; a key of the class is missing, of the wrong type or impossible.
    """
    raw = read_params(path)
    names = [field.alias or name for name, field in cls.model_fields.items()]
    return build(cls, by_label_set({name: raw[name] for name in names if name in raw}), path)


def read_params(path: str | os.PathLike) -> dict[str, Any]:
    """Read params.yaml, unchecked.

    Raises:
        UserError: see `read_yaml`.
    """
    return read_yaml(path, "run this in the project's folder or name it with --params")


def read_yaml(path: str | os.PathLike, if_missing: str = "run this in the project's folder") -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file.
        if_missing: what to do if there is no such file, for the message.

    Raises:
        UserError: the file is missing, not YAML, or holds something else.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), LOADER)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {if_missing}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping of parameters, found {type(value).__name__}")
    return value


def read_all(params: str | os.PathLike, models: str | os.PathLike) -> dict[str, Any]:
    """Read params.yaml and the files of all models as one mapping, unchecked: {..., models: {model: file}}.

    Args:
        params: params.yaml.
        models: configs/models.

    Raises:
        UserError: a file is missing, not YAML, or holds no mapping.
    """
    files = sorted(Path(models).glob("*.yaml"))
    return read_params(params) | {"models": {path.stem: read_yaml(path) for path in files}}


def by_label_set(raw: dict[str, Any], label_set: str | None = None) -> dict[str, Any]:
    """Choose the values that depend on the label set, in the sections that may have such values.

    Args:
        raw: sections by name.
        label_set: the label set of the values; None takes the one in `raw`. Without a label set nothing changes.
    """
    label_set = label_set or raw.get("label_set")
    if not isinstance(label_set, str):
        return raw
    return {key: _chosen(key, value, label_set) if key in BY_LABEL_SET else value for key, value in raw.items()}


def _chosen(key: str, section: Any, label_set: str) -> Any:
    if not isinstance(section, dict):
        return section
    fixed = {name: section[name] for name in FOR_ALL.get(key, ()) if name in section}
    return for_label_set(section, label_set) | fixed


def size_of(label_set: str) -> Literal["top50", "full"]:
    """Return the key of a mapping `{top50: a, full: b}` that applies to a label set."""
    return "top50" if label_set.startswith("top50") else "full"


def for_label_set(value: Any, label_set: str) -> Any:
    """Replace every mapping `{top50: a, full: b}` by the value for the label set."""
    size = size_of(label_set)
    if isinstance(value, dict):
        if value and set(value) <= {"top50", "full"} and size in value:
            return value[size]
        return {key: for_label_set(item, label_set) for key, item in value.items()}
    return value
