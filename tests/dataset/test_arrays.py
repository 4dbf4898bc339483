"""The arrays of data/inputs agree with the tables they are built from."""

from __future__ import annotations

import numpy as np
import plain_encoder
import pyarrow as pa
import pytest

from medcode.codes.gem import EDGES
from medcode.dataset import arrays, build
from medcode.dataset.label_spaces import label_spaces
from medcode.dataset.split_names import SPLITS
from medcode.encoders.subwords import SubwordTokenizer, tokenize_into_subwords
from medcode.errors import UserError
from medcode.text.tokenized_notes import SUBWORD_IDS
from medcode.text.tokens import tokenized
from medcode.text.vocabulary import Vocabulary

NOTES = {
    "10": "fever and chills",
    "11": "chills",
    "12": "",
    "13": "cough fever fever",
    "14": "unlabeled cough",
    "15": "rigors",
}
VOCABULARY = ["chills", "cough", "fever"]
# 99.04 is no label; 48.6 has no category.
CCS = pa.table(
    {
        "system": ["icd9cm", "icd9cm", "icd9proc"],
        "code": ["486", "038.9", "99.04"],
        "category": ["D122", "D2", "P222"],
        "category_description": ["Pneumonia", "Septicemia", "Blood transfusion"],
    }
)


LABEL_COLUMNS = ("head", "system", "code", "description", "train_documents")
CODE_COLUMNS = ("admission_id", "system", "code")


def table(columns, rows):
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})


def write_inputs(folder, vectors, documents, labels, codes, links=()):
    """Write data/inputs of NOTES as the stage does: documents by split, labels and codes as rows."""
    documents = pa.table({"admission_id": list(documents), "split": list(documents.values())})
    spaces = label_spaces(table(LABEL_COLUMNS, labels), table(CODE_COLUMNS, codes), CCS, documents)
    links = pa.Table.from_pylist([dict(zip(EDGES.names, link, strict=True)) for link in links], schema=EDGES)
    data = build.lay_out(tokenized(NOTES.items()), VOCABULARY, vectors, documents, spaces, "caml", links)
    arrays.write(folder, data)


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
    write_inputs(
        tmp_path / "inputs",
        np.arange(10, dtype=np.float32).reshape(5, 2),
        documents,
        [("icd", system, code, f"description {code}", 1) for system, code in labels],
        codes,
    )
    return tmp_path / "inputs"


def test_words_become_embedding_rows(folder):
    data = arrays.load(folder, SPLITS)
    words = ["<pad>", *data.vocabulary, "<unk>"]
    texts = {
        name: " ".join(words[row] for row in data.tokens[start:end])
        for split in data.splits.values()
        for name, (start, end) in zip(split.documents, split.offsets, strict=True)
    }
    assert texts == {"10": "fever <unk> chills", "13": "cough fever fever", "12": "", "11": "chills", "15": "<unk>"}
    assert data.vectors.shape == (5, 2)
    assert data.rule == "caml"


def test_documents_can_be_read_as_subwords_instead(folder, tmp_path):
    order = ["15", "14", "10", "11", "12", "13"]  # of the notes, whatever the splits
    definition = plain_encoder.tokenizer(["fever", "chills", "and", "cough"])
    subwords = tokenize_into_subwords([(name, NOTES[name]) for name in order], SubwordTokenizer(definition))
    subwords.write(tmp_path / "subword", SUBWORD_IDS)
    data = arrays.load(folder, SPLITS, subword=tmp_path / "subword")
    texts = {
        name: data.tokens[start:end].tolist()
        for split in data.splits.values()
        for name, (start, end) in zip(split.documents, split.offsets, strict=True)
    }
    assert texts == {"10": [0, 2, 1], "13": [3, 0, 0], "12": [], "11": [1], "15": [4]}
    words = arrays.load(folder, SPLITS)
    for name, split in words.splits.items():
        assert split.documents == data.splits[name].documents
        assert (split.targets["icd"].matrix != data.splits[name].targets["icd"].matrix).nnz == 0


