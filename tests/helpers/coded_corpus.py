"""Corpora of codes without texts, sampled or hand-written, for tests that need codes alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from medcode.dataset import splits

DESCRIPTIONS = pd.DataFrame({"system": ["icd9cm"], "code": ["100.0"], "description": ["Leptospirosis"]}, dtype="str")


def options(**changes) -> SimpleNamespace:
    return SimpleNamespace(
        **{"source": "auto", "published": "none", "labels": "train", "top50": "auto", "min_occurrences": 2}
        | {"dev_share": 0.1, "test_share": 0.15, "seed": 10, "train_on": "train", "folds": 10, "fold": 0}
        | changes
    )


def corpus(admissions=2_000, patients=1_600, labels=400, mean=10, seed=0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sample a corpus with a long-tailed distribution of codes."""
    random = np.random.default_rng(seed)
    owners = np.concatenate([np.arange(patients), random.integers(0, patients, admissions - patients)])
    weights = 1 / np.arange(1, labels + 1)
    rows = np.repeat(np.arange(admissions), random.poisson(mean, admissions).clip(1))
    sampled = random.choice(labels, len(rows), p=weights / weights.sum())
    notes = pd.DataFrame({"admission_id": np.arange(admissions).astype(str), "patient_id": owners.astype(str)})
    codes = pd.DataFrame(
        {
            "admission_id": rows.astype(str),
            "system": "icd9cm",
            "code": [f"{100 + i // 10}.{i % 10}" for i in sampled],
        }
    )
    return notes.assign(split=pd.Series([None] * admissions, dtype="str")), codes.drop_duplicates(ignore_index=True)


def with_split(notes: pd.DataFrame, split: list[str | None]) -> pd.DataFrame:
    return notes.assign(split=pd.Series(split, dtype="str", index=notes.index))


def small(split: list[str | None], patients: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [str(i) for i in range(len(split))]
    notes = pd.DataFrame({"admission_id": ids, "patient_id": patients or ids}, dtype="str")
    codes = pd.DataFrame({"admission_id": ids, "system": "icd9cm", "code": "401.9"}, dtype="str")
    return with_split(notes, split), codes


def split_documents(notes: pd.DataFrame, codes: pd.DataFrame, **changes) -> pd.DataFrame:
    """Return the documents with their split, the input of label sets."""
    return splits.table(splits.split_admissions(notes, codes, options(**changes))).to_pandas()


def _described(documents: int) -> dict:
    """Return statistics of one split."""
    quartiles = {"mean": 12.5, "median": 12.0, "lower_quartile": 7.0, "upper_quartile": 1234.0}
    groups = ("1", "2-4", "5-9", "10-49", "50-99", "100-499", "500-999", "1000+")
    labels = {
        "documents": documents, "distinct": 20, "assigned": 90, "per_document": quartiles,
        "labels_by_documents": dict.fromkeys(groups, 3), "commonest": {"icd9cm 486": 31},
    }  # fmt: skip
    return {"documents": documents, "patients": 9, "words": {"all": 800, **quartiles}, "heads": {"icd": labels}}


# Contents of metrics/corpus.json.
DESCRIBED = {
    "corpus": "synthetic-mimic3",
    "label_set": "full",
    "splits": {"train": _described(40), "dev": _described(12), "test": _described(15), "all": _described(67)},
    "identical_notes": {"train-dev": 1, "train-test": 0, "dev-test": 0},
}
