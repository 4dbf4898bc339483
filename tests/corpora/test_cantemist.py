"""CANTEMIST: the published split, with two development sets, and codes of ICD-O-3."""

from __future__ import annotations

import re

import pytest

from medcode import corpora
from medcode.codes import formatting
from medcode.config.corpora.cantemist import Options
from medcode.errors import UserError

BOTH = Options(dev="both")
TABLES = {"train-set": "train", "dev-set1": "dev1", "dev-set2": "dev2", "test-set": "test"}
ANNOTATIONS = """T1	MORFOLOGIA_NEOPLASIA 0 21	Carcinoma microcítico
#1	AnnotatorNotes T1	8041/3
T2	MORFOLOGIA_NEOPLASIA 10 14;18 21	micr ico
#2	AnnotatorNotes T2	8041/3/H
"""


@pytest.fixture
def folder(tmp_path):
    for name, table in TABLES.items():
        (tmp_path / name / "cantemist-norm").mkdir(parents=True)
        (tmp_path / name / "cantemist-norm" / f"cc_{table}.txt").write_text(f"Carcinoma microcítico en {table}.\n")
        (tmp_path / name / "cantemist-norm" / f"cc_{table}.ann").write_text(ANNOTATIONS)
        (tmp_path / name / "cantemist-coding").mkdir()
        rows = f"file\tcode\ncc_{table}\t8041/3\ncc_{table}\t8000/6\ncc_{table}\t8041/3/H\n"
        (tmp_path / name / "cantemist-coding" / f"{table}-coding.tsv").write_text(rows)
    return tmp_path


def splits(read) -> dict[str, str]:
    return {row["admission_id"]: row["split"] for row in read.notes.table().to_pylist()}


def test_texts_and_codes(folder):
    read = corpora.read("cantemist", folder, BOTH)
    first = {"admission_id": "cc_train", "patient_id": "cc_train", "split": "train"}
    assert read.notes.table().to_pylist()[0] == first | {"text": "Carcinoma microcítico en train.\n"}
    codes = [(row["system"], row["code"]) for row in read.codes.to_pylist() if row["admission_id"] == "cc_dev2"]
    assert codes == [("icdo3", "8041/3"), ("icdo3", "8000/6"), ("icdo3", "8041/3/H")]
    assert read.counts["notes_per_set"] == dict.fromkeys(TABLES, 1)


def test_spans_are_the_mentions_of_brat(folder):
    read = corpora.read("cantemist", folder, BOTH)
    assert [tuple(row.values()) for row in read.spans.to_pylist()[:3]] == [
        ("cc_train", "icdo3", "8041/3", 0, 0, 21),
        ("cc_train", "icdo3", "8041/3/H", 1, 10, 14),
        ("cc_train", "icdo3", "8041/3/H", 1, 18, 21),
    ]
    assert read.counts["span_mentions"] == {"compared": 8, "different": 0}
    assert read.counts["spans"]["icdo3"]["codes_without_span"] == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "T1	MORFOLOGIA_NEOPLASIA 0 21",
            "T1	MORFOLOGIA_NEOPLASIA 0 99",
            "line 1: the span 0 to 99 is not within the note",
        ),
        ("T1	8041/3", "T1	8140/3", "line 1: case cc_dev2 has a span of 8140/3, which is none of its codes"),
        ("T1	8041/3", "T1	8041", "line 1: case cc_dev2 has a span of 8041, which is none of its codes"),
        ("Notes T2", "Notes T3", "line 3: there is no note with the code of mention T2"),
        ("#2	Annotator", "R2	Annotator", r"line 4: neither a mention \(T\) nor a note with its code \(#\)"),
        ("NEOPLASIA 10 14;", "NEOPLASIA 10 ;", "line 3: expected offsets such as 12 30"),
    ],
)
def test_a_mistake_in_a_span_names_its_line(folder, old, new, message):
    path = folder / "dev-set2" / "cantemist-norm" / "cc_dev2.ann"
    assert old in ANNOTATIONS
    path.write_text(ANNOTATIONS.replace(old, new))
    with pytest.raises(UserError, match=rf"cc_dev2\.ann: {message}"):
        corpora.read("cantemist", folder, BOTH)


