"""The arrays that models read say what the tables said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plain_encoder
import pyarrow as pa
import pytest

from medcode.codes.gem import EDGES
from medcode.dataset import arrays, build
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
# 99.04 is no label; 48.6 has no category.
CCS = pa.table(
    {
        "system": ["icd9cm", "icd9cm", "icd9proc"],
        "code": ["486", "038.9", "99.04"],
        "category": ["D122", "D2", "P222"],
        "category_title": ["Pneumonia", "Septicemia", "Blood transfusion"],
    }
)


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
    build.write(
        tmp_path / "inputs",
        tokenized(NOTES.items()),
        VOCABULARY,
        np.arange(10, dtype=np.float32).reshape(5, 2),
        documents=pa.table({"admission_id": list(documents), "split": list(documents.values())}),
        labels=pa.Table.from_pylist(
            [{"head": "icd", "system": s, "code": c, "title": f"title {c}", "train_documents": 1} for s, c in labels]
        ),
        codes=pa.Table.from_pylist([{"admission_id": a, "system": s, "code": c} for a, s, c in codes]),
        ccs=CCS,
        rule="caml",
    )
    return tmp_path / "inputs"


def test_words_become_rows_of_the_embedding(folder):
    data = arrays.load(folder, arrays.SPLITS)
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
    data = arrays.load(folder, arrays.SPLITS, subword=tmp_path / "subword")
    texts = {
        name: data.tokens[start:end].tolist()
        for split in data.splits.values()
        for name, (start, end) in zip(split.documents, split.offsets, strict=True)
    }
    assert texts == {"10": [0, 2, 1], "13": [3, 0, 0], "12": [], "11": [1], "15": [4]}
    words = arrays.load(folder, arrays.SPLITS)
    for name, split in words.splits.items():
        assert split.documents == data.splits[name].documents
        assert (split.labels["icd"] != data.splits[name].labels["icd"]).nnz == 0


def test_labels_become_columns_by_system_and_code(folder):
    data = arrays.load(folder, arrays.SPLITS)
    gold = {name: split.labels["icd"].toarray().tolist() for name, split in data.splits.items()}
    assert gold == {"train": [[1, 0, 1], [0, 1, 0]], "dev": [[1, 0, 0]], "test": [[0, 1, 0], [0, 0, 0]]}
    assert data.splits["test"].outside["icd"].tolist() == [1, 1]
    assert data.splits["test"].has["icd"].tolist() == [True, True]
    assert data.heads == {"icd": 3, "category": 3, "ccs": 2}
    assert data.train_counts("icd").tolist() == [1, 1, 1]


def write(folder, labels, documents, links=()):
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
    build.write(
        folder,
        tokenized(NOTES.items()),
        VOCABULARY,
        np.zeros((5, 2), np.float32),
        documents=pa.table({"admission_id": list(documents), "split": list(documents.values())}),
        labels=pa.table(schema),
        codes=pa.Table.from_pylist([{"admission_id": a, "system": s, "code": c} for a, s, c in codes]),
        ccs=CCS,
        rule="caml",
        links=pa.Table.from_pylist([dict(zip(EDGES.names, link, strict=True)) for link in links], schema=EDGES),
    )


OLD, NEW = "icd9_to_icd10", "icd10_to_icd9"
LINKS = [
    (OLD, "icd9cm", "999.9", "icd10cm", "I10", 1.0, False),  # not among the labels
    (OLD, "icd9proc", "48.6", "icd10cm", "I10", 0.5, True),
    (OLD, "icd9cm", "486", "icd10pcs", "0DTJ4ZZ", 1.0, False),
    (OLD, "icd9cm", "486", "icd10cm", "I10", 0.5, True),
    (NEW, "icd10cm", "I10", "icd9cm", "486", 1.0, False),
]


def test_links_become_pairs_of_columns_in_the_direction_of_their_file(tmp_path):
    old, new = [("icd9cm", "486"), ("icd9proc", "48.6")], [("icd10cm", "I10"), ("icd10pcs", "0DTJ4ZZ")]
    labels = [(head, *code, "", 1) for head, codes in (("icd9", old), ("icd10", new)) for code in codes]
    write(tmp_path / "joint", labels, {"10": "train", "11": "train", "12": "dev", "13": "test"}, LINKS)
    data = arrays.load(tmp_path / "joint", (), edges=True, linked=True)
    found = {head: (pairs.tolist(), weights.tolist()) for head, (pairs, weights) in data.edges.items()}
    assert found == {"icd9": ([[0, 0, 1], [0, 1, 0]], [0.5, 1.0, 0.5]), "icd10": ([[0], [0]], [1.0])}
    assert {head: own.tolist() for head, own in data.linked.items()} == {"icd9": [True, True], "icd10": [True, False]}


def test_a_label_set_of_one_head_knows_which_codes_are_linked_but_has_no_pairs(tmp_path):
    labels = [("icd", "icd9cm", "486", "", 1), ("icd", "icd10pcs", "0DTJ4ZZ", "", 1)]
    write(tmp_path / "inputs", labels, {"10": "train", "12": "dev", "13": "test"}, LINKS)
    assert arrays.load(tmp_path / "inputs", (), linked=True).linked["icd"].tolist() == [True, False]
    with pytest.raises(UserError, match=r"label_set: the model links the codes of ICD-9 to those of ICD-10, .* joint"):
        arrays.load(tmp_path / "inputs", (), edges=True)


def test_each_head_has_its_own_gold_and_says_which_documents_have_any(tmp_path):
    labels = [("icd9", "icd9cm", "486", "", 1), ("icd9", "icd9proc", "48.6", "", 0), ("icd10", "icd10cm", "I10", "", 0)]
    write(tmp_path / "inputs", labels, {"10": "train", "11": "train", "12": "dev", "13": "test"})
    data = arrays.load(tmp_path / "inputs", arrays.SPLITS)
    assert data.heads == {"icd9": 2, "icd10": 1}
    train, dev, test = (data.splits[name] for name in arrays.SPLITS)
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
    data = arrays.load(folder, arrays.SPLITS)
    found = [(label["system"], label["code"], label["train_documents"]) for label in data.labels["category"]]
    assert found == [("icd9cm", "486", 1), ("icd9cm", "038", 1), ("icd9proc", "48", 1)]
    gold = {name: split.labels["category"].toarray().tolist() for name, split in data.splits.items()}
    # 999.9 is no label, so neither is its category.
    assert gold == {"train": [[1, 0, 1], [0, 1, 0]], "dev": [[1, 0, 0]], "test": [[0, 1, 0], [0, 0, 0]]}
    assert not any(split.outside["category"].any() for split in data.splits.values())


def test_ccs_categories_are_those_of_the_codes_that_are_labels(folder):
    data = arrays.load(folder, arrays.SPLITS)
    assert data.labels["ccs"] == [
        {"system": "ccs", "code": "D122", "title": "Pneumonia", "train_documents": 1},
        {"system": "ccs", "code": "D2", "title": "Septicemia", "train_documents": 1},
    ]
    gold = {name: split.labels["ccs"].toarray().tolist() for name, split in data.splits.items()}
    # 48.6 of the first note has no category and adds nothing, nor does 999.9, which is no label.
    assert gold == {"train": [[1, 0], [0, 1]], "dev": [[1, 0]], "test": [[0, 1], [0, 0]]}
    assert not any(split.outside["ccs"].any() for split in data.splits.values())


def test_ccs_says_nothing_of_a_note_that_was_not_coded_in_a_system_with_categories(folder):
    data = arrays.load(folder, arrays.SPLITS)
    assert {name: split.has["ccs"].tolist() for name, split in data.splits.items()} == {
        "train": [True, True],
        "dev": [True],
        "test": [True, False],  # the last was coded in ICD-10 alone
    }


def test_without_any_category_there_is_no_head_ccs(tmp_path):
    write(tmp_path / "inputs", [("icd", "icd10cm", "I10", "", 1)], {"11": "train", "12": "dev", "10": "test"})
    data = arrays.load(tmp_path / "inputs", ("train",))
    assert data.heads == {"icd": 1, "category": 1}
    with pytest.raises(UserError, match="the inputs have no head 'ccs'"):
        data.heads_named(["icd", "ccs"])


def test_codes_of_one_group_are_one_label_of_it():
    hypertension, pneumonia = ("ccs", "D98", "Essential hypertension"), ("ccs", "D122", "Pneumonia")
    gold = {"a": [0, 2], "b": [2, 1, -1], "c": [0, 3], "d": [3]}
    frame = pd.DataFrame([(name, column) for name, own in gold.items() for column in own])
    frame.columns = ["admission_id", "column"]
    above = [hypertension, pneumonia, hypertension, None]
    records, groups = build.group_labels(above, frame, train=["a", "b"])
    assert [(record["code"], record["train_documents"]) for record in records] == [("D98", 2), ("D122", 1)]
    assert list(groups.itertuples(index=False, name=None)) == [("a", 0), ("b", 0), ("b", 1), ("c", 0)]


def test_what_stands_above_a_label():
    labels = [{"system": "icd9cm", "code": code} for code in ("401.9", "486", "401.1")]
    assert [code for _, code, _ in build.first_characters(labels)] == ["401", "486", "401"]
    assert build.clinical_categories(labels, CCS) == [None, ("ccs", "D122", "Pneumonia"), None]


def test_titles_become_rows_of_the_embedding(folder):
    assert arrays.load(folder, ()).descriptions == {}
    data = arrays.load(folder, (), descriptions=True)
    # "title 486" and the like: one word that is not in the vocabulary, and a number that is no word.
    assert {head: rows.tolist() for head, rows in data.descriptions.items()} == {
        "icd": [[4], [4], [4]],
        "category": [[0], [0], [0]],
        "ccs": [[4], [4]],
    }
    rows = build.description_rows(["Cough, FEVER 2", "", "rigors"], VOCABULARY, "caml")
    assert rows.tolist() == [[2, 3], [0, 0], [4, 0]]
    assert rows.dtype == np.int32


def test_heads_are_chosen_by_name(folder):
    data = arrays.load(folder, ("train",))
    assert list(data.heads_named(["category", "icd"]).items()) == [("category", 3), ("icd", 3)]
    with pytest.raises(UserError, match="no head 'categry'; did you mean 'category'"):
        data.heads_named(["categry"])


def test_training_does_not_open_the_test_split(folder):
    for file in (folder / "test").iterdir():
        file.unlink()
    assert set(arrays.load(folder, ("train", "dev")).splits) == {"train", "dev"}
    with pytest.raises(UserError, match=r"cannot be read|no such file"):
        arrays.load(folder, arrays.SPLITS)


def test_the_first_documents_of_a_split(folder):
    first = arrays.load(folder, ("train",)).splits["train"].first(1)
    assert first.documents == ["10"]
    assert first.labels["icd"].shape == (1, 3)
    assert len(first) == len(first.offsets) == len(first.outside["icd"]) == 1
