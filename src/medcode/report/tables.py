"""Strict readers of the tables and metrics behind the report: whatever the report needs must be present."""

from __future__ import annotations

import csv
import os
from typing import Any

from medcode.errors import UserError
from medcode.evaluation import abstention, frequency, reliability
from medcode.io import read_json

TEXTS = ("head", "group", "linked", "category", "code", "method", "probabilities", "of")
FREQUENCY = ("head", "group", *frequency.COLUMNS)
LINKAGE = ("head", "group", "linked", "codes", "f1_macro_tuned")
LEARNING = ("epoch", "train_loss", "dev_loss", "f1_micro", "f1_macro", "map")
HEAD_LOSSES = ("train_loss_", "dev_loss_")  # followed by the head, for a model with several
LOSSES = ("head", "rank", "loss", "normalized_loss")
VECTORS = ("head", "category", "code", "chosen", "nearest", "x", "y")
CODES = (
    "head", "system", "code", "description", "train_documents", "gold", "predicted", "correct", "precision", "recall",
    "f1", "auc", "confusions",
)  # fmt: skip
EVIDENCE = ("head", "method", "f1", "auprc", "comprehensiveness", "sufficiency")
RELIABILITY, RISK_COVERAGE = reliability.COLUMNS, abstention.COLUMNS
TRAINED = ("model", "recipe", "label_set", "best_epoch", "epochs_run", "stopped", "parameters")


def read_csv(
    path: str | os.PathLike,
    columns: tuple[str, ...],
    prefixes: tuple[str, ...] = (),
    *,
    may_be_empty: bool = False,
    texts: tuple[str, ...] = TEXTS,
) -> list[dict[str, Any]]:
    """Read the named columns of a table as numbers, or as text for those in `texts`. An empty cell is NaN.

    Args:
        path: the table.
        columns: required columns.
        prefixes: prefixes of optional columns.
        may_be_empty: whether a table may have no rows.
        texts: columns that are read as text.

    Raises:
        UserError: the file is missing, has no row, lacks a column, or a cell is not a number.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    if not rows and may_be_empty:
        return []
    if not rows:
        raise UserError(f"{path}: no rows; expected the columns {', '.join(columns)}")
    for column in columns:
        if column not in rows[0]:
            raise UserError(f"{path}: there is no column {column}; found {', '.join(map(str, rows[0]))}")
    columns += tuple(name for name in rows[0] if name and name.startswith(prefixes))
    return [
        {column: row[column] if column in texts else _number(row[column], path, line, column) for column in columns}
        for line, row in enumerate(rows, start=2)
    ]


def _number(cell: str | None, path: str | os.PathLike, line: int, column: str) -> float:
    try:
        return float(cell or "nan")
    except ValueError as error:
        raise UserError(f"{path}: line {line}, column {column}: expected a number") from error


def read_trained(path: str | os.PathLike) -> dict[str, Any]:
    """Read metrics/train.json.

    Raises:
        UserError: the file is missing or lacks a key that the report shows.
    """
    trained = read_json(path)
    for key in TRAINED:
        if key not in trained:
            raise UserError(f"{path}: {key} is missing; run the train stage again")
    return trained
