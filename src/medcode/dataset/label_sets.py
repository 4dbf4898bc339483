"""The labels of a label set, and its documents.

- full: every code, and every admission with one.
- top50: 50 codes, and the admissions with one of them (or those that a published list names).
- top50_extra: the same 50 codes and the same dev and test, but all of full's training documents, those without any of
  the codes included; the setting of Fusion+ (Luo et al. 2021).
- icd9, icd10: the codes of one edition, diagnoses and procedures, that are frequent enough (Edin et al. 2023), and the
  admissions with one of them. On MIMIC-III, icd9 with the lists edin-clean is their MIMIC-III clean.
- joint: icd9 and icd10 side by side, a head of the model for each (JAMS, Jeong et al.).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from medcode.codes import formatting
from medcode.dataset.split_names import BACKGROUND, SPLITS
from medcode.dataset.splits import check_present
from medcode.errors import UserError

DOCUMENTS = pa.schema([("admission_id", pa.string()), ("patient_id", pa.string()), ("split", pa.string())])
LABELS = pa.schema(
    [
        ("head", pa.string()),
        ("system", pa.string()),
        ("code", pa.string()),
        ("title", pa.string()),
        ("train_documents", pa.int64()),
    ]
)

NAMES = ("top50", "top50_extra", "full", "icd9", "icd10", "joint")
TOP = 50
# A label with fewer documents cannot have the wanted shares, whatever is done.
FREQUENT = 20
_LISTED = 10

# Heads by label set: the systems of a head are those whose names begin with it.
_HEADS = {"joint": ("icd9", "icd10")}
_EDITIONS = {"icd9": ("icd9",), "icd10": ("icd10",), "joint": ("icd9", "icd10")}

# The 50 codes of Mullenbach et al. 2018 and all who follow them. They counted rows, duplicates included, over the whole
# of MIMIC-III, so the list must be taken as it is.
_PAPERS_DIAGNOSES = (
    "401.9 428.0 427.31 414.01 584.9 250.00 272.4 518.81 599.0 530.81 272.0 285.9 244.9 486 285.1 276.2 496 995.92 "
    "V58.61 507.0 038.9 585.9 403.90 311 305.1 412 287.5 410.71 276.1 V45.81 424.0 V15.82 511.9"
)
_PAPERS_PROCEDURES = (
    "38.93 96.04 96.6 96.71 99.04 39.61 96.72 88.56 38.91 36.15 99.15 88.72 37.22 33.24 39.95 45.13 37.23"
)
PAPERS_TOP50 = frozenset(
    [("icd9cm", code) for code in _PAPERS_DIAGNOSES.split()]
    + [("icd9proc", code) for code in _PAPERS_PROCEDURES.split()]
)


@dataclass(frozen=True)
class LabelSet:
    """The documents and the labels of a label set.

    Attributes:
        documents: admission_id, patient_id, split (train, dev, test, background), in the order of the notes.
        labels: head, system, code, title ("" if unknown), train_documents; the labels of a head together, most
            frequent in training first.
        metrics: counts and balance; code names and numbers only.
    """

    documents: pa.Table
    labels: pa.Table
    metrics: dict[str, Any]


def choose(
    name: str, assigned: pd.DataFrame, codes: pd.DataFrame, titles: pd.DataFrame, options: Any, corpus: str
) -> LabelSet:
    """Chooses the labels and the documents of a label set.

    Args:
        name: one of NAMES.
        assigned: admission_id, patient_id, split, top50, as `splits.assign` gives them.
        codes: admission_id, system, code.
        titles: system, code, title.
        options: of params.yaml, under split: `labels` (train: the choice of labels sees training documents only; all),
            `top50` (auto, papers, train) and `min_occurrences`.
        corpus: its name; for MIMIC-III the papers' 50 codes are the automatic choice.

    Raises:
        UserError: there is no label, or a split has no document with one; a patient is in two splits.
    """
    codes = codes.merge(assigned.loc[assigned["split"] != BACKGROUND, ["admission_id", "split"]], on="admission_id")
    labels, choice = _labels(name, codes, options, corpus)
    known = codes.merge(labels[["system", "code"]], on=["system", "code"])
    check_present(known["split"], f"no document with one of the {len(labels)} labels of {name}")
    documents = _documents(name, assigned, known)
    labels = labels.merge(titles[["system", "code", "title"]], on=["system", "code"], how="left")
    labels["title"] = labels["title"].fillna("")
    known = known[known["admission_id"].isin(documents["admission_id"])]
    counted = known[known["split"] == "train"].groupby(["system", "code"]).size().rename("train_documents")
    labels = labels.drop(columns="train_documents").join(counted, on=["system", "code"])
    labels["train_documents"] = labels["train_documents"].fillna(0).astype("int64")
    labels = labels.sort_values(
        ["head", "train_documents", "system", "code"],
        ascending=[True, False, True, True],
        key=lambda column: column.map(_order(name)) if column.name == "head" else column,
    )
    return LabelSet(
        documents=_table(documents, DOCUMENTS),
        labels=_table(labels[LABELS.names], LABELS),
        metrics={"label_set": name, "label_choice": choice, **_metrics(documents, labels, known)},
    )


def empty(name: str, reason: str) -> LabelSet:
    """A label set that a corpus cannot have, with the reason."""
    return LabelSet(
        DOCUMENTS.empty_table(), LABELS.empty_table(), {"label_set": name, "labels": 0, "empty_because": reason}
    )


def _order(name: str) -> dict[str, int]:
    return {head: number for number, head in enumerate(_HEADS.get(name, ("icd",)))}


def _table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)


def _labels(name: str, codes: pd.DataFrame, options: Any, corpus: str) -> tuple[pd.DataFrame, str]:
    """Chooses head, system and code of the labels; says which documents the choice saw."""
    editions = _EDITIONS.get(name, ("icd",))
    codes = codes[codes["system"].str.startswith(editions)]
    for edition in editions:
        if not codes["system"].str.startswith(edition).any():
            raise UserError(f"label set {name}: the corpus has no code of {edition}")
    counts = codes.assign(train_documents=codes["split"] == "train", occurrences=1)
    counts = counts.groupby(["system", "code"], as_index=False)[["train_documents", "occurrences"]].sum()
    counts["head"] = counts["system"].str.extract("^(icd9|icd10)", expand=False) if name in _HEADS else "icd"
    counts = counts.sort_values(["train_documents", "system", "code"], ascending=[False, True, True])
    if name.startswith("top50"):
        if options.top50 == "papers" or (options.top50 == "auto" and corpus == "mimic3"):
            listed = pd.MultiIndex.from_frame(counts[["system", "code"]]).isin(PAPERS_TOP50)
            return _some(counts[listed], name, "none of the papers' 50 codes is in the corpus"), "papers"
        return counts[counts["train_documents"] > 0].head(TOP), "train"
    seen = counts["train_documents" if options.labels == "train" else "occurrences"]
    least = options.min_occurrences if name in _EDITIONS else 1
    reason = f"no code has the {least} occurrences that split.min_occurrences asks for"
    return _some(counts[seen >= least], name, reason), options.labels


def _some(labels: pd.DataFrame, name: str, reason: str) -> pd.DataFrame:
    if labels.empty:
        raise UserError(f"label set {name}: {reason}")
    return labels


def _documents(name: str, assigned: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    kept = assigned["admission_id"].isin(known["admission_id"].unique())
    if name.startswith("top50") and assigned["top50"].notna().any():
        kept = assigned["top50"].fillna(False).astype(bool)
    if name == "full":
        kept |= True
    if name == "top50_extra":
        kept |= assigned["split"] == "train"
    return assigned.loc[kept | (assigned["split"] == BACKGROUND), DOCUMENTS.names]


def _metrics(documents: pd.DataFrame, labels: pd.DataFrame, known: pd.DataFrame) -> dict[str, Any]:
    untitled = labels[labels["title"] == ""]
    # A damaged table could hold anything where a code should be: only what looks like a code is named.
    named = [f"{row.system} {row.code}" for row in untitled.itertuples() if formatting.is_valid(row.code, row.system)]
    labelled = documents[documents["split"] != BACKGROUND]
    return {
        "labels": len(labels),
        "labels_per_system": {system: int((labels["system"] == system).sum()) for system in sorted(set(labels.system))},
        "labels_never_in_train": int((labels["train_documents"] == 0).sum()),
        "codes_without_title": len(untitled),
        "codes_without_title_first": named[:_LISTED],
        "patients_in_two_splits": int((labelled.groupby("patient_id")["split"].nunique() > 1).sum()),
        "background_documents": len(documents) - len(labelled),
        **_metrics_per_split(labelled, known),
    }


def _metrics_per_split(documents: pd.DataFrame, known: pd.DataFrame) -> dict[str, Any]:
    positives = known.groupby(["split", "system", "code"]).size().unstack("split", fill_value=0)
    positives = positives.reindex(columns=list(SPLITS), fill_value=0)
    total = positives.sum(axis=1)
    metrics = {}
    for split in SPLITS:
        here, assigned = documents[documents["split"] == split], known[known["split"] == split]
        share = len(here) / len(documents)
        difference = (positives[split] / total - share).abs()
        frequent = difference[total >= FREQUENT]
        metrics[split] = {
            "documents": len(here),
            "share": share,
            "patients": int(here["patient_id"].nunique()),
            "documents_without_label": len(here) - int(assigned["admission_id"].nunique()),
            "labels_per_document": len(assigned) / len(here),
            "labels_with_a_document": int((positives[split] > 0).sum()),
            "label_share_difference": float(difference.mean()),
            "label_share_difference_frequent": float(frequent.mean()) if len(frequent) else None,
        }
    return metrics
