"""Load and check params.yaml as a whole. A stage loads only its own sections instead (`config.load`)."""

from __future__ import annotations

import os
from typing import Any, Protocol, cast

from pydantic import Field

from medcode.config import corpora
from medcode.config.data import EDITIONS, Ccs, Gem, Open, Reference, Split, Synthesize, Tokenize, WordVectors
from medcode.config.encoders import EncoderSource, Pretrain, Subword
from medcode.config.files import by_label_set, read_params
from medcode.config.learning import CalibrationMethod, Evaluation, Explain, Run, Thresholds, Training
from medcode.config.section import Section, build
from medcode.errors import UserError, collect, nearest


class CorpusOptions(Protocol):
    """What the options of every corpus have."""

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""


class Params(Run):
    """The whole of params.yaml."""

    recipe: str
    synthesize: Synthesize
    corpora: dict[str, dict[str, Any]]
    reference: Reference
    ccs: Ccs
    gem: Gem
    tokenize: Tokenize
    split: Split
    word2vec: WordVectors
    encoders: dict[str, EncoderSource]
    subword: Subword
    pretrain: Pretrain
    open: Open
    training: Training
    calibration: CalibrationMethod
    thresholds: Thresholds
    evaluation: Evaluation
    explain: Explain


class Names(Section):
    """The keys that choose a corpus and an encoder by name, checked apart from the mistakes in other sections."""

    label_set: Any = None
    corpus: str
    encoder: str
    corpora: dict[str, dict[str, Any]] = Field({})
    encoders: dict[str, Any] = Field({})


def load_all(path: str | os.PathLike) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: the file is missing or not YAML; else a line for each key that is unknown, missing, of the wrong
            type or impossible, and for each unknown name.
    """
    raw = read_params(path)
    check(raw, path)
    return build(Params, by_label_set(raw), path)


def check(raw: dict[str, Any], path: str | os.PathLike) -> None:
    """Check the content of params.yaml.

    Raises:
        UserError: a line for each mistake.
    """
    names = {key: raw[key] for key in Names.model_fields if key in raw}
    collect(
        # Both values of each `{top50: ..., full: ...}` must be valid, whichever label set is chosen now.
        *(lambda label_set=label_set: _check_rules(raw, path, label_set) for label_set in ("top50", "full")),
        lambda: _check_names(build(Names, names, path), path),
    )


def _check_names(names: Names, path: str | os.PathLike) -> None:
    def check_corpus(key: str, corpus: str) -> None:
        if corpus not in corpora.names():
            raise UserError(f"{path}: {key}: there is no corpus '{corpus}'; {nearest(corpus, corpora.names())}")
        if corpus not in names.corpora:
            raise UserError(f"{path}: corpora.{corpus}: missing")
        build(corpora.find(corpus), names.corpora[corpus], path, f"corpora.{corpus}")

    def check_editions() -> None:
        editions = EDITIONS.get(names.label_set, ()) if isinstance(names.label_set, str) else ()
        if not editions or names.corpus not in corpora.names() or names.corpus not in names.corpora:
            return  # a corpus that is not there is reported by `check_corpus`
        options = build(corpora.find(names.corpus), names.corpora[names.corpus], path, f"corpora.{names.corpus}")
        systems = cast(CorpusOptions, options).code_systems
        for edition in editions:
            if not any(system.startswith(edition) for system in systems):
                raise UserError(
                    f"{path}: label_set: {names.label_set} needs codes of {edition}, and corpora.{names.corpus} has "
                    f"{', '.join(systems) or 'none'}; set another label set, for instance full, or another corpus"
                )

    def check_encoder() -> None:
        if names.encoder not in names.encoders:
            hint = nearest(names.encoder, names.encoders)
            raise UserError(f"{path}: encoder: there is no block encoders.{names.encoder}; {hint}")

    collect(
        lambda: check_corpus("corpus", names.corpus),
        *(lambda corpus=corpus: check_corpus(f"corpora.{corpus}", corpus) for corpus in names.corpora),
        check_editions,
        check_encoder,
    )


def _check_rules(raw: dict[str, Any], path: str | os.PathLike, label_set: str) -> None:
    """Check each key, then the rules about several keys."""
    params = build(Params, by_label_set(raw, label_set), path)
    lines = []
    if params.split.published != "none" and params.split.source == "stratified":
        lines.append(
            f"{path}: split: source: stratified ignores published lists, but published is {params.split.published}; "
            "set source: auto or published: none"
        )
    for name, number in (("processes", params.training.processes), ("nodes", params.training.nodes)):
        if params.seeds > 1 and number > 1:
            lines.append(
                f"{path}: seeds: {params.seeds} seeds train side by side in one process, yet training.{name} is "
                f"{number}; set one of the two to 1"
            )
    if params.split.dev_share + params.split.test_share >= 1:
        lines.append(f"{path}: split: dev_share + test_share must be below 1, or no training document is left")
    if params.split.fold >= params.split.folds:
        lines.append(
            f"{path}: split: fold: expected 0 to {params.split.folds - 1}, one of the {params.split.folds} parts of "
            f"folds, found {params.split.fold}"
        )
    if params.split.fold and params.split.train_on == "train":
        lines.append(
            f"{path}: split: fold: {params.split.fold} has no effect with train_on: train; set train_on: train_dev, or "
            "fold: 0"
        )
    if lines:
        raise UserError(*lines)
