"""Spans: offsets point at their mentions in the table of notes, whatever the text and however notes are joined."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode import corpora, io
from medcode.config.corpora import cantemist, codiesp, jsonl
from medcode.corpora.extraction import Codes, extraction
from medcode.corpora.notes import Notes
from medcode.corpora.spans import SPANS, Spans, offsets
from medcode.errors import UserError

# Accents composed and decomposed, an emoji with its modifier, line ends of three systems, a separator that
# str.splitlines splits at, and a byte-order mark within the text.
texts = st.text("aé\u0301 ñ漢\U0001f469\U0001f3fd\u200d\r\n\t\x0b\u2028\ufeff.", min_size=1, max_size=40)


@st.composite
def notes_with_parts(draw) -> list[tuple[str, list[list[tuple[int, int]]]]]:
    """Sample the notes of an admission, each with the parts of its spans."""
    notes = []
    for text in draw(st.lists(texts, min_size=1, max_size=4)):
        ends = st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True)
        part = ends.map(lambda pair: (min(pair), max(pair)))
        notes.append((text, draw(st.lists(st.lists(part, min_size=1, max_size=3), max_size=3))))
    return notes


def mention(text: str, parts: list[tuple[int, int]]) -> str:
    return " ".join(text[start:end] for start, end in parts)


@pytest.fixture
def coded() -> tuple[Notes, Codes]:
    notes = Notes("here")
    notes.add("1", "1", "dolor torácico")
    codes = Codes(notes.admissions)
    codes.add("icd10cm", pd.Series(["1"], dtype="str"), pd.Series(["R079"], dtype="str"), "table")
    return notes, codes


@given(notes_with_parts())
def test_offsets_are_those_of_the_joined_notes(notes_of_admission):
    notes = Notes("here")
    for text, _ in notes_of_admission:
        notes.add("1", "1", text)
        notes.add("2", "2", "another admission between them")
    codes = Codes(notes.admissions)
    codes.add("icd10cm", pd.Series(["1"], dtype="str"), pd.Series(["I10"], dtype="str"), "table")
    spans, expected = Spans(notes), []
    for number, (text, all_parts) in enumerate(notes_of_admission):
        for parts in all_parts:
            expected.append(mention(text, parts))
            spans.add("1", "icd10cm", "I10", parts, expected[-1], note=number)
    read = extraction(notes, codes, note_rows=len(notes_of_admission), spans=spans)
    assert read.spans.schema == SPANS
    stored = read.notes.table()["text"][0].as_py()
    found = [
        mention(stored, list(rows[["start", "end"]].itertuples(index=False)))
        for _, rows in read.spans.to_pandas().groupby("span", sort=True)
    ]
    assert found == expected
    assert read.counts["span_mentions"] == {"compared": len(expected), "different": 0}


@given(st.lists(notes_with_parts().map(lambda notes: notes[0]), min_size=1, max_size=4))
def test_spans_of_own_notes_are_read_as_written(tmp_path_factory, notes):
    folder = tmp_path_factory.mktemp("jsonl")
    lines, expected = [], []
    code = {"system": "icd10cm", "code": "E11.9"}
    for number, (text, all_parts) in enumerate(notes):
        spans = [code | {"start": start, "end": end} for parts in all_parts for start, end in parts]
        expected += [text[span["start"] : span["end"]] for span in spans]
        lines.append({"admission_id": number, "patient_id": number, "text": text, "codes": [code], "spans": spans})
    (folder / "notes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    # With a spool, spans are read back between the notes that are written.
    with io.spool(folder / "notes.parquet") as spool:
        read = corpora.read("jsonl", folder, jsonl.Options(systems=["icd10cm"]), spool)
        stored = {row["admission_id"]: row["text"] for row in read.notes.table().to_pylist()}
    assert [stored[str(number)] for number in range(len(notes))] == [text for text, _ in notes]
    assert [stored[row["admission_id"]][row["start"] : row["end"]] for row in read.spans.to_pylist()] == expected


def test_parts_of_a_span_share_its_number(coded):
    notes, codes = coded
    spans = Spans(notes)
    spans.add("1", "icd10cm", "R07.9", [(0, 5)], "dolor")
    spans.add("1", "icd10cm", "R07.9", [(6, 14), (5, 5), (0, 5)], "torácico dolor")
    read = extraction(notes, codes, 1, spans=spans)
    code = {"admission_id": "1", "system": "icd10cm", "code": "R07.9"}
    assert read.spans.to_pylist() == [
        code | {"span": 0, "start": 0, "end": 5},
        code | {"span": 1, "start": 6, "end": 14},
        code | {"span": 1, "start": 0, "end": 5},
    ]
    assert read.counts["spans"] == {"icd10cm": {"spans": 2, "parts": 3, "admissions": 1, "codes_without_span": 0}}
    assert read.counts["dropped"]["span_parts_empty"] == 1


def test_a_mention_that_differs_from_the_text_is_counted(coded):
    notes, codes = coded
    spans = Spans(notes)
    spans.add("1", "icd10cm", "R07.9", [(0, 14)], "dolor \n torácico")
    spans.add("1", "icd10cm", "R07.9", [(0, 5)], "Dolor")
    spans.add("1", "icd10cm", "R07.9", [(0, 5)])
    assert extraction(notes, codes, 1, spans=spans).counts["span_mentions"] == {"compared": 2, "different": 1}


def test_spans_of_codes_that_are_not_assigned_are_left_out_and_counted(coded):
    notes, codes = coded
    spans = Spans(notes)
    for code in ("R07.9", "R07.8"):
        spans.add("1", "icd10cm", code, [(0, 2), (3, 5)])
    read = extraction(notes, codes, 1, spans=spans)
    assert read.spans["code"].to_pylist() == ["R07.9", "R07.9"]
    assert read.counts["dropped"]["spans_of_other_codes"] == 1


def test_a_corpus_without_spans_has_an_empty_table(coded):
    read = extraction(*coded, 1)
    assert read.spans.schema == SPANS and read.spans.num_rows == 0
    assert read.counts["spans"] == {}


@pytest.mark.parametrize(
    ("parts", "note", "message"),
    [
        ([(0, 15)], 0, "the span 0 to 15 is not within the note, which has 14 characters"),
        ([(0, 2), (-3, 5)], 0, "the span -3 to 5 is not within the note"),
        ([(5, 2)], 0, "the span 5 to 2 is not within the note"),
        ([(3, 3), (4, 4)], 0, "the span 3 to 3 and 4 to 4 is empty"),
        ([(0, 2)], 1, "there is no note 1 of admission 1, which has 1"),
    ],
)
def test_a_span_outside_its_note_is_refused(coded, parts, note, message):
    with pytest.raises(UserError, match=message):
        Spans(coded[0]).add("1", "icd10cm", "R07.9", parts, note=note)


def test_offsets_are_parsed_as_brat_writes_them():
    assert offsets("12 30") == [(12, 30)]
    assert offsets("12 30;41 47;3 3") == [(12, 30), (41, 47), (3, 3)]
    for wrong in ("", "12", "12 30;", "12  30", "-1 3", "1.0 3", "² 3"):
        with pytest.raises(UserError, match="expected offsets such as 12 30 or 12 30;41 47"):
            offsets(wrong)


def stored_mentions(read) -> dict[tuple[str, int], str]:
    """Return the text of each span, its parts joined by blanks, by admission and number."""
    notes = read.notes.table().to_pandas().set_index("admission_id")["text"]
    found: dict[tuple[str, int], list[str]] = {}
    for row in read.spans.to_pylist():
        text = notes[row["admission_id"]][row["start"] : row["end"]]
        found.setdefault((row["admission_id"], row["span"]), []).append(text)
    return {key: " ".join(parts) for key, parts in found.items()}


def test_slices_of_codiesp_are_its_mentions(shared):
    folder = shared / "corpora" / "codiesp"
    read = corpora.read("codiesp", folder, codiesp.Options(language="es", track="both"))
    lines = [
        line.split("\t")
        for split in ("train", "dev", "test")
        for line in (folder / split / f"{split}X.tsv").read_bytes().decode().split("\n")
        if line
    ]
    numbers: dict[str, int] = {}
    found, different = stored_mentions(read), 0
    for case, _, _, mention_text, _ in lines:
        number = numbers.get(case, 0)
        numbers[case] = number + 1
        different += found.pop((case, number)).split() != mention_text.split()
    assert not found
    # In these the text has one sign more at an end, such as a period.
    assert different == 7 == read.counts["span_mentions"]["different"]
    assert read.counts["spans"] == {
        "icd10cm": {"spans": 14_305, "parts": 16_468, "admissions": 1_000, "codes_without_span": 0},
        "icd10pcs": {"spans": 4_130, "parts": 5_934, "admissions": 881, "codes_without_span": 0},
    }
    assert read.counts["dropped"]["span_parts_empty"] == 4


def test_slices_of_cantemist_are_its_mentions(shared):
    folder = shared / "corpora" / "cantemist"
    read = corpora.read("cantemist", folder, cantemist.Options(dev="both"))
    found = stored_mentions(read)
    for path in sorted(folder.glob("*/cantemist-norm/*.ann")):
        lines = [line.split("\t") for line in path.read_bytes().decode().split("\n") if line.startswith("T")]
        for number, (_, _, mention_text) in enumerate(lines):
            assert found.pop((path.stem, number)) == mention_text
    assert not found
    assert read.counts["spans"] == {
        "icdo3": {"spans": 16_032, "parts": 16_032, "admissions": 1_300, "codes_without_span": 0}
    }
    assert read.counts["span_mentions"] == {"compared": 16_032, "different": 0}
