"""Statistics of a corpus, for each split of a label set, as publications report them in their first table.

Also counts notes with the same words in two splits: copied notes inflate the results on test.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medcode.dataset.split_names import SPLITS

if TYPE_CHECKING:
    from medcode.text.tokenized_notes import TokenizedNotes

# Upper ends of the groups of codes by number of documents; the last group is open.
FREQUENCIES = (0, 1, 4, 9, 49, 99, 499, 999)
COMMONEST = 10


def summarize(
    notes: TokenizedNotes, documents: pd.DataFrame, labels: pd.DataFrame, codes: pd.DataFrame
) -> dict[str, Any]:
    """Compute the statistics of the documents and labels of a label set.

    Args:
        notes: the words of all documents.
        documents: admission_id, patient_id, split.
        labels: head, system, code, train_documents.
        codes: admission_id, system, code.

    Returns:
        splits: for each of train, dev, test and all: documents, patients, words and, per head, labels;
        identical_notes: for pairs of splits, how many documents of the second have the words of one of the first.
        Only counts and codes are given, and only codes with at least ten documents.
    """
    documents = documents[documents["split"].isin(SPLITS)]
    position = pd.Series(np.arange(len(notes)), index=notes.admissions)
    documents = documents.assign(
        position=position.loc[documents["admission_id"]].to_numpy(), words=0, text=pd.Series(dtype=object)
    )
    documents["words"] = np.diff(notes.offsets)[documents["position"]]
    documents["text"] = [hashlib.sha256(notes.document(number).data).digest() for number in documents["position"]]
    gold = codes.merge(labels[["head", "system", "code"]], on=["system", "code"])
    gold = gold.merge(documents[["admission_id", "split"]], on="admission_id")
    by_split = {name: documents[documents["split"] == name] for name in SPLITS} | {"all": documents}
    heads = list(dict.fromkeys(labels["head"]))
    return {
        "splits": {name: _split(of_split, gold, heads) for name, of_split in by_split.items()},
        "identical_notes": _identical(documents),
    }


def _split(documents: pd.DataFrame, gold: pd.DataFrame, heads: list[str]) -> dict[str, Any]:
    gold = gold[gold["admission_id"].isin(documents["admission_id"])]
    return {
        "documents": len(documents),
        "patients": int(documents["patient_id"].nunique()),
        "words": {"all": int(documents["words"].sum()), **_quartiles(documents["words"])},
        "heads": {head: _labels(gold[gold["head"] == head]) for head in heads},
    }


def _labels(gold: pd.DataFrame) -> dict[str, Any]:
    """Return labels per document, over documents with a label, and number of labels by number of documents."""
    per_document = gold.groupby("admission_id").size()
    per_label = gold.groupby(["system", "code"]).size().sort_index().sort_values(ascending=False, kind="stable")
    groups = pd.cut(per_label, [*FREQUENCIES, np.inf], labels=_names())
    return {
        "documents": len(per_document),
        "distinct": len(per_label),
        "assigned": int(per_label.sum()),
        "per_document": _quartiles(per_document),
        "labels_by_documents": {name: int((groups == name).sum()) for name in _names()},
        "commonest": {f"{system} {code}": int(n) for (system, code), n in per_label.head(COMMONEST).items() if n > 9},
    }


def _names() -> list[str]:
    pairs = itertools.pairwise(FREQUENCIES)
    return [f"{low + 1}-{high}" if high > low + 1 else f"{high}" for low, high in pairs] + [f"{FREQUENCIES[-1] + 1}+"]


def _quartiles(values: pd.Series) -> dict[str, float]:
    if not len(values):
        return {"mean": 0.0, "median": 0.0, "lower_quartile": 0.0, "upper_quartile": 0.0}
    lower, median, upper = np.percentile(values, [25, 50, 75])
    return {
        "mean": float(values.mean()),
        "median": float(median),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
    }


def _identical(documents: pd.DataFrame) -> dict[str, int]:
    """Count documents of a later split with the words of a document of an earlier one; empty documents do not count."""
    texts = {name: documents.loc[(documents["split"] == name) & (documents["words"] > 0), "text"] for name in SPLITS}
    return {
        f"{first}-{second}": int(texts[second].isin(set(texts[first])).sum())
        for first, second in itertools.combinations(SPLITS, 2)
    }


def table(summary: dict[str, Any]) -> list[list[str]]:
    """Format a summary as a table: a row for each number, a column for each split; the header is the first row."""
    splits = summary["splits"]
    rows = [["", *splits]]

    def add(name: str, cell: Any) -> None:
        rows.append([name, *(cell(split) for split in splits.values())])

    add("Documents", lambda split: f"{split['documents']:,}")
    add("Share of documents", lambda split: f"{split['documents'] / max(splits['all']['documents'], 1):.1%}")
    add("Patients", lambda split: f"{split['patients']:,}")
    add("Words per document, mean", lambda split: f"{split['words']['mean']:,.0f}")
    add("Words per document, median (quartiles)", lambda split: _median_and_quartiles(split["words"]))
    heads = splits["all"]["heads"]
    for head in heads:
        suffix = f", {head}" if len(heads) > 1 else ""
        for name, cell in _LABEL_ROWS.items():
            add(f"{name}{suffix}", lambda split, cell=cell, head=head: cell(split["heads"][head]))
        for group in _names():
            add(
                f"Labels with {group} document{'' if group == '1' else 's'}{suffix}",
                lambda split, group=group, head=head: f"{split['heads'][head]['labels_by_documents'][group]:,}",
            )
    return rows


_LABEL_ROWS = {
    "Documents with a label": lambda labels: f"{labels['documents']:,}",
    "Distinct labels": lambda labels: f"{labels['distinct']:,}",
    "Labels per document, mean": lambda labels: f"{labels['per_document']['mean']:,.1f}",
    "Labels per document, median (quartiles)": lambda labels: _median_and_quartiles(labels["per_document"]),
}


def _median_and_quartiles(values: dict[str, float]) -> str:
    return f"{values['median']:,.0f} ({values['lower_quartile']:,.0f} to {values['upper_quartile']:,.0f})"


def commonest_lines(summary: dict[str, Any]) -> list[str]:
    """Return one line per head with its most frequent labels and the share of all documents that have them."""
    corpus = summary["splits"]["all"]
    return [
        f"Most frequent labels{f', {head}' if len(corpus['heads']) > 1 else ''}: "
        + ", ".join(f"{code} {n / corpus['documents']:.1%}" for code, n in labels["commonest"].items())
        for head, labels in corpus["heads"].items()
    ]


def identical_line(summary: dict[str, Any]) -> str:
    """Return one line with the numbers of identical notes in two splits."""
    counts = ", ".join(f"{pair.replace('-', ' and ')} {n:,}" for pair, n in summary["identical_notes"].items())
    return f"Notes that say the same, word by word, in two splits: {counts}."
