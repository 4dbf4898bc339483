"""CodiEsp: the published split, two languages, codes in upper case."""

from __future__ import annotations

import pytest

from medcode import corpora
from medcode.config.corpora.codiesp import Options
from medcode.errors import UserError

ENGLISH = Options(language="en", track="both")
SPANISH = Options(language="es", track="D")


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "dev", "test", "background"):
        for name, text in (("text_files", "dolor"), ("text_files_en", "pain")):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / f"S-{split}-1.txt").write_text(f"{text} à {split}", encoding="utf-8")
    for split in ("train", "dev", "test"):
        (tmp_path / split / f"{split}D.tsv").write_text(f"S-{split}-1\tn44.8\nS-{split}-1\tr60\nS-{split}-1\tr60\n")
        (tmp_path / split / f"{split}P.tsv").write_text(f"S-{split}-1\tbw03zzz\nS-{split}-1\t0dtj\n")
        spans = [("DIAGNOSTICO", "n44.8", "dolor à", "0 7"), ("PROCEDIMIENTO", "0dtj", "à dolor", "6 7;0 5")]
        lines = ["\t".join((f"S-{split}-1", *span)) for span in spans]
        (tmp_path / split / f"{split}X.tsv").write_text("\r\n".join(lines) + "\n", newline="")
    return tmp_path


def test_texts_codes_and_split(folder):
    read = corpora.read("codiesp", folder, ENGLISH)
    assert read.notes.table().to_pylist()[1] == {
        "admission_id": "S-dev-1",
        "patient_id": "S-dev-1",
        "text": "pain à dev",
        "split": "dev",
    }
    assert read.notes.table()["split"].to_pylist() == ["train", "dev", "test", "background"]
    dev = [(row["system"], row["code"]) for row in read.codes.to_pylist() if row["admission_id"] == "S-dev-1"]
    assert dev == [("icd10cm", "N44.8"), ("icd10cm", "R60"), ("icd10pcs", "BW03ZZZ"), ("icd10pcs", "0DTJ")]
    assert read.counts["dropped"]["codes_duplicate"] == 3
    assert read.counts["background_notes"] == 1
    assert read.counts["admissions_with_notes_without_codes"] == 0


def test_the_language_and_the_track_are_options(folder):
    read = corpora.read("codiesp", folder, SPANISH)
    assert read.notes.table()["text"].to_pylist()[0] == "dolor à train"
    assert set(read.codes["system"].to_pylist()) == {"icd10cm"}
    procedures = corpora.read("codiesp", folder, Options(language="es", track="P"))
    assert set(procedures.codes["system"].to_pylist()) == {"icd10pcs"}


def test_spans_of_the_chosen_track(folder):
    read = corpora.read("codiesp", folder, Options(language="es", track="both"))
    assert [tuple(row.values()) for row in read.spans.to_pylist()[:3]] == [
        ("S-train-1", "icd10cm", "N44.8", 0, 0, 7),
        ("S-train-1", "icd10pcs", "0DTJ", 1, 6, 7),
        ("S-train-1", "icd10pcs", "0DTJ", 1, 0, 5),
    ]
    assert read.counts["span_mentions"] == {"compared": 6, "different": 0}
    assert set(corpora.read("codiesp", folder, SPANISH).spans["system"].to_pylist()) == {"icd10cm"}
    assert read.remarks == ()


