"""The codes that are scored: the labels of the model, and codes of the reference tables that are no label."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medcode.codes import formatting
from medcode.errors import UserError

COLUMNS = ("system", "code")

Code = tuple[str, str]  # system and code


@dataclass(frozen=True)
class CodeList:
    """Codes with a number: first the labels of the model, in the order of its logits, then the unseen codes.

    Attributes:
        codes: system and code of each [C].
        descriptions: of each, "" where there is none [C].
        n_labels: Y, the number of labels.
        length_odds: log of the training documents of codes with the same number of characters, per code of that
            length in the list, float32 [C]. Corpora differ in whether they assign categories.
    """

    codes: list[Code]
    descriptions: list[str]
    n_labels: int
    length_odds: np.ndarray

    @cached_property
    def number(self) -> dict[Code, int]:
        """The number of each code."""
        return {code: number for number, code in enumerate(self.codes)}

    @cached_property
    def unseen(self) -> dict[str, np.ndarray]:
        """The numbers of the unseen codes of each system, int64, by system."""
        systems = np.array([system for system, _ in self.codes])
        unseen = np.arange(len(systems)) >= self.n_labels
        return {system: np.flatnonzero(unseen & (systems == system)) for system in sorted(set(systems[unseen]))}

    @cached_property
    def of_labels(self) -> dict[str, np.ndarray]:
        """The numbers of the labels of each system, int64, by system."""
        systems = np.array([system for system, _ in self.codes[: self.n_labels]])
        return {system: np.flatnonzero(systems == system) for system in sorted(set(systems))}


def code_list(
    labels: Sequence[dict[str, Any]], descriptions: pd.DataFrame, listed: Collection[Code] | None = None
) -> CodeList:
    """Return the labels, and the codes with a description that are none, of the systems of the labels.

    Args:
        labels: records with system, code, description and train_documents [Y].
        descriptions: system, code, description.
        listed: the codes to consider besides the labels; None for all.

    Raises:
        UserError: a listed code has no description.
    """
    systems = sorted({label["system"] for label in labels})
    described = {
        (row.system, row.code): row.description
        for row in descriptions[descriptions["system"].isin(systems)].itertuples()
    }
    known = {(label["system"], label["code"]): label["description"] for label in labels}
    if listed is not None:
        if unknown := [code for code in listed if code not in described and code not in known]:
            raise UserError(
                f"open.codes: {' '.join(unknown[0])} has no description, or is of no system of the corpus "
                f"({', '.join(systems)}); {len(unknown)} such codes in the list"
            )
        described = {code: described[code] for code in sorted(listed) if code in described}
    unseen = {code: text for code, text in described.items() if code not in known}
    codes = [*known, *unseen]
    trained = Counter[tuple[str, int]]()
    for label in labels:
        trained[label["system"], len(label["code"])] += label["train_documents"]
    existing = Counter((system, len(code)) for system, code in codes)
    odds = {length: np.log((trained[length] + 0.5) / count) for length, count in existing.items()}
    return CodeList(
        codes,
        [*known.values(), *unseen.values()],
        len(known),
        np.array([odds[system, len(code)] for system, code in codes], np.float32),
    )


def read_list(path: Path) -> set[Code] | None:
    """Read a list of codes: a .csv file with the columns system and code; lines that start with # are comments.

    Returns:
        The codes in the standard notation; None for a list without any, which stands for all codes.

    Raises:
        UserError: the file cannot be read or has other columns; a system or a code is not valid. The message names the
            line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    rows = list(zip([number for number, _ in lines], csv.reader(line for _, line in lines), strict=True))
    if not rows or tuple(rows[0][1]) != COLUMNS:
        raise UserError(f"{path}: the first line must be {','.join(COLUMNS)}")
    codes: set[Code] = set()
    for number, fields in rows[1:]:
        if len(fields) != len(COLUMNS):
            raise UserError(f"{path}: line {number}: expected {len(COLUMNS)} values, found {len(fields)}")
        system, code = (field.strip() for field in fields)
        try:
            codes.add((system, formatting.normalized(code, system)))
        except UserError as error:
            raise UserError(f"{path}: line {number}: {error}") from None
    return codes or None
