"""Strict reader of the definition of a study: studies/<name>/study.yaml."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from medcode import config
from medcode.config import LabelSet, Section, build
from medcode.config.section import Seed
from medcode.errors import UserError, nearest
from medcode.studies.definition import datasets, published
from medcode.studies.definition.table import StudyTable, Table, check

FILE = "study.yaml"
NAME = re.compile(r"[a-z][a-z0-9-]*")
ROW = re.compile(r"[a-z][a-z0-9_]*")
PROBABILITIES = "probabilities.npz"  # of a training, in a study with ensembles
TABLE = "table"  # key of the table of a study without a paper
OPENED = "full"  # the label set that unseen codes are added to
MIMIC = ("mimic3", "mimic4")  # a study takes its `small` settings on every other corpus

Figure = Literal["rows", "frequency", "linkage", "loss", "embeddings", "parameters"]
Settings = dict[str, Any]


class Row(Section):
    """A row of the table: settings as differences from params.yaml, by dotted key; `*` is the row's model or recipe.

    `published` names the row of the paper, `table/row`. `label_sets` are the label sets to train on; null takes those
    of the table. A row with `same_as: study/row` is a row of another study and shares its trainings. A row
    that is `mimic_only` is not trained on other corpora.
    """

    title: str
    published: str | None = None
    label_sets: list[LabelSet] | None = None
    settings: Settings = Field({})
    small: Settings = Field({})
    same_as: str | None = None
    mimic_only: bool = False


class Ensemble(Section):
    """Rows whose models, with all seeds of the study, are measured as one: by the mean of their probabilities.

    With `open` it also scores codes that training never saw, as the label set open does.
    """

    title: str
    rows: Annotated[list[str], Field(min_length=1)]
    open: bool = False


class Definition(Section):
    """The content of study.yaml of a study that reproduces tables of a paper.

    Later settings override earlier ones: `settings` for all rows, those of the row, and on corpora other than MIMIC
    `small` for all rows and `small` of the row. `small_remark` explains the latter to a reader.
    `comparisons` are pairs of rows whose difference is tested. `ensembles` stand behind the rows of the first table.
    With `evidence` the evidence of every row is measured, as `explain` in params.yaml or the settings says.
    """

    title: str
    paper: str | None = None
    tables: Annotated[list[str], Field(min_length=1)]
    corpus: str
    seeds: Annotated[list[Seed], Field(min_length=1)]
    figures: list[Figure] = Field(["rows"])
    settings: Settings = Field({})
    small: Settings = Field({})
    small_remark: str | None = None
    rows: Annotated[dict[str, Row], Field(min_length=1)]
    comparisons: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field([])
    ensembles: dict[str, Ensemble] = Field({})
    evidence: bool = False


class PaperlessDefinition(Definition):
    """The content of study.yaml of a study without a paper: `tables` is the table itself."""

    tables: StudyTable


@dataclass(frozen=True)
class Origin:
    """A row with the study that defines it: another study if the row has `same_as`."""

    study: Study
    name: str
    row: Row


@dataclass(frozen=True)
class Study:
    """A study: its name, its definition, the paper that it reproduces if any, and the folder of all studies."""

    name: str
    definition: Definition
    paper: published.Paper | None
    root: Path
    _loaded: dict[str, Study] = field(default_factory=dict, init=False, repr=False, compare=False)  # cache

    @functools.cached_property
    def source(self) -> str:
        """The corpus that the study's data are of; `definition.corpus` may name a part of it."""
        return datasets.read(self.root / datasets.SETTINGS, self.definition.corpus)[0]

    @property
    def small(self) -> bool:
        """Whether the corpus is not MIMIC, so that `small` settings apply."""
        return self.source not in MIMIC

    @property
    def counts_only(self) -> bool:
        """Whether the study only counts parameters and trains nothing."""
        return "parameters" in self.definition.figures

    def layers(self, name: str) -> list[tuple[str, Settings]]:
        """Return the settings of a row, each with its place in study.yaml; later ones override earlier ones."""
        origin = self.origin(name)
        parts = [("settings", origin.study.definition.settings), (f"rows.{origin.name}.settings", origin.row.settings)]
        if self.small:
            parts += [("small", origin.study.definition.small), (f"rows.{origin.name}.small", origin.row.small)]
        return [(f"{self.root / origin.study.name / FILE}: {part}", settings) for part, settings in parts]

    def setting(self, name: str, key: str, default: Any) -> Any:
        """Return the value of a key of a row, or the default if the study does not set it."""
        return next((settings[key] for _, settings in reversed(self.layers(name)) if key in settings), default)

    def tables(self) -> dict[str, Table]:
        """Return the published tables, by key; without a paper the study's table."""
        if self.paper is None:
            return {TABLE: self.definition.tables}
        return {key: self.paper.tables[key] for key in self.definition.tables}

    def table_of(self, row: Row) -> str:
        """Return the key of the table of a row; the first table if the row names none."""
        return row.published.split("/", 1)[0] if row.published else next(iter(self.tables()))

    def label_sets(self, name: str) -> list[str]:
        """Return the label sets on which a row is trained."""
        row = self.definition.rows[name]
        if row.mimic_only and self.small:
            return []
        groups = self.tables()[self.table_of(row)].groups
        return list(dict.fromkeys(row.label_sets or [group.label_set for group in groups.values()]))

    def origin(self, name: str) -> Origin:
        """Return the row with the study that defines it.

        Raises:
            UserError: `same_as` names no row, or a row that itself has `same_as`.
        """
        row = self.definition.rows[name]
        if row.same_as is None:
            return Origin(self, name, row)
        where = f"{self.root / self.name / FILE}: rows.{name}.same_as"
        study_name, _, row_name = row.same_as.partition("/")
        study = self._loaded.get(study_name) or self._loaded.setdefault(study_name, load(self.root, study_name))
        if row_name not in study.definition.rows:
            raise UserError(f"{where}: {study_name} has no such row; {nearest(row_name, study.definition.rows)}")
        original = study.definition.rows[row_name]
        if original.same_as is not None:
            raise UserError(f"{where}: {row.same_as} is itself the same as {original.same_as}; name that")
        return Origin(study, row_name, original)

    def trained_by(self, name: str) -> Origin:
        """Return the row that is trained for a row: its origin if corpus, seeds and label sets match, else itself."""
        origin = self.origin(name)
        original = origin.study.definition
        shared = original.corpus == self.definition.corpus and set(self.definition.seeds) <= set(original.seeds)
        missing_label_sets = set(self.label_sets(name)) - set(origin.study.label_sets(origin.name))
        return origin if shared and not missing_label_sets else Origin(self, name, self.definition.rows[name])

    def runs(self) -> dict[str, list[str]]:
        """Return the rows that this study itself trains, by label set."""
        rows: dict[str, list[str]] = {}
        for name in self.definition.rows:
            if self.trained_by(name).study is self and not self.counts_only:
                for label_set in self.label_sets(name):
                    rows.setdefault(label_set, []).append(name)
        return rows

    def run_folder(self, name: str, label_set: str, seed: int) -> Path:
        """Return the folder with the results of one training."""
        trained = self.trained_by(name)
        corpus_folder = self.root / trained.study.name / "runs" / self.definition.corpus
        return corpus_folder / label_set / trained.name / str(seed)

    def evidence_file(self, name: str, label_set: str, seed: int) -> Path:
        """Return the path of the measures of the evidence of one training, as in metrics/explain.json."""
        return self.root / self.name / "evidence" / self.definition.corpus / label_set / name / f"{seed}.json"

    def ensemble_file(self, name: str) -> Path:
        """Return the path of the metrics of an ensemble, as in metrics/test.json."""
        return self.root / self.name / "ensembles" / f"{name}.json"

    def ensemble_label_set(self, name: str) -> str:
        """Return the label set of the models of an ensemble."""
        return self.label_sets(self.definition.ensembles[name].rows[0])[0]