def test_english_has_no_spans_and_says_so(folder):
    read = corpora.read("codiesp", folder, ENGLISH)
    assert read.spans.num_rows == 0
    assert read.counts["spans"] == {}
    assert read.remarks == (
        "codiesp: spans refer to the Spanish texts, so there are none with corpora.codiesp.language: en",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("S-dev-1\tDIAGNOSTICO\tn44.8\tdolor\t0 50\n", "line 1: the span 0 to 50 is not within the note, which has 11"),
        ("\nS-dev-1\tDIAGNOSTICO\ti10\tdolor\t0 5\n", "line 2: case S-dev-1 has a span of I10, which is none of its"),
        ("S-dev-1\tDIAGNOSTICO\tn44.8\tdolor\t0-5\n", "line 1: expected offsets such as 12 30"),
        ("S-dev-1\tDIAGNOSTIC\tn44.8\tdolor\t0 5\n", "line 1: unknown label 'DIAGNOSTIC'; did you mean 'DIAGNOSTICO'"),
        ("S-dev-1\tDIAGNOSTICO\tn44.8\t0 5\n", "line 1: expected a case, a label, a code, a mention and a position"),
        ("S-gone\tDIAGNOSTICO\tn44.8\tdolor\t0 5\n", "line 1: there is no text of case S-gone"),
    ],
)
def test_a_mistake_in_a_span_names_its_line(folder, content, message):
    (folder / "dev" / "devX.tsv").write_text(content)
    with pytest.raises(UserError, match=rf"devX\.tsv: {message}") as mistake:
        corpora.read("codiesp", folder, SPANISH)
    assert "dolor" not in str(mistake.value)


def test_background_may_be_absent(folder):
    for path in sorted((folder / "background").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert corpora.read("codiesp", folder, ENGLISH).counts["notes_per_split"] == {"train": 1, "dev": 1, "test": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("S-dev-1\tn44.8\nS-gone\tr60\n", r"devD\.tsv: line 2: there is no text of case S-gone"),
        ("S-dev-1 n44.8\n", r"devD\.tsv: line 1: expected a case and a code, found 1 fields"),
        ("S-dev-1\tn448\nS-dev-1\t250.00\n", r"devD\.tsv: line 2: '250.00' is not a code of icd10cm"),
    ],
)
def test_an_error_names_the_wrong_line(folder, content, message):
    (folder / "dev" / "devD.tsv").write_text(content)
    with pytest.raises(UserError, match=message):
        corpora.read("codiesp", folder, ENGLISH)


def test_a_missing_file_says_how_to_fetch_it(folder):
    (folder / "test" / "testP.tsv").unlink()
    with pytest.raises(UserError, match=r"testP\.tsv: no such file; `make corpus CORPUS=codiesp`"):
        corpora.read("codiesp", folder, ENGLISH)


def test_a_text_that_is_not_utf8_is_named(folder):
    (folder / "dev" / "text_files_en" / "S-dev-1.txt").write_bytes(b"pain \xe0")
    with pytest.raises(UserError, match=r"S-dev-1\.txt: not UTF-8 \(byte 5\)"):
        corpora.read("codiesp", folder, ENGLISH)


def test_a_case_in_two_splits(folder):
    (folder / "test" / "text_files_en" / "S-dev-1.txt").write_text("pain")
    with pytest.raises(UserError, match=r"S-dev-1\.txt: the case is in two splits"):
        corpora.read("codiesp", folder, ENGLISH)


def test_the_published_corpus(shared):
    read = corpora.read("codiesp", shared / "corpora" / "codiesp", ENGLISH)
    assert read.counts["notes_per_split"] == {"train": 500, "dev": 250, "test": 250, "background": 2_751}
    frame = read.codes.to_pandas()
    frame["split"] = frame["admission_id"].map(read.notes.table().to_pandas().set_index("admission_id")["split"])
    grouped = frame.groupby(["system", "split"])
    assert grouped.size().to_dict() == {
        ("icd10cm", "train"): 5_639,
        ("icd10cm", "dev"): 2_677,
        ("icd10cm", "test"): 2_842,
        ("icd10pcs", "train"): 1_550,
        ("icd10pcs", "dev"): 817,
        ("icd10pcs", "test"): 879,
    }
    assert grouped["code"].nunique().loc["icd10cm"].to_dict() == {"train": 1_767, "dev": 1_158, "test": 1_143}
    assert grouped["code"].nunique().loc["icd10pcs"].to_dict() == {"train": 563, "dev": 375, "test": 371}
    assert grouped["admission_id"].nunique().loc["icd10pcs"].to_dict() == {"train": 435, "dev": 222, "test": 224}
    assert read.counts["codes"]["icd10cm"]["distinct"] == 2_557
    assert read.counts["codes"]["icd10pcs"]["distinct"] == 870
    assert sum(read.counts["dropped"].values()) == 0
