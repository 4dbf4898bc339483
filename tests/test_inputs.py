"""The arrays that models read say what the tables said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plain_encoder
import pyarrow as pa
import pytest

from medcode import input_layout, inputs
from medcode.encoders.pieces import PieceTokenizer, cut_into_pieces
from medcode.errors import UserError
from medcode.text.tokens import tokenized

NOTES = {
    "10": "fever and chills",
    "11": "chills",
    "12": "",
    "13": "cough fever fever",
    "14": "unlabelled cough",
    "15": "rigors",
}
VOCABULARY = ["chills", "cough", "fever"]


@pytest.fixture
def folder(tmp_path):
    documents = {"10": "train", "13": "train", "12": "dev", "11": "test", "15": "test", "14": "background"}
    codes = [
        ("10", "icd9cm", "486"),
        ("10", "icd9proc", "48.6"),
        ("13", "icd9cm", "038.9"),
        ("12", "icd9cm", "486"),
        ("11", "icd9cm", "999.9"),
        ("11", "icd9cm", "038.9"),
        ("15", "icd10cm", "486"),  # another system: not the label 486
    ]
    labels = [("icd9cm", "486"), ("icd9cm", "038.9"), ("icd9proc", "48.6")]
    input_layout.write(
        tmp_path / "inputs",
        tokenized(NOTES.items()),
        VOCABULARY,
        np.arange(10, dtype=np.float32).reshape(5, 2),
        documents=pa.table({"admission_id": list(documents), "split": list(documents.values())}),
        labels=pa.Table.from_pylist(
            [{"head": "icd", "system": s, "code": c, "title": f"title {c}", "train_documents": 1} for s, c in labels]
        ),
        codes=pa.Table.from_pylist([{"admission_id": a, "system": s, "code": c} for a, s, c in codes]),
        rule="caml",
    )
    return tmp_path / "inputs"


def test_words_become_rows_of_the_embedding(folder):
    data = inputs.load(folder, inputs.SPLITS)
    words = ["<pad>", *data.vocabulary, "<unk>"]
    texts = {
        name: " ".join(words[row] for row in data.tokens[start:end])
        for split in data.splits.values()
        for name, (start, end) in zip(split.documents, split.offsets, strict=True)
    }
    assert texts == {"10": "fever <unk> chills", "13": "cough fever fever", "12": "", "11": "chills", "15": "<unk>"}
    assert data.vectors.shape == (5, 2)
    assert data.rule == "caml"


def test_documents_can_be_read_as_word_pieces_instead(folder, tmp_path):
    order = ["15", "14", "10", "11", "12", "13"]  # of the notes, whatever the splits
    definition = plain_encoder.tokenizer(["fever", "chills", "and", "cough"])
    cut_into_pieces([(name, NOTES[name]) for name in order], PieceTokenizer(definition)).write(tmp_path / "subword")
    data = inputs.load(folder, inputs.SPLITS, subword=tmp_path / "subword")
    texts = {
        name: data.tokens[start:end].tolist()
        for split in data.splits.values()
        for name, (start, end) in zip(split.documents, split.offsets, strict=True)
    }
    assert texts == {"10": [0, 2, 1], "13": [3, 0, 0], "12": [], "11": [1], "15": [4]}
    words = inputs.load(folder, inputs.SPLITS)
    for name, split in words.splits.items():
        assert split.documents == data.splits[name].documents
        assert (split.labels["icd"] != data.splits[name].labels["icd"]).nnz == 0


def test_labels_become_columns_by_system_and_code(folder):
    data = inputs.load(folder, inputs.SPLITS)
    gold = {name: split.labels["icd"].toarray().tolist() for name, split in data.splits.items()}
    assert gold == {"train": [[1, 0, 1], [0, 1, 0]], "dev": [[1, 0, 0]], "test": [[0, 1, 0], [0, 0, 0]]}
    assert data.splits["test"].outside["icd"].tolist() == [1, 1]
    assert data.splits["test"].has["icd"].tolist() == [True, True]
    assert data.heads == {"icd": 3, "category": 3}
    assert data.train_counts("icd").tolist() == [1, 1, 1]


def write(folder, labels, documents):
    """Documents 10 (ICD-9), 11 (ICD-10), 12 (both), 13 (ICD-9, an unlabelled code only)."""
    codes = [
        ("10", "icd9cm", "486"),
        ("11", "icd10pcs", "0DTJ4ZZ"),
        ("12", "icd9proc", "48.6"),
        ("12", "icd10cm", "I10"),
        ("13", "icd9cm", "999.9"),
    ]
    columns = ("head", "system", "code", "title", "train_documents")
    schema = {name: [row[i] for row in labels] for i, name in enumerate(columns)}
    input_layout.write(
        folder,
        tokenized(NOTES.items()),
        VOCABULARY,
        np.zeros((5, 2), np.float32),
        documents=pa.table({"admission_id": list(documents), "split": list(documents.values())}),
        labels=pa.table(schema),
        codes=pa.Table.from_pylist([{"admission_id": a, "system": s, "code": c} for a, s, c in codes]),
        rule="caml",
    )


def test_each_head_has_its_own_gold_and_says_which_documents_have_any(tmp_path):
    labels = [("icd9", "icd9cm", "486", "", 1), ("icd9", "icd9proc", "48.6", "", 0), ("icd10", "icd10cm", "I10", "", 0)]
    write(tmp_path / "inputs", labels, {"10": "train", "11": "train", "12": "dev", "13": "test"})
    data = inputs.load(tmp_path / "inputs", inputs.SPLITS)
    assert data.heads == {"icd9": 2, "icd10": 1}
    train, dev, test = (data.splits[name] for name in inputs.SPLITS)
    assert train.labels["icd9"].toarray().tolist() == [[1, 0], [0, 0]]
    assert train.has["icd9"].tolist() == [True, False]
    assert train.has["icd10"].tolist() == [False, True]
    assert train.outside["icd10"].tolist() == [0, 1]
    assert (dev.labels["icd9"].toarray().tolist(), dev.labels["icd10"].toarray().tolist()) == ([[0, 1]], [[1]])
    assert (test.has["icd9"].tolist(), test.has["icd10"].tolist()) == ([True], [False])
    assert test.outside["icd9"].tolist() == [1]


def test_an_empty_label_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="the label set chosen is empty in this corpus"):
        write(tmp_path / "inputs", [], {"10": "train", "11": "dev", "12": "test"})
    assert not (tmp_path / "inputs").exists()


def test_categories_are_those_of_the_codes_that_are_labels(folder):
    data = inputs.load(folder, inputs.SPLITS)
    found = [(label["system"], label["code"], label["train_documents"]) for label in data.labels["category"]]
    assert found == [("icd9cm", "486", 1), ("icd9cm", "038", 1), ("icd9proc", "48", 1)]
    gold = {name: split.labels["category"].toarray().tolist() for name, split in data.splits.items()}
    # 999.9 is no label, so neither is its category.
    assert gold == {"train": [[1, 0, 1], [0, 1, 0]], "dev": [[1, 0, 0]], "test": [[0, 1, 0], [0, 0, 0]]}
    assert not any(split.outside["category"].any() for split in data.splits.values())


def test_codes_of_one_category_are_one_label_of_it():
    labels = [{"system": "icd9cm", "code": code} for code in ("401.9", "486", "401.1")]
    gold = {"a": [0, 2], "b": [2, 1, -1], "c": [0]}
    frame = pd.DataFrame([(name, column) for name, own in gold.items() for column in own])
    frame.columns = ["admission_id", "column"]
    records, above = input_layout.categories(labels, frame, train=["a", "b"])
    assert [(record["code"], record["train_documents"]) for record in records] == [("401", 2), ("486", 1)]
    assert list(above.itertuples(index=False, name=None)) == [("a", 0), ("b", 0), ("b", 1), ("c", 0)]


def test_titles_become_rows_of_the_embedding(folder):
    assert inputs.load(folder, ()).descriptions == {}
    data = inputs.load(folder, (), descriptions=True)
    # "title 486" and the like: one word that is not in the vocabulary, and a number that is no word.
    assert {head: rows.tolist() for head, rows in data.descriptions.items()} == {
        "icd": [[4], [4], [4]],
        "category": [[0], [0], [0]],
    }
    rows = input_layout.description_rows(["Cough, FEVER 2", "", "rigors"], VOCABULARY, "caml")
    assert rows.tolist() == [[2, 3], [0, 0], [4, 0]]
    assert rows.dtype == np.int32


def test_heads_are_chosen_by_name(folder):
    data = inputs.load(folder, ("train",))
    assert list(data.heads_named(["category", "icd"]).items()) == [("category", 3), ("icd", 3)]
    with pytest.raises(UserError, match="no head 'categry'; did you mean 'category'"):
        data.heads_named(["categry"])


def test_training_does_not_open_the_test_split(folder):
    for file in (folder / "test").iterdir():
        file.unlink()
    assert set(inputs.load(folder, ("train", "dev")).splits) == {"train", "dev"}
    with pytest.raises(UserError, match=r"cannot be read|no such file"):
        inputs.load(folder, inputs.SPLITS)


def test_the_first_documents_of_a_split(folder):
    first = inputs.load(folder, ("train",)).splits["train"].first(1)
    assert first.documents == ["10"]
    assert first.labels["icd"].shape == (1, 3)
    assert len(first) == len(first.offsets) == len(first.outside["icd"]) == 1
