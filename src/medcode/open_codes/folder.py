"""models/open: a scorer as a folder.

It holds words of training notes where there are mentions: it is as restricted as the notes, and never enters git.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from medcode import io
from medcode.errors import UserError
from medcode.open_codes.codes import CodeList
from medcode.open_codes.matching import TermIndex
from medcode.open_codes.retrieval import Retriever
from medcode.open_codes.scorer import Calibrations, OpenScorer
from medcode.open_codes.terms import Mentions

FORMAT = 1
AGAIN = "make it again (dvc repro)"
_CODES = pa.schema([(name, pa.string()) for name in ("system", "code", "description")])


def write(folder: Path, scorer: OpenScorer, provenance: dict[str, Any]) -> None:
    """Write a scorer, all or nothing; `read` reads it."""
    codes, mentions = scorer.retriever.codes, scorer.retriever.mentions
    rows = [(*code, text) for code, text in zip(codes.codes, codes.descriptions, strict=True)]
    with io.atomic_folder(folder) as target:
        io.write_table(target / "codes.parquet", io.table_of(rows, _CODES))
        io.write_array(target / "length_odds.npy", codes.length_odds)
        scorer.retriever.terms.write(target, "terms")
        scorer.retriever.beginnings.write(target, "beginnings")
        if mentions is not None:
            mentions.index.write(target, "mentions")
            io.write_array(target / "mentions_reliability.npy", mentions.reliability)
        io.write_json(target / "open.json", {
            "format": FORMAT,
            "labels": codes.n_labels,
            "mentions": mentions is not None,
            "rescores": scorer.rescores,
            "includes_unseen": scorer.includes_unseen,
            "calibrations": scorer.calibrations.as_json(),
            "folds": [fold.as_json() for fold in scorer.folds],
            "fitted_on": scorer.fitted_on,
            "threshold": scorer.threshold,
            "models": list(scorer.models),
            "provenance": provenance,
        })  # fmt: skip


def read(folder: Path, models: list[str]) -> OpenScorer:
    """Read a scorer.

    Args:
        folder: of `write`.
        models: digests of the weights of the models whose probabilities it is to change.

    Raises:
        UserError: a file is missing or damaged, or the scorer was made for other models.
    """
    if not (folder / "open.json").exists():
        raise UserError(f"{folder}: holds no scorer of unseen codes (no open.json); {AGAIN}")
    values = io.read_json(folder / "open.json")
    try:
        if values["format"] != FORMAT:
            raise UserError(
                f"{folder / 'open.json'}: written in format {values['format']}, this version reads {FORMAT}; {AGAIN}"
            )
        if values["models"] != models:
            raise UserError(f"{folder}: made for another model than this one; {AGAIN}")
        return _build(folder, values)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / 'open.json'}: damaged ({error}); {AGAIN}") from error


def _build(folder: Path, values: dict[str, Any]) -> OpenScorer:
    table = io.read_table(folder / "codes.parquet").to_pydict()
    keys = list(zip(table["system"], table["code"], strict=True))
    odds: np.ndarray = io.read_array(folder / "length_odds.npy")
    codes = CodeList(keys, table["description"], values["labels"], odds)
    mentions = None
    if values["mentions"]:
        index = TermIndex.read(folder, "mentions", codes.n_labels)
        mentions = Mentions(index, io.read_array(folder / "mentions_reliability.npy"))
    return OpenScorer(
        Retriever(
            codes,
            TermIndex.read(folder, "terms", len(keys)),
            TermIndex.read(folder, "beginnings", len(keys)),
            mentions,
        ),
        values["rescores"],
        values["includes_unseen"],
        Calibrations.from_json(values["calibrations"]),
        tuple(map(Calibrations.from_json, values["folds"])),
        values["fitted_on"],
        values["threshold"],
        tuple(values["models"]),
    )
