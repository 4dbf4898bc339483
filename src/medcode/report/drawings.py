"""All figures of the report page, for a wide page or for a phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from medcode.report import figures, label_figures, score_figures, tables
from medcode.report.evidence_figure import evidence_figure

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Tables:
    """The tables that are drawn, by the names of the stage's options.

    Attributes:
        learning_curve: metrics of each epoch.
        frequency: F1 by training frequency.
        linkage: F1 by links to the other edition of ICD.
        losses: loss of each code.
        vectors: places of codes and categories in a plane.
        evidence: measures of evidence.
        reliability: share of right codes by their probability.
        risk_coverage: what remains wrong of the most confident codes and notes.
    """

    learning_curve: Rows
    frequency: Rows
    linkage: Rows
    losses: Rows
    vectors: Rows
    evidence: Rows
    reliability: Rows
    risk_coverage: Rows

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Tables:
        """Read the tables; those of what not every run has may be empty.

        Raises:
            UserError: a file is missing, lacks a column, or has a cell that is not a number.
        """
        columns = {
            "learning_curve": tables.LEARNING, "frequency": tables.FREQUENCY, "linkage": tables.LINKAGE,
            "losses": tables.LOSSES, "vectors": tables.VECTORS, "evidence": tables.EVIDENCE,
            "reliability": tables.RELIABILITY, "risk_coverage": tables.RISK_COVERAGE,
        }  # fmt: skip
        prefixes = {"learning_curve": tables.HEAD_LOSSES}
        return cls(**{
            field.name: tables.read_csv(
                paths[field.name], columns[field.name], prefixes.get(field.name, ()),
                may_be_empty=field.name not in ("learning_curve", "frequency", "losses"),
            )
            for field in fields(cls)
        })  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What the figures show beside the tables.

    Attributes:
        model: its name.
        macro_f1: the definition of macro F1.
        best_epoch: the epoch whose weights were kept.
        loss_unit: of what the loss of the learning curve is: decision or document.
        train_counts: by head, the training documents of each label.
        lengths: tokens of each note.
        max_tokens: the maximum number of tokens that the model reads; None if it reads whole notes.
        unit: words or subwords.
    """

    model: str
    macro_f1: str
    best_epoch: float
    loss_unit: str
    train_counts: dict[str, np.ndarray]
    lengths: np.ndarray
    max_tokens: int | None
    unit: str


def draw(drawn: Tables, facts: Facts, *, phone: bool = False) -> dict[str, str]:
    """Return the SVG of each figure by name. Without rows `linkage` is left out, and some say that there is nothing.

    Args:
        drawn: the tables.
        facts: what the figures show besides.
        phone: whether they are for a narrow page; those that are as narrow on a wide one are then left out.
    """
    narrow = {
        "reliability": score_figures.reliability_figure(drawn.reliability),
        "risk_coverage": score_figures.risk_coverage_figure(drawn.risk_coverage),
    }
    shared = {"phone": phone}
    linked = drawn.linkage
    return {
        "frequency": figures.frequency_figure(drawn.frequency, facts.macro_f1, **shared),
        "losses": label_figures.loss_figure({facts.model: drawn.losses}, **shared),
        "vectors": label_figures.map_figure(drawn.vectors, **shared),
        "learning": figures.learning_figure(drawn.learning_curve, facts.best_epoch, facts.loss_unit, **shared),
        "labels": figures.label_figure(facts.train_counts, **shared),
        "lengths": figures.length_figure(facts.lengths, facts.max_tokens, facts.unit, **shared),
        "evidence": evidence_figure(drawn.evidence, **shared),
        **({} if phone else narrow),
    } | ({"linkage": label_figures.linkage_figure(linked, facts.macro_f1, **shared)} if linked else {})