def test_a_missing_file_of_spans_says_how_to_fetch_it(folder):
    (folder / "test-set" / "cantemist-norm" / "cc_test.ann").unlink()
    with pytest.raises(UserError, match=r"cc_test\.ann: no such file; `make corpus CORPUS=cantemist`"):
        corpora.read("cantemist", folder, BOTH)


@pytest.mark.parametrize(
    ("dev", "set1", "set2"), [("both", "dev", "dev"), ("set1", "dev", "train"), ("set2", "train", "dev")]
)
def test_the_development_set_that_is_not_dev_belongs_to_train(folder, dev, set1, set2):
    expected = {"cc_train": "train", "cc_dev1": set1, "cc_dev2": set2, "cc_test": "test"}
    assert splits(corpora.read("cantemist", folder, Options(dev=dev))) == expected


def test_background_is_read_if_it_is_there(folder):
    (folder / "background-set").mkdir()
    (folder / "background-set" / "S-1.txt").write_text("Dolor.")
    read = corpora.read("cantemist", folder, BOTH)
    assert splits(read)["S-1"] == "background"
    assert read.counts["background_notes"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "file\tcode\ncc_dev1\t8041.3\n",
            r"dev1-coding\.tsv: line 2: '8041.3' is not a code of icdo3 \(",
        ),
        ("file\tcode\n\ncc_gone\t8041/3\n", r"dev1-coding\.tsv: line 3: there is no text of case cc_gone"),
        ("file\tcode\ncc_dev1\n", r"dev1-coding\.tsv: line 2: expected a case and a code, found 1 fields"),
        ("cc_dev1\t8041/3\n", r"dev1-coding\.tsv: line 1: expected the header file code"),
        ("", r"dev1-coding\.tsv: line 1: expected the header file code"),
    ],
)
def test_an_error_names_the_wrong_line(folder, content, message):
    (folder / "dev-set1" / "cantemist-coding" / "dev1-coding.tsv").write_text(content)
    with pytest.raises(UserError, match=message):
        corpora.read("cantemist", folder, BOTH)


@pytest.mark.parametrize("missing", ["test-set/cantemist-coding/test-coding.tsv", "dev-set1/cantemist-norm"])
def test_a_missing_file_says_how_to_fetch_it(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    message = rf"{re.escape(str(folder / missing))}: no such (file|folder); `make corpus CORPUS=cantemist` fetches"
    with pytest.raises(UserError, match=message):
        corpora.read("cantemist", folder, BOTH)


def test_a_case_in_two_splits(folder):
    (folder / "test-set" / "cantemist-norm" / "cc_dev1.txt").write_text("Carcinoma.")
    with pytest.raises(UserError, match=r"cc_dev1\.txt: the case is in two splits"):
        corpora.read("cantemist", folder, BOTH)


def test_the_published_corpus(shared):
    read = corpora.read("cantemist", shared / "corpora" / "cantemist", BOTH)
    frame = read.codes.to_pandas()
    frame["split"] = frame["admission_id"].map(splits(read))
    assert frame.groupby("split").size().to_dict() == {"train": 2_756, "dev": 2_664, "test": 1_599}
    assert read.counts["notes_per_set"] == {"train-set": 501, "dev-set1": 250, "dev-set2": 250, "test-set": 300}
    assert read.counts["codes"] == {"icdo3": {"assigned": 7_019, "distinct": 850}}
    assert read.counts["dropped"]["codes_duplicate"] == 1
    assert read.counts["admissions_with_notes_without_codes"] == 1
    assert all(formatting.is_valid(code, "icdo3") for code in frame["code"])
    seen = set(frame.loc[frame["split"] != "test", "code"])
    test = frame.loc[frame["split"] == "test", "code"]
    assert (~test.isin(seen)).mean() == pytest.approx(0.072, abs=0.0005)
    assert len(set(test) - seen) == 107
