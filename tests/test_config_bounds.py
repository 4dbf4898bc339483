"""Every integer of every section has an upper bound, and no number is infinite."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter, ValidationError

from medcode import config
from medcode.config import corpora, models
from medcode.config.section import LARGEST, Section
from medcode.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
UNBOUNDED = 10**400


def sections(cls: type[Section] = Section) -> Iterator[type[Section]]:
    """Every section of the package, and the options of every model and corpus."""
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("medcode."):
            yield subclass
        yield from sections(subclass)


def integers(schema: Any) -> list[dict]:
    """The schemas of integers within a JSON schema, also in lists and alternatives, but not in other sections."""
    if isinstance(schema, list):
        return [found for item in schema for found in integers(item)]
    if not isinstance(schema, dict) or "properties" in schema:
        return []
    if schema.get("type") == "integer":
        return [schema]
    return [found for key, item in schema.items() if key != "$defs" for found in integers(item)]


def fields() -> list[Any]:
    """Every field with an integer: its type, and the schema of the integer."""
    for name in models.names():
        models.find(name)
    for name in corpora.names():
        corpora.find(name)
    importlib.import_module("medcode.studies.definition.study")
    found = {}
    for cls in sections():
        for name, field in cls.model_fields.items():
            kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            for schema in integers(TypeAdapter(kind).json_schema()):
                found[f"{cls.__module__.removeprefix('medcode.')}.{cls.__name__}.{name}"] = (kind, schema)
    return [pytest.param(*values, id=name) for name, values in sorted(found.items())]


FIELDS = fields()


def accepts(kind: Any, value: int) -> bool:
    adapter = TypeAdapter(kind)
    length = adapter.json_schema().get("minItems", 1)
    for shape in (value, [value] * length):
        try:
            adapter.validate_python(shape, strict=True)
        except ValidationError:
            continue
        return True
    return False


def test_the_fields_of_all_sections_are_found():
    names = {str(parameter.id) for parameter in FIELDS}
    assert {
        "config.learning.Run.seed", "config.models.caml.CamlConfig.kernel", "config.models.fusion.FusionConfig.kernels",
        "config.recipes.Recipe.patience", "config.learning.Evaluation.at", "studies.definition.study.Definition.seeds",
    } <= names  # fmt: skip
    assert len(names) > 70


@pytest.mark.parametrize(("kind", "schema"), FIELDS)
def test_every_integer_has_an_upper_bound_which_is_accepted(kind, schema):
    assert "maximum" in schema, "no upper bound: take a type of config.section, or Field(le=...)"
    assert schema["maximum"] <= LARGEST
    assert accepts(kind, schema["maximum"])
    assert not accepts(kind, schema["maximum"] + schema.get("multipleOf", 1))
    assert not accepts(kind, UNBOUNDED)


def test_the_largest_seed_is_one_that_the_libraries_take():
    largest = LARGEST + 1_000  # the last of `seeds`
    draws = [
        lambda seed: np.random.RandomState(seed).random(),  # gensim's
        lambda seed: np.random.default_rng([seed, 1]).random(),
        lambda seed: torch.rand(1, generator=torch.Generator().manual_seed(seed)).item(),
    ]
    for draw in draws:
        assert draw(largest) == draw(largest) != draw(largest - 1), "the seed is taken as it is"
    with pytest.raises(ValueError, match="Seed must be between"):
        np.random.RandomState(2**32)  # so a bound is needed


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", 2**64, f"seed: Input should be less than or equal to {LARGEST}, found {2**64}"),
        ("word2vec.seed", 2**40, f"word2vec.seed: Input should be less than or equal to {LARGEST}, found {2**40}"),
        ("training.threads", 100_000, "training.threads: Input should be less than or equal to 1024, found 100000"),
        ("evaluation.at", [5, 2**40], f"evaluation.at.1: Input should be less than or equal to {LARGEST}, found"),
        ("pretrain.learning_rate", float("inf"), "pretrain.learning_rate: Input should be a finite number, found inf"),
        ("synthesize.other_notes", float("nan"), "synthesize.other_notes: Input should be a finite number, found nan"),
        ("filters", 10**8, "options.filters: Input should be less than or equal to 8192, found 100000000"),
        ("kernel", 100_000, "options.kernel: Input should be less than or equal to 255, found 100000"),
    ],
)
def test_an_absurd_number_is_refused_in_one_line(tmp_path, key, value, message):
    of_model = key in ("filters", "kernel")
    source = ROOT / ("configs/models/caml.yaml" if of_model else "params.yaml")
    path = tmp_path / source.name
    raw = yaml.safe_load(source.read_text())
    section = raw["options"] if of_model else raw
    *parts, last = key.split(".")
    for part in parts:
        section = section[part]
    section[last] = value
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError) as mistake:
        if of_model:
            config.load_model(path, "caml", "quick", "top50")
        else:
            config.load_all(path)
    (line,) = mistake.value.args
    assert line.startswith(f"{path}: {message}")