def test_labels_become_columns_by_system_and_code(folder):
    data = arrays.load(folder, SPLITS)
    gold = {name: split.targets["icd"].matrix.toarray().tolist() for name, split in data.splits.items()}
    assert gold == {"train": [[1, 0, 1], [0, 1, 0]], "dev": [[1, 0, 0]], "test": [[0, 1, 0], [0, 0, 0]]}
    assert data.splits["test"].targets["icd"].is_coded.tolist() == [True, True]
    assert data.heads == {"icd": 3, "category": 3, "ccs": 2}
    assert data.train_counts("icd").tolist() == [1, 1, 1]


def write(folder, labels, documents, links=()):
    """Documents 10 (ICD-9), 11 (ICD-10), 12 (both), 13 (ICD-9, an unlabeled code only)."""
    codes = [
        ("10", "icd9cm", "486"),
        ("11", "icd10pcs", "0DTJ4ZZ"),
        ("12", "icd9proc", "48.6"),
        ("12", "icd10cm", "I10"),
        ("13", "icd9cm", "999.9"),
    ]
    write_inputs(folder, np.zeros((5, 2), np.float32), documents, labels, codes, links)


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
    edges = {head: (pairs.tolist(), weights.tolist()) for head, (pairs, weights) in data.edges.items()}
    assert edges == {"icd9": ([[0, 0, 1], [0, 1, 0]], [0.5, 1.0, 0.5]), "icd10": ([[0], [0]], [1.0])}
    assert {head: is_linked.tolist() for head, is_linked in data.linked.items()} == {
        "icd9": [True, True],
        "icd10": [True, False],
    }


def test_one_head_has_linked_flags_but_no_edges(tmp_path):
    labels = [("icd", "icd9cm", "486", "", 1), ("icd", "icd10pcs", "0DTJ4ZZ", "", 1)]
    write(tmp_path / "inputs", labels, {"10": "train", "12": "dev", "13": "test"}, LINKS)
    assert arrays.load(tmp_path / "inputs", (), linked=True).linked["icd"].tolist() == [True, False]
    with pytest.raises(UserError, match=r"label_set: the model links the codes of ICD-9 to those of ICD-10, .* joint"):
        arrays.load(tmp_path / "inputs", (), edges=True)


def test_each_head_has_separate_targets_and_is_coded_flags(tmp_path):
    labels = [("icd9", "icd9cm", "486", "", 1), ("icd9", "icd9proc", "48.6", "", 0), ("icd10", "icd10cm", "I10", "", 0)]
    write(tmp_path / "inputs", labels, {"10": "train", "11": "train", "12": "dev", "13": "test"})
    data = arrays.load(tmp_path / "inputs", SPLITS)
    assert data.heads == {"icd9": 2, "icd10": 1}
    train, dev, test = (data.splits[name] for name in SPLITS)
    assert train.targets["icd9"].matrix.toarray().tolist() == [[1, 0], [0, 0]]
    assert train.targets["icd9"].is_coded.tolist() == [True, False]
    assert train.targets["icd10"].is_coded.tolist() == [False, True]
    assert (dev.targets["icd9"].matrix.toarray().tolist(), dev.targets["icd10"].matrix.toarray().tolist()) == (
        [[0, 1]],
        [[1]],
    )
    assert (test.targets["icd9"].is_coded.tolist(), test.targets["icd10"].is_coded.tolist()) == ([True], [False])


def test_an_empty_label_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="the label set chosen is empty in this corpus"):
        write(tmp_path / "inputs", [], {"10": "train", "11": "dev", "12": "test"})
    assert not (tmp_path / "inputs").exists()


def test_category_labels_come_from_the_labels_of_the_head(folder):
    data = arrays.load(folder, SPLITS)
    labels = [(label["system"], label["code"], label["train_documents"]) for label in data.labels["category"]]
    assert labels == [("icd9cm", "486", 1), ("icd9cm", "038", 1), ("icd9proc", "48", 1)]
    gold = {name: split.targets["category"].matrix.toarray().tolist() for name, split in data.splits.items()}
    # 999.9 is no label, so neither is its category.
    assert gold == {"train": [[1, 0, 1], [0, 1, 0]], "dev": [[1, 0, 0]], "test": [[0, 1, 0], [0, 0, 0]]}


