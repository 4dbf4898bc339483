"""The split of each admission (train, dev or test), which is the same for all label sets.

The split comes from published lists if params.yaml names them, else from the corpus if it has a split. Otherwise it is
made by multi-label iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of
multi-label data", algorithm 1), so that every code has the share of each split that params.yaml asks for. The examples
are patients, never single admissions. A patient counts for a code once for each admission that has it.

Wherever the split comes from, train and dev together can be divided anew into equal parts, by the same stratification.
One part is then dev, and the others are train: for a last training on nearly all of both, or for cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from medcode.dataset.split_names import BACKGROUND, SPLITS
from medcode.errors import UserError

if TYPE_CHECKING:
    from medcode.dataset.published_splits import Lists

SCHEMA = pa.schema(
    [("admission_id", pa.string()), ("patient_id", pa.string()), ("split", pa.string()), ("top50", pa.bool_())]
)


@dataclass(frozen=True)
class Splits:
    """The split of each admission.

    Attributes:
        documents: admission_id, patient_id, split (train, dev, test or background) and top50 (whether a published list
            names it for the 50 codes; null without such a list), in the order of the notes. Admissions without a code
            are left out, but those that the corpus itself has in dev or test: official measures count what is predicted
            for them.
        metrics: source and sizes of the split, and the admissions of a published list that the corpus lacks.
    """

    documents: pd.DataFrame
    metrics: dict[str, Any]


def split_admissions(notes: pd.DataFrame, codes: pd.DataFrame, options: Any, published: Lists | None = None) -> Splits:
    """Choose the split of each admission.

    Args:
        notes: admission_id, patient_id, split (may be null).
        codes: admission_id, system, code.
        options: `source`, `dev_share`, `test_share`, `train_on`, `folds`, `fold` and `seed` of params.yaml.
        published: lists of admissions to follow.

    Raises:
        UserError: some admissions have a split of the corpus and others do not; a patient is in two splits; there are
            too few patients; a split is empty; no admission of the published lists is in the corpus.
    """
    notes = notes.set_index("admission_id")
    background = notes["split"] == BACKGROUND
    coded = notes[~background & notes.index.isin(codes["admission_id"].unique())]
    split_of, metrics = _of_source(coded, notes.index, codes, options, published)
    check_present(split_of, "no admission with a code")
    if metrics["source"] == "corpus":
        is_kept = notes["split"].isin(SPLITS if options.train_on == "train_dev" else SPLITS[1:])
        split_of = pd.concat([split_of, notes["split"][is_kept & ~notes.index.isin(coded.index)]])
    patients = notes["patient_id"].loc[split_of.index]
    crossing = _crossing(patients, split_of)
    if len(crossing) and not (published and published.crossing):
        raise UserError(
            f"{len(crossing)} patients are in more than one split of the corpus, such as patient {crossing[0]}; a "
            "patient belongs in one, or set split.source: stratified and split.published: none"
        )
    if options.train_on == "train_dev":
        split_of = _divide_anew(split_of, patients, codes, options)
        crossing, folds = _crossing(patients, split_of), options.folds
        is_coded, divided = split_of.index.isin(coded.index), float((split_of != "test").mean())
        check_present(split_of[is_coded], "no admission with a code")
        split_of = split_of[is_coded | (split_of != "train")]
        wanted = (divided - divided / folds, divided / folds, 1 - divided)
        metrics |= {"train_on": options.train_on, "folds": folds, "fold": options.fold}
        metrics["wanted_share"] = dict(zip(SPLITS, wanted, strict=True))
    split = pd.concat([split_of, notes["split"][background]]).reindex(notes.index).dropna()
    documents = notes.loc[split.index, ["patient_id"]].assign(split=split, top50=None).reset_index()
    if published is not None and published.top50:
        documents["top50"] = documents["admission_id"].isin(published.top50)
    source = {"source": metrics.pop("source"), "patients_in_two_splits": len(crossing)}
    return Splits(documents[SCHEMA.names], source | metrics | _sizes(documents))


def table(splits: Splits) -> pa.Table:
    """Return the documents as an Arrow table with the columns of SCHEMA."""
    documents = pa.Table.from_pandas(splits.documents, schema=SCHEMA, preserve_index=False)
    return documents.replace_schema_metadata(None)


def _of_source(
    coded: pd.DataFrame, admissions: pd.Index, codes: pd.DataFrame, options: Any, published: Lists | None
) -> tuple[pd.Series, dict[str, Any]]:
    """Return the split of each coded admission by published lists, the corpus or stratification, and metrics."""
    has_split = coded["split"].notna()
    if published is not None:
        split_of = coded.index.to_series().map(published.split_of()).dropna()
        coverage = _coverage(published, admissions, coded.index)
        if not len(split_of):
            raise UserError(
                f"split.published: none of the {coverage['listed']['all']:,} admissions of {published.name} has a "
                "code in this corpus; the lists belong to another one"
            )
        return split_of, {"source": published.name, "published": coverage}
    if options.source == "auto" and has_split.any():
        if not has_split.all():
            raise UserError(
                f"the corpus gives {int(has_split.sum())} admissions a split and {int((~has_split).sum())} none; give "
                "all or none of them one, or set split.source: stratified"
            )
        return coded["split"], {"source": "corpus"}
    shares = (1 - options.dev_share - options.test_share, options.dev_share, options.test_share)
    split_of = _stratified(coded["patient_id"], codes, shares, options.seed)
    return split_of, {"source": "stratified", "wanted_share": dict(zip(SPLITS, shares, strict=True))}


def _coverage(published: Lists, admissions: pd.Index, coded: pd.Index) -> dict[str, Any]:
    """Count the admissions of published lists, and those that the corpus lacks."""
    missing = {split: int((~pd.Index(ids).isin(admissions)).sum()) for split, ids in published.ids.items()}
    listed = {split: len(ids) for split, ids in published.ids.items()}
    names = pd.Index(list(published.split_of()))
    return {
        "name": published.name,
        "listed": {**listed, "all": len(names)},
        "not_in_corpus": {**missing, "all": sum(missing.values())},
        "without_code": int((names.isin(admissions) & ~names.isin(coded)).sum()),
        "coded_admissions_not_listed": int((~coded.isin(names)).sum()),
        "top50_listed": len(published.top50) if published.top50 else None,
        "top50_not_in_corpus": int((~pd.Index(published.top50).isin(admissions)).sum()) if published.top50 else None,
    }


def _sizes(documents: pd.DataFrame) -> dict[str, Any]:
    labeled = documents[documents["split"] != BACKGROUND]
    sizes = {}
    for split in SPLITS:
        of_split = labeled[labeled["split"] == split]
        sizes[split] = {
            "documents": len(of_split),
            "share": len(of_split) / len(labeled),
            "patients": int(of_split["patient_id"].nunique()),
        }
    return {**sizes, "background_documents": len(documents) - len(labeled)}


def _stratified(patients: pd.Series, codes: pd.DataFrame, shares: tuple[float, ...], seed: int) -> pd.Series:
    """Return the split of each admission, given the patient of each."""
    if (n_patients := patients.nunique()) < len(SPLITS):
        raise UserError(f"{n_patients} patients with codes cannot make train, dev and test; at least 3 are needed")
    names = np.array(SPLITS, dtype=object)[_stratified_parts(patients, codes, np.array(shares), seed)]
    return pd.Series(names, index=patients.index, dtype="str")


def _divide_anew(split_of: pd.Series, patients: pd.Series, codes: pd.DataFrame, options: Any) -> pd.Series:
    """Divide train and dev together into equal parts, and return the splits with one part as dev; test stays."""
    divided = split_of.index[split_of.isin(["train", "dev"])]
    if (n_patients := patients[divided].nunique()) < options.folds:
        raise UserError(
            f"split.folds: {n_patients} patients of train and dev cannot make {options.folds} parts; set it to at most "
            f"{n_patients}"
        )
    parts = _stratified_parts(patients[divided], codes, np.full(options.folds, 1 / options.folds), options.seed)
    is_dev = pd.Series(parts == options.fold, index=divided).reindex(split_of.index, fill_value=False)
    is_train = split_of.index.isin(divided) & ~is_dev
    return split_of.mask(is_dev, "dev").mask(is_train, "train")


def _stratified_parts(patients: pd.Series, codes: pd.DataFrame, shares: np.ndarray, seed: int) -> np.ndarray:
    """Return the number of the part of each admission, given the patient of each and the share of each part."""
    numbers = pd.factorize(patients)[0]
    positions = patients.index.get_indexer(codes["admission_id"])
    codes, rows = codes[positions >= 0], numbers[positions[positions >= 0]]
    # Sorted, so that the split does not depend on the order of the rows of codes.
    labels = pd.factorize(pd.MultiIndex.from_frame(codes[["system", "code"]]), sort=True)[0]
    # Duplicate entries are summed: the number of the patient's admissions with the code.
    shape = numbers.max() + 1, labels.max(initial=-1) + 1  # also a patient without a code has a row
    matrix = sparse.coo_array((np.ones(len(rows)), (rows, labels)), shape).tocsr()
    return stratify(matrix, np.bincount(numbers), shares, seed)[numbers]


def stratify(counts: sparse.csr_array, sizes: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Assign examples to folds by iterative stratification.

    Args:
        counts: [examples, labels], how often an example counts for a label; no stored zeros.
        sizes: [examples], how much an example counts for the size of a fold.
        shares: [folds], the desired share of each fold; they sum to 1.
        seed: decides the order of examples, and between folds that are otherwise equal.

    Returns:
        int64 [examples], the fold of each example.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(counts.shape[0])
    ties = generator.random((counts.shape[0], len(shares)))
    by_row, by_column = counts[order], counts[order].tocsc()
    size_deficit = shares * sizes.sum()
    deficit = np.outer(np.asarray(counts.sum(axis=0)), shares)  # [labels, folds], still to be placed
    remaining = np.diff(by_column.indptr).astype(float)  # examples not yet placed, per label
    remaining[remaining == 0] = np.inf
    folds = np.full(counts.shape[0], -1)
    sizes = sizes[order]

    def place(example: int | np.integer, fold: int) -> None:
        folds[example] = fold
        row = slice(by_row.indptr[example], by_row.indptr[example + 1])
        labels = by_row.indices[row]
        deficit[labels, fold] -= by_row.data[row]
        size_deficit[fold] -= sizes[example]
        remaining[labels] -= 1

    while np.isfinite(remaining).any():
        label = int(remaining.argmin())  # the rarest label first: a bad split of it is the hardest to correct later
        for example in by_column.indices[by_column.indptr[label] : by_column.indptr[label + 1]]:
            if folds[example] < 0:
                # The fold that lacks most of this label; else the one that lacks most examples; else at random.
                place(example, int(np.lexsort((ties[example], size_deficit, deficit[label]))[-1]))
        remaining[remaining == 0] = np.inf
    for example in np.flatnonzero(folds < 0):
        place(example, int(np.lexsort((ties[example], size_deficit))[-1]))
    result = np.empty_like(folds)
    result[order] = folds
    return result


def _crossing(patients: pd.Series, split: pd.Series) -> pd.Index:
    """Return the patients who are in more than one split."""
    in_several = split.groupby(patients).nunique() > 1
    return in_several.index[in_several]


def check_present(split: pd.Series, problem: str) -> None:
    """Check that each of train, dev and test has a document.

    Raises:
        UserError: a split has none; `problem` says which documents it lacks.
    """
    empty_splits = [name for name in SPLITS if not (split == name).any()]
    if empty_splits:
        raise UserError(
            f"split {empty_splits[0]}: {problem}; change split.dev_share, split.test_share or the corpus's split"
        )
