"""Train, dev and test; and the labels of a label set.

A corpus's own split is used where it has one. Otherwise patients, never single admissions, are dealt out so that every
code is as frequent in each split as the wanted shares ask: multi-label iterative stratification (Sechidis, Tsoumakas
and Vlahavas 2011, "On the stratification of multi-label data", algorithm 1), with the admissions of a patient as one
example that counts as often as it has the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from medcode.codes import formatting
from medcode.errors import UserError

DOCUMENTS = pa.schema([("admission_id", pa.string()), ("patient_id", pa.string()), ("split", pa.string())])
LABELS = pa.schema(
    [("system", pa.string()), ("code", pa.string()), ("title", pa.string()), ("train_documents", pa.int64())]
)

SPLITS = ("train", "dev", "test")
BACKGROUND = "background"
TOP = 50
# A label with fewer documents cannot have the wanted shares, whatever is done.
FREQUENT = 20
_LISTED = 10


@dataclass(frozen=True)
class Split:
    """Which split each admission belongs to; all label sets use the same one.

    Attributes:
        of: train, dev, test or background, indexed by admission, for background notes and all admissions with a code.
        wanted: the share of the documents that each of train, dev and test should have; of a corpus's own split, the
            share that it has.
        source: corpus (its own split) or stratified.
    """

    of: pd.Series
    wanted: dict[str, float]
    source: str


@dataclass(frozen=True)
class LabelSet:
    """The documents and the labels of a label set.

    Attributes:
        documents: admission_id, patient_id, split (train, dev, test, background), in the order of the notes.
        labels: system, code, title ("" if unknown), train_documents; most frequent in training first.
        metrics: counts and balance; code names and numbers only.
    """

    documents: pa.Table
    labels: pa.Table
    metrics: dict[str, Any]


def assign(notes: pd.DataFrame, codes: pd.DataFrame, options: Any) -> Split:
    """Says which split each admission belongs to.

    Args:
        notes: admission_id, patient_id, split (may be null).
        codes: admission_id, system, code.
        options: `source`, `dev_share`, `test_share` and `seed` of params.yaml.

    Raises:
        UserError: some admissions have a split of the corpus and others do not; a patient is in two splits; there are
            too few patients; a split is empty.
    """
    notes = notes.set_index("admission_id")
    background = notes["split"] == BACKGROUND
    coded = notes[~background & notes.index.isin(codes["admission_id"])]
    given = coded["split"].notna()
    own = options.source == "auto" and bool(given.any())
    if own and not given.all():
        raise UserError(
            f"the corpus gives {int(given.sum())} admissions a split and {int((~given).sum())} none; give all or none "
            "of them one, or set split.source: stratified"
        )
    assigned = coded["split"] if own else _stratified(coded["patient_id"], codes, options)
    _check_patients(coded["patient_id"], assigned)
    _check_present(assigned, "no admission with a code")
    train_share = 1 - options.dev_share - options.test_share
    return Split(
        of=pd.concat([assigned, notes["split"][background]]).reindex(notes.index).dropna(),
        wanted={name: float((assigned == name).mean()) for name in SPLITS}
        if own
        else dict(zip(SPLITS, (train_share, options.dev_share, options.test_share), strict=True)),
        source="corpus" if own else "stratified",
    )


def _stratified(patients: pd.Series, codes: pd.DataFrame, options: Any) -> pd.Series:
    numbers, names = pd.factorize(patients)
    if len(names) < len(SPLITS):
        raise UserError(f"{len(names)} patients with codes cannot make train, dev and test; at least 3 are needed")
    codes = codes[codes["admission_id"].isin(patients.index)]
    # Sorted, so that the split does not depend on the order in which codes were written down.
    labels = pd.factorize(pd.MultiIndex.from_frame(codes[["system", "code"]]), sort=True)[0]
    rows = numbers[patients.index.get_indexer(codes["admission_id"])]
    # Duplicate entries add up: the number of the patient's admissions with the code.
    matrix = sparse.coo_array((np.ones(len(rows)), (rows, labels))).tocsr()
    shares = np.array([1 - options.dev_share - options.test_share, options.dev_share, options.test_share])
    folds = stratify(matrix, np.bincount(numbers), shares, options.seed)
    return pd.Series(np.array(SPLITS, dtype=object)[folds[numbers]], index=patients.index, dtype="str")


def stratify(counts: sparse.csr_array, sizes: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Deals examples out to folds by iterative stratification.

    Args:
        counts: [examples, labels], how often an example counts for a label; no stored zeros.
        sizes: [examples], how much an example counts for the size of a fold.
        shares: [folds], the wanted share of each fold; they sum to 1.
        seed: decides the order of examples and what is equal otherwise.

    Returns:
        int64 [examples], the fold of each.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(counts.shape[0])
    ties = generator.random((counts.shape[0], len(shares)))
    by_row, by_column = counts[order], counts[order].tocsc()
    wanted_size = shares * sizes.sum()
    wanted = np.outer(np.asarray(counts.sum(axis=0)), shares)  # [labels, folds], still to be placed
    remaining = np.diff(by_column.indptr).astype(float)  # examples not yet placed, per label
    remaining[remaining == 0] = np.inf
    folds = np.full(counts.shape[0], -1)
    sizes = sizes[order]

    def place(example: int, fold: int) -> None:
        folds[example] = fold
        own = slice(by_row.indptr[example], by_row.indptr[example + 1])
        labels = by_row.indices[own]
        wanted[labels, fold] -= by_row.data[own]
        wanted_size[fold] -= sizes[example]
        remaining[labels] -= 1

    while np.isfinite(remaining).any():
        label = int(remaining.argmin())  # the rarest label first: there is least room to mend it later
        for example in by_column.indices[by_column.indptr[label] : by_column.indptr[label + 1]]:
            if folds[example] < 0:
                # Most wanted for this label; equal ones by the room left in the fold; then by chance.
                place(example, int(np.lexsort((ties[example], wanted_size, wanted[label]))[-1]))
        remaining[remaining == 0] = np.inf
    for example in np.flatnonzero(folds < 0):
        place(example, int(np.lexsort((ties[example], wanted_size))[-1]))
    result = np.empty_like(folds)
    result[order] = folds
    return result


def label_set(
    name: str, split: Split, notes: pd.DataFrame, codes: pd.DataFrame, titles: pd.DataFrame, options: Any
) -> LabelSet:
    """Chooses the labels and the documents of a label set.

    Args:
        name: full (every admission with a code) or top50 (the codes most frequent in training, and the admissions
            with one of them; all codes where there are fewer than 50).
        split: what `assign` returned.
        notes, codes: as for `assign`.
        titles: system, code, title.
        options: `labels` of params.yaml (train: codes seen in training; all).

    Raises:
        UserError: a split has no document with one of the labels.
    """
    codes = codes.assign(split=codes["admission_id"].map(split.of))
    codes = codes[codes["split"].isin(SPLITS)]
    labels = _labels(name, codes, titles, options)
    known = codes.merge(labels[["system", "code"]], on=["system", "code"])
    _check_present(known["split"], f"no document with one of the {len(labels)} labels of {name}")
    of = split.of
    if name == "top50":
        of = of[(of == BACKGROUND) | of.index.isin(known["admission_id"])]
    documents = notes.loc[notes["admission_id"].isin(of.index), ["admission_id", "patient_id"]]
    documents = documents.assign(split=of.loc[documents["admission_id"]].to_numpy())
    return LabelSet(
        documents=pa.Table.from_pandas(documents, schema=DOCUMENTS, preserve_index=False).replace_schema_metadata(None),
        labels=pa.Table.from_pandas(labels, schema=LABELS, preserve_index=False).replace_schema_metadata(None),
        metrics={"label_set": name, "source": split.source, **_metrics(documents, labels, known, split.wanted)},
    )


def _labels(name: str, codes: pd.DataFrame, titles: pd.DataFrame, options: Any) -> pd.DataFrame:
    counts = codes.assign(train_documents=codes["split"] == "train")
    counts = counts.groupby(["system", "code"], as_index=False)["train_documents"].sum()
    if name == "top50" or options.labels == "train":
        counts = counts[counts["train_documents"] > 0]
    counts = counts.sort_values(["train_documents", "system", "code"], ascending=[False, True, True])
    counts = counts.head(TOP) if name == "top50" else counts
    labels = counts.merge(titles[["system", "code", "title"]], on=["system", "code"], how="left")
    labels["title"] = labels["title"].fillna("")
    return labels[["system", "code", "title", "train_documents"]].astype({"train_documents": "int64"})


def _metrics(
    documents: pd.DataFrame, labels: pd.DataFrame, known: pd.DataFrame, wanted: dict[str, float]
) -> dict[str, Any]:
    untitled = labels[labels["title"] == ""]
    # A damaged table could hold anything where a code should be: only what looks like a code is named.
    named = [f"{row.system} {row.code}" for row in untitled.itertuples() if formatting.is_valid(row.code, row.system)]
    patients = documents[documents["split"] != BACKGROUND].groupby("patient_id")["split"].nunique()
    return {
        "labels": len(labels),
        "labels_per_system": {system: int((labels["system"] == system).sum()) for system in sorted(set(labels.system))},
        "codes_without_title": len(untitled),
        "codes_without_title_first": named[:_LISTED],
        "patients_in_two_splits": int((patients > 1).sum()),
        "background_documents": int((documents["split"] == BACKGROUND).sum()),
        **_metrics_per_split(documents[documents["split"] != BACKGROUND], known, wanted),
    }


def _metrics_per_split(documents: pd.DataFrame, known: pd.DataFrame, wanted: dict[str, float]) -> dict[str, Any]:
    positives = known.groupby(["split", "system", "code"]).size().unstack("split", fill_value=0)
    total = positives.sum(axis=1)
    metrics = {}
    for split in SPLITS:
        here, assigned = documents[documents["split"] == split], known[known["split"] == split]
        difference = (positives[split] / total - wanted[split]).abs()
        frequent = difference[total >= FREQUENT]
        metrics[split] = {
            "documents": len(here),
            "share": len(here) / len(documents),
            "wanted_share": wanted[split],
            "patients": int(here["patient_id"].nunique()),
            "documents_without_label": len(here) - int(assigned["admission_id"].nunique()),
            "labels_per_document": len(assigned) / len(here),
            "labels_with_a_document": int((positives[split] > 0).sum()),
            "label_share_difference": float(difference.mean()),
            "label_share_difference_frequent": float(frequent.mean()) if len(frequent) else None,
        }
    return metrics


def _check_patients(patients: pd.Series, split: pd.Series) -> None:
    both = split.groupby(patients).nunique() > 1
    if both.any():
        raise UserError(
            f"{int(both.sum())} patients are in more than one split of the corpus, such as patient "
            f"{both.index[both][0]}; a patient belongs in one, or set split.source: stratified"
        )


def _check_present(split: pd.Series, what: str) -> None:
    missing = [name for name in SPLITS if not (split == name).any()]
    if missing:
        raise UserError(f"split {missing[0]}: {what}; change split.dev_share, split.test_share or the corpus's split")