def test_ccs_labels_come_from_the_labels_of_the_head(folder):
    data = arrays.load(folder, SPLITS)
    assert data.labels["ccs"] == [
        {"system": "ccs", "code": "D122", "description": "Pneumonia", "train_documents": 1},
        {"system": "ccs", "code": "D2", "description": "Septicemia", "train_documents": 1},
    ]
    gold = {name: split.targets["ccs"].matrix.toarray().tolist() for name, split in data.splits.items()}
    # 48.6 of the first note has no category and adds nothing, nor does 999.9, which is no label.
    assert gold == {"train": [[1, 0], [0, 1]], "dev": [[1, 0]], "test": [[0, 1], [0, 0]]}


def test_notes_coded_in_systems_without_ccs_are_uncoded_in_ccs(folder):
    data = arrays.load(folder, SPLITS)
    assert {name: split.targets["ccs"].is_coded.tolist() for name, split in data.splits.items()} == {
        "train": [True, True],
        "dev": [True],
        "test": [True, False],  # the last was coded in ICD-10 alone
    }


def test_there_is_no_ccs_head_without_categories(tmp_path):
    write(tmp_path / "inputs", [("icd", "icd10cm", "I10", "", 1)], {"11": "train", "12": "dev", "10": "test"})
    data = arrays.load(tmp_path / "inputs", ("train",))
    assert data.heads == {"icd": 1, "category": 1}
    with pytest.raises(UserError, match="the inputs have no head 'ccs'"):
        data.heads_named(["icd", "ccs"])


def test_descriptions_become_embedding_rows(folder):
    assert arrays.load(folder, ()).descriptions == {}
    data = arrays.load(folder, (), descriptions=True)
    # "description 486" and the like: one word that is not in the vocabulary, and a number that is no word.
    assert {head: rows.tolist() for head, rows in data.descriptions.items()} == {
        "icd": [[4], [4], [4]],
        "category": [[0], [0], [0]],
        "ccs": [[4], [4]],
    }
    rows = build.description_rows(["Cough, FEVER 2", "", "rigors"], Vocabulary(VOCABULARY), "caml")
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
        arrays.load(folder, SPLITS)


def test_a_split_can_be_limited_to_its_first_documents(folder):
    first = arrays.load(folder, ("train",)).splits["train"].first(1)
    assert first.documents == ["10"]
    assert first.targets["icd"].matrix.shape == (1, 3)
    assert len(first) == len(first.offsets) == 1


def test_reading_and_writing_inputs_keeps_every_byte(folder, tmp_path):
    data = arrays.load(folder, SPLITS, descriptions=True, linked=True)
    arrays.write(tmp_path / "again", data)
    first, second = (
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (folder, tmp_path / "again")
    )
    assert first == second
    assert {"tokens.npy", "train/labels.icd.npz", "test/has.ccs.npy", "dev/has.category.npy"} < first.keys()


def test_a_missing_note_is_reported(tmp_path):
    with pytest.raises(UserError, match="the tokenized notes lack admission '99'"):
        write(tmp_path / "inputs", [("icd", "icd9cm", "486", "", 1)], {"10": "train", "99": "dev", "12": "test"})
    assert not (tmp_path / "inputs").exists()


def test_targets_are_selected_and_joined_by_document():
    single = arrays.Targets.of_single_labels(np.array([2, 0]), 3)
    whole = single.joined(arrays.Targets.uncoded(1, 3)).joined(single.first(1))
    assert whole.matrix.toarray().tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert whole.is_coded.tolist() == [True, True, False, True]
    assert (len(whole), len(whole.coded()), len(whole[1:3])) == (4, 3, 2)
    assert whole[np.array([3, 1])].matrix.toarray().tolist() == [[0, 0, 1], [1, 0, 0]]
    assert (whole.matrix.format, whole.matrix.dtype, whole.matrix.nnz) == ("csr", np.uint8, 3)
