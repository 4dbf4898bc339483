"""The labels of each head of a model, and the admissions that were coded with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from medcode.codes.formatting import category
from medcode.dataset.arrays import Targets
from medcode.errors import UserError

# The group that a label belongs to: system, code, description.
Group = tuple[str, str, str]


@dataclass(frozen=True)
class LabelSpace:
    """The labels of one head.

    Attributes:
        records: system, code, description and train_documents of each label [Y], in the order of the columns.
        gold: admission_id and column of each code of an admission; column -1 for a code outside the label set.
        coded: the admissions that were coded in the head's systems at all.
    """

    records: list[dict[str, Any]]
    gold: pd.DataFrame
    coded: np.ndarray

    def targets(self, admissions: list[str]) -> Targets:
        """Return the gold labels of some admissions, in their order."""
        n = len(admissions)
        rows, columns = pd.Index(admissions).get_indexer(self.gold["admission_id"]), self.gold["column"].to_numpy()
        has_row, is_label = rows >= 0, columns >= 0
        cells = (rows[has_row & is_label], columns[has_row & is_label])
        ones = np.ones(len(cells[0]), np.uint8)
        matrix = sparse.coo_matrix((ones, cells), shape=(n, len(self.records))).tocsr()
        return Targets(matrix, np.isin(admissions, self.coded))

    def n_codes_outside_label_set(self, admissions: list[str]) -> np.ndarray:
        """Return the number of codes of each admission that have no label, int64 [n]."""
        without_label = self.gold["admission_id"][self.gold["column"] < 0]
        return without_label.value_counts().reindex(admissions, fill_value=0).to_numpy()


def label_spaces(labels: pa.Table, codes: pa.Table, ccs: pa.Table, documents: pa.Table) -> dict[str, LabelSpace]:
    """Make the heads of the label set, and the heads `category` and `ccs`, which group the labels of `icd`.

    Args:
        labels: head, system, code, description, train_documents; their order is the order of the columns of a head. The
            systems of a head are those whose names begin with its name: icd9 has icd9cm and icd9proc, icd has all.
        codes: admission_id, system, code.
        ccs: system, code, category, category_description of the labels that have a CCS category. If none has, there is
            no head `ccs`. A document counts as coded in CCS if it was coded in a system with a label that has a
            category.
        documents: admission_id, split.

    Raises:
        UserError: there are no labels.
    """
    check_not_empty(labels, codes)
    records: dict[str, list[dict[str, Any]]] = {}
    for label in labels.to_pylist():
        records.setdefault(label.pop("head"), []).append(label)
    spaces = {
        head: label_space(of_head, codes.filter(pc.starts_with(codes["system"], head)).to_pandas())
        for head, of_head in records.items()
    }
    if "icd" in spaces:
        train = documents.filter(pc.equal(documents["split"], "train"))["admission_id"].to_pylist()
        spaces |= _group_spaces(spaces["icd"], codes, ccs, train)
    return spaces


def check_not_empty(labels: pa.Table, codes: pa.Table) -> None:
    """Check that the label set chosen has labels.

    Args:
        labels: of the label set.
        codes: with the column system.

    Raises:
        UserError: there are none; the message says which systems the codes are of.
    """
    if not labels.num_rows:
        systems = sorted(codes["system"].unique().to_pylist())
        raise UserError(
            "label_set: the label set chosen is empty in this corpus (metrics/splits says why); choose another. The "
            f"codes of the corpus are of {', '.join(systems) or 'no system'}"
        )


def label_space(records: list[dict[str, Any]], codes: pd.DataFrame) -> LabelSpace:
    """Return the labels of a head, with the codes of its systems.

    Args:
        records: at least system and code of each label.
        codes: admission_id, system, code.
    """
    labels = pd.MultiIndex.from_tuples([(label["system"], label["code"]) for label in records])
    columns = labels.get_indexer(pd.MultiIndex.from_frame(codes[["system", "code"]]))
    gold = codes[["admission_id"]].assign(column=columns)
    return LabelSpace(records, gold, np.asarray(codes["admission_id"].unique()))


def _group_spaces(icd: LabelSpace, codes: pa.Table, ccs: pa.Table, train: list[str]) -> dict[str, LabelSpace]:
    """Return the heads `category` and `ccs`, each only if some label has a group."""
    spaces = {}
    groups_of_head: dict[str, Sequence[Group | None]] = {
        "category": first_characters(icd.records),
        "ccs": clinical_categories(icd.records, ccs),
    }
    for head, groups in groups_of_head.items():
        systems = [label["system"] for label, group in zip(icd.records, groups, strict=True) if group]
        if systems:
            coded = codes.filter(pc.is_in(codes["system"], pa.array(systems)))["admission_id"].unique()
            spaces[head] = LabelSpace(*group_labels(groups, icd.gold, train), np.asarray(coded))
    return spaces


def first_characters(labels: list[dict[str, Any]]) -> list[Group]:
    """Return the category of each label within its system, for models that predict categories first (JointLAAT)."""
    return [(label["system"], category(label["code"], label["system"]), "") for label in labels]


def clinical_categories(labels: list[dict[str, Any]], ccs: pa.Table) -> list[Group | None]:
    """Return the CCS category of each label, None if it has none, for models that predict both (MT-RAM)."""
    group_of = {
        (row["system"], row["code"]): ("ccs", row["category"], row["category_description"] or "")
        for row in ccs.to_pylist()
    }
    return [group_of.get((label["system"], label["code"])) for label in labels]


def group_labels(
    groups: Sequence[Group | None], gold: pd.DataFrame, train: list[str]
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Make a head whose labels are groups of another head's labels.

    An admission has the groups of its labels, so it has no gold code outside this head. A label without a group adds
    nothing.

    Args:
        groups: the group of each label.
        gold: admission_id and column of each code of an admission, -1 for a code that is no label.
        train: admissions of the training split.

    Returns:
        Records of the groups, in the order of their first labels; admission_id and column of each group.
    """
    column = {group: number for number, group in enumerate(dict.fromkeys(group for group in groups if group))}
    group_column = np.array([column[group] if group else -1 for group in groups], dtype=np.int64)
    labeled = gold[gold["column"] >= 0]
    grouped = labeled.assign(column=group_column[labeled["column"].to_numpy(np.int64)])
    grouped = grouped[grouped["column"] >= 0].drop_duplicates()
    counts = np.bincount(grouped.loc[grouped["admission_id"].isin(train), "column"], minlength=len(column))
    records = [
        {"system": system, "code": code, "description": description, "train_documents": int(counts[number])}
        for (system, code, description), number in column.items()
    ]
    return records, grouped
