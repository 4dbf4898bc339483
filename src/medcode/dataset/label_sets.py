"""The labels of a label set, and its documents.

- full: every code, and every admission with one.
- open: the labels and documents of full; other codes are scored by their descriptions (`medcode.open_codes`).
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
from medcode.config.data import EDITIONS
from medcode.dataset.split_names import BACKGROUND, SPLITS
from medcode.dataset.splits import check_present
from medcode.errors import UserError

DOCUMENTS = pa.schema([("admission_id", pa.string()), ("patient_id", pa.string()), ("split", pa.string())])
LABELS = pa.schema(
    [
        ("head", pa.string()),
        ("system", pa.string()),
        ("code", pa.string()),
        ("description", pa.string()),
        ("train_documents", pa.int64()),
    ]
)

NAMES = ("top50", "top50_extra", "full", "icd9", "icd10", "joint", "open")
TOP = 50
# No split can give a label with fewer documents the shares asked for.
FREQUENT = 20
_LISTED = 10

# Heads by label set: the systems of a head are those whose names begin with it.
_HEADS = {"joint": ("icd9", "icd10")}

# The 50 codes of Mullenbach et al. 2018, which later work follows. They counted rows, duplicates included, over all of
# MIMIC-III, so the list cannot be computed from a split and is copied.
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
        labels: head, system, code, description ("" if unknown), train_documents; sorted by head, then by frequency in
            training, most frequent first.
        metrics: counts and balance; code names and numbers only.
    """

    documents: pa.Table
    labels: pa.Table
    metrics: dict[str, Any]


def choose(
    name: str, splits: pd.DataFrame, codes: pd.DataFrame, descriptions: pd.DataFrame, options: Any, corpus: str
) -> LabelSet:
    """Choose the labels and the documents of a label set.

    Args:
        name: one of NAMES.
        splits: admission_id, patient_id, split, top50, as `splits.split_admissions` returns them.
        codes: admission_id, system, code.
        descriptions: system, code, description.
        options: of params.yaml, under split: `labels` (train: the choice of labels sees training documents only; all),
            `top50` (auto, papers, train) and `min_occurrences`.
        corpus: its name. For MIMIC-III, top50: auto takes the papers' 50 codes.

    Raises:
        UserError: there is no label, or a split has no document with one; a patient is in two splits.
    """
    codes = codes.merge(splits.loc[splits["split"] != BACKGROUND, ["admission_id", "split"]], on="admission_id")
    labels, choice = _labels(name, codes, options, corpus)
    gold = codes.merge(labels[["system", "code"]], on=["system", "code"])
    check_present(gold["split"], f"no document with one of the {len(labels)} labels of {name}")
    documents = _documents(name, splits, gold)
    labels = labels.merge(descriptions[["system", "code", "description"]], on=["system", "code"], how="left")
    labels["description"] = labels["description"].fillna("")
    gold = gold[gold["admission_id"].isin(documents["admission_id"])]
    counts = gold[gold["split"] == "train"].groupby(["system", "code"]).size().rename("train_documents")
    labels = labels.drop(columns="train_documents").join(counts, on=["system", "code"])
    labels["train_documents"] = labels["train_documents"].fillna(0).astype("int64")
    labels = labels.sort_values(
        ["head", "train_documents", "system", "code"],
        ascending=[True, False, True, True],
        key=lambda column: column.map(_order(name)) if column.name == "head" else column,
    )
    return LabelSet(
        documents=_table(documents, DOCUMENTS),
        labels=_table(labels[LABELS.names], LABELS),
        metrics={"label_set": name, "label_choice": choice, **_metrics(documents, labels, gold)},
    )


def empty(name: str, reason: str) -> LabelSet:
    """Return an empty label set, with the reason why the corpus has no labels for it."""
    return LabelSet(
        DOCUMENTS.empty_table(), LABELS.empty_table(), {"label_set": name, "labels": 0, "empty_because": reason}
    )