def names(root: Path) -> list[str]:
    """Return the names of all studies."""
    return sorted(path.parent.name for path in root.glob(f"*/{FILE}"))


def load(root: Path, name: str) -> Study:
    """Read a study and check what can be checked without params.yaml.

    Raises:
        UserError: there is no such study, or its file is wrong.
    """
    if name not in names(root):
        raise UserError(f"{root / name}: there is no such study; {nearest(name, names(root))}")
    path = root / name / FILE
    definition = _read(path)
    known = datasets.names(root / datasets.SETTINGS)
    if definition.corpus not in known:
        raise UserError(f"{path}: corpus: there is no '{definition.corpus}'; {nearest(definition.corpus, known)}")
    datasets.read(root / datasets.SETTINGS, definition.corpus)
    if len(set(definition.seeds)) < len(definition.seeds):
        raise UserError(f"{path}: seeds: expected each once, found {definition.seeds}")
    paper = None if definition.paper is None else published.load(root / "published", definition.paper)
    for table in () if paper is None else definition.tables:
        if table not in paper.tables:
            raise UserError(f"{path}: tables: {definition.paper} has no {table}; {nearest(table, paper.tables)}")
    study = Study(name, definition, paper, root)
    for key, row in definition.rows.items():
        _check_row(study, path, key, row)
    for key, ensemble in definition.ensembles.items():
        _check_ensemble(study, f"{path}: ensembles.{key}", key, ensemble)
    for pair in definition.comparisons:
        for key in pair:
            if key not in definition.rows:
                raise UserError(f"{path}: comparisons: there is no row {key}; {nearest(key, definition.rows)}")
    return study


