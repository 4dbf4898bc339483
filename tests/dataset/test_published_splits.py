"""Published lists of admissions are read in the formats of their publishers."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from medcode.dataset import published_splits
from medcode.errors import UserError

CAML = {
    "train_full": "100\n101\n102\n",
    "dev_full": "200\n201\n",
    "test_full": "300",
    "train_50": "101\n",
    "dev_50": "200\n",
    "test_50": "300\n",
}


@pytest.fixture
def caml(tmp_path):
    folder = tmp_path / "caml"
    folder.mkdir()
    for name, content in CAML.items():
        (folder / f"{name}_hadm_ids.csv").write_text(content)
    return folder


def write_feather(folder, file, rows):
    folder.mkdir(exist_ok=True)
    table = pa.table({"_id": [row[0] for row in rows], "split": [row[1] for row in rows]})
    feather.write_feather(table, str(folder / file))


def test_caml_lists_are_read(caml):
    lists, notes = published_splits.read(caml, "caml")
    assert lists.ids == {"train": ["100", "101", "102"], "dev": ["200", "201"], "test": ["300"]}
    assert lists.top50 == {"101", "200", "300"}
    assert not lists.crossing
    assert lists.split_of()["201"] == "dev"
    assert len(notes) == 6
    assert notes[0] == "note: caml, full: train lists 3 admissions, published were 47,723"


@pytest.mark.parametrize("content", ["HADM_ID\n100\n101\n102\n", "\ufeff100\r\n101\r\n\r\n102", "100.0\n101.0\n102"])
def test_a_list_may_have_a_header(caml, content):
    (caml / "train_full_hadm_ids.csv").write_text(content, newline="")
    assert published_splits.read(caml, "caml")[0].ids["train"] == ["100", "101", "102"]


def test_edin_lists_are_read(tmp_path):
    rows = [(7, "train"), (8, "val"), (9, "test")]
    write_feather(tmp_path, "mimiciii_clean_splits.feather", rows)
    lists, notes = published_splits.read(tmp_path, "edin-clean")
    assert lists.ids == {"train": ["7"], "dev": ["8"], "test": ["9"]}
    assert lists.top50 == frozenset()
    assert "note: edin-clean, full: dev lists 1 admissions, published were 5,577" in notes


def test_a_feather_table_written_by_pandas_is_read(tmp_path):
    frame = pd.DataFrame({"_id": [7.0, 8.0, 9.0], "split": ["train", "val", "test"]})
    frame.to_feather(tmp_path / "mimiciii_clean_splits.feather")
    assert published_splits.read(tmp_path, "edin-clean")[0].ids["test"] == ["9"]


def test_both_mimic_iv_lists_are_merged(tmp_path):
    write_feather(tmp_path, "mimiciv_icd9_split.feather", [(1, "train"), (2, "val"), (3, "test")])
    write_feather(tmp_path, "mimiciv_icd10_split.feather", [(4, "train"), (5, "val"), (6, "test")])
    lists, _ = published_splits.read(tmp_path, "edin-joint")
    assert lists.ids == {"train": ["1", "4"], "dev": ["2", "5"], "test": ["3", "6"]}
    assert lists.crossing
    assert published_splits.read(tmp_path, "edin-icd10")[0].ids["dev"] == ["5"]


def test_an_admission_in_both_lists_has_the_split_of_the_first(tmp_path):
    write_feather(tmp_path, "mimiciv_icd9_split.feather", [(1, "train"), (2, "val"), (3, "test")])
    write_feather(tmp_path, "mimiciv_icd10_split.feather", [(1, "train"), (3, "train"), (5, "val")])
    lists, notes = published_splits.read(tmp_path, "edin-joint")
    assert lists.ids == {"train": ["1"], "dev": ["2", "5"], "test": ["3"]}
    assert "note: edin-joint: 2 admissions are in two lists; the first list decides" in notes


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dev_full_hadm_ids.csv", None, "no such file; it is published at https://github.com/jamesmullenbach"),
        ("dev_full_hadm_ids.csv", "200\nabc\n", "line 2: expected the number of an admission"),
        ("dev_full_hadm_ids.csv", "200\n100\n", "admission 100 is listed twice, in train and dev"),
        ("dev_full_hadm_ids.csv", "200\n200\n", "admission 200 is listed twice, in dev and dev"),
        ("dev_50_hadm_ids.csv", "101\n", "admission 101 is listed for the 50 codes in dev, not so in full"),
    ],
)
def test_invalid_lists_are_refused(caml, tmp_path, file, content, message):
    (caml / file).unlink() if content is None else (caml / file).write_text(content)
    with pytest.raises(UserError, match=message):
        published_splits.read(caml, "caml")
    with pytest.raises(UserError, match=message):
        published_splits.install("caml", caml, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_invalid_feather_tables_are_refused(tmp_path):
    file = "mimiciv_icd9_split.feather"
    (tmp_path / file).write_text("text")
    with pytest.raises(UserError, match="not a Feather table with the columns _id and split"):
        published_splits.read(tmp_path, "edin-icd9")
    feather.write_feather(pa.table({"hadm_id": [1]}), str(tmp_path / file))
    with pytest.raises(UserError, match="not a Feather table with the columns _id and split"):
        published_splits.read(tmp_path, "edin-icd9")
    write_feather(tmp_path, file, [(1, "train"), (2, "validation")])
    with pytest.raises(UserError, match="row 2: split is none of train, val and test"):
        published_splits.read(tmp_path, "edin-icd9")


def test_an_unknown_publication_is_refused():
    with pytest.raises(UserError, match="there is no published split 'calm'; did you mean 'caml'"):
        published_splits.read("folder", "calm")


def test_installing_copies_only_the_needed_files(caml, tmp_path):
    (caml / "vocab.csv").write_text("more")
    notes = published_splits.install("caml", caml, tmp_path / "installed")
    assert len(notes) == 6
    assert sorted(path.name for path in (tmp_path / "installed").iterdir()) == sorted(
        f"{name}_hadm_ids.csv" for name in CAML
    )
    assert published_splits.read(tmp_path / "installed", "caml")[0] == published_splits.read(caml, "caml")[0]


def test_published_files_have_the_published_counts():
    total = {name: sum(sum(c) for c in p.counts.values()) for name, p in published_splits.PUBLICATIONS.items()}
    assert total["caml"] == 52_726 + 11_368
    assert total["edin-joint"] == total["edin-icd9"] + total["edin-icd10"]