def _order(name: str) -> dict[str, int]:
    return {head: number for number, head in enumerate(_HEADS.get(name, ("icd",)))}


def _table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)


def _labels(name: str, codes: pd.DataFrame, options: Any, corpus: str) -> tuple[pd.DataFrame, str]:
    """Choose head, system and code of the labels. Also return the source of the choice: papers, train or all."""
    editions = EDITIONS.get(name, ("icd",))
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
            in_papers = pd.MultiIndex.from_frame(counts[["system", "code"]]).isin(PAPERS_TOP50)
            return _not_empty(counts[in_papers], name, "none of the papers' 50 codes is in the corpus"), "papers"
        return counts[counts["train_documents"] > 0].head(TOP), "train"
    occurrences = counts["train_documents" if options.labels == "train" else "occurrences"]
    least = options.min_occurrences if name in EDITIONS else 1
    reason = f"no code has the {least} occurrences that split.min_occurrences asks for"
    return _not_empty(counts[occurrences >= least], name, reason), options.labels


def _not_empty(labels: pd.DataFrame, name: str, reason: str) -> pd.DataFrame:
    if labels.empty:
        raise UserError(f"label set {name}: {reason}")
    return labels


def _documents(name: str, splits: pd.DataFrame, gold: pd.DataFrame) -> pd.DataFrame:
    in_label_set = splits["admission_id"].isin(gold["admission_id"].unique())
    if name.startswith("top50") and splits["top50"].notna().any():
        in_label_set = splits["top50"].fillna(False).astype(bool)
    if name in ("full", "open"):
        in_label_set |= True
    if name == "top50_extra":
        in_label_set |= splits["split"] == "train"
    return splits.loc[in_label_set | (splits["split"] == BACKGROUND), DOCUMENTS.names]


def _metrics(documents: pd.DataFrame, labels: pd.DataFrame, gold: pd.DataFrame) -> dict[str, Any]:
    undescribed = labels[labels["description"] == ""]
    # The code column of a damaged table could hold any text, even of a note: only valid codes are written.
    codes = [
        f"{row.system} {row.code}" for row in undescribed.itertuples() if formatting.is_valid(row.code, row.system)
    ]
    labeled = documents[documents["split"] != BACKGROUND]
    return {
        "labels": len(labels),
        "labels_per_system": {system: int((labels["system"] == system).sum()) for system in sorted(set(labels.system))},
        "labels_never_in_train": int((labels["train_documents"] == 0).sum()),
        "codes_without_description": len(undescribed),
        "codes_without_description_first": codes[:_LISTED],
        "patients_in_two_splits": int((labeled.groupby("patient_id")["split"].nunique() > 1).sum()),
        "background_documents": len(documents) - len(labeled),
        **_metrics_per_split(labeled, gold),
    }


def _metrics_per_split(documents: pd.DataFrame, gold: pd.DataFrame) -> dict[str, Any]:
    positives = gold.groupby(["split", "system", "code"]).size().unstack("split", fill_value=0)
    positives = positives.reindex(columns=list(SPLITS), fill_value=0)
    total = positives.sum(axis=1)
    metrics = {}
    for split in SPLITS:
        of_split, gold_of_split = documents[documents["split"] == split], gold[gold["split"] == split]
        share = len(of_split) / len(documents)
        difference = (positives[split] / total - share).abs()
        frequent = difference[total >= FREQUENT]
        metrics[split] = {
            "documents": len(of_split),
            "share": share,
            "patients": int(of_split["patient_id"].nunique()),
            "documents_without_label": len(of_split) - int(gold_of_split["admission_id"].nunique()),
            "labels_per_document": len(gold_of_split) / len(of_split),
            "labels_with_a_document": int((positives[split] > 0).sum()),
            "label_share_difference": float(difference.mean()),
            "label_share_difference_frequent": float(frequent.mean()) if len(frequent) else None,
        }
    return metrics