def _read(path: Path) -> Definition:
    raw = config.read_yaml(path)
    paper, tables = raw.get("paper"), raw.get("tables")
    if isinstance(tables, dict):
        if paper is not None:
            raise UserError(f"{path}: tables: expected names of tables of the paper {paper}, found a table")
        definition = build(PaperlessDefinition, raw, path)
        check(definition.tables, f"{path}: tables")
        if "parameters" in definition.figures:
            raise UserError(f"{path}: figures: parameters are drawn beside a paper's; this study has no paper")
        return definition
    definition = build(Definition, raw, path)
    if definition.paper is None:
        raise UserError(f"{path}: tables: without a paper, expected the table itself, found {definition.tables}")
    return definition


def _check_row(study: Study, path: Path, key: str, row: Row) -> None:
    if not ROW.fullmatch(key):
        raise UserError(f"{path}: rows.{key}: a name has small letters, digits and underscores only")
    if row.published is not None and study.paper is None:
        raise UserError(f"{path}: rows.{key}.published: the study has no paper")
    if row.published is not None:
        table, _, line = row.published.partition("/")
        if table not in study.definition.tables:
            raise UserError(f"{path}: rows.{key}.published: {table} is not among the study's tables")
        rows = study.paper.tables[table].rows
        if line not in rows:
            raise UserError(f"{path}: rows.{key}.published: {table} has no row '{line}'; {nearest(line, rows)}")
    if row.same_as is not None and (row.settings or row.small):
        raise UserError(f"{path}: rows.{key}: a row that is the same as another has no settings of its own")


def _check_ensemble(study: Study, where: str, key: str, ensemble: Ensemble) -> None:
    rows = study.definition.rows
    if not ROW.fullmatch(key):
        raise UserError(f"{where}: a name has small letters, digits and underscores only")
    for row in ensemble.rows:
        if row not in rows:
            raise UserError(f"{where}.rows: there is no row {row}; {nearest(row, rows)}")
        if rows[row].same_as is not None:
            raise UserError(f"{where}.rows: {row} is a row of another study; name rows that this study trains")
    label_sets = {tuple(study.label_sets(row)) for row in ensemble.rows}
    if len(label_sets) > 1 or any(len(names) != 1 for names in label_sets):
        raise UserError(f"{where}.rows: expected rows of one and the same label set")
    if ensemble.open and label_sets != {(OPENED,)}:
        raise UserError(
            f"{where}.open: expected rows of the label set {OPENED}, which the label set open adds codes to"
        )


def choose(root: Path, name: str, seeds: list[int] | None = None, corpus: str | None = None) -> None:
    """Write other seeds or another corpus into study.yaml, and leave every other line unchanged.

    Raises:
        UserError: there is no such study, no such corpus, or the file has no such line.
    """
    from medcode import io

    path = root / name / FILE
    load(root, name)
    text = path.read_text(encoding="utf-8")
    changes = {"corpus": corpus, "seeds": None if seeds is None else str(seeds)}
    for key, value in changes.items():
        if value is not None:
            # The value may also stand below its key, one item a line; a remark behind the key stays.
            value_of_key = rf"^{key}:[^#\n]*?([ \t]*#[^\n]*)?(?:\n[ \t]*- [^\n]*)*$"
            text, replaced = re.subn(value_of_key, rf"{key}: {value}\g<1>", text, count=1, flags=re.M)
            if not replaced:
                raise UserError(f"{path}: expected a line '{key}: ...' to change")
    known = datasets.names(root / datasets.SETTINGS)
    if corpus is not None and corpus not in known:
        raise UserError(f"CORPUS: there is no '{corpus}'; {nearest(corpus, known)}")
    if text != path.read_text(encoding="utf-8"):
        io.write_text(path, text)
