"""MDACE's annotations become spans of MIMIC-III's discharge summaries, on made notes and made files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from stage_commands import in_this_process, options

from medcode import config, corpora
from medcode.config.checking import check_evidence
from medcode.config.corpora.mimic3 import Options
from medcode.corpora import tables
from medcode.corpora.extraction import Extraction
from medcode.errors import UserError

NOTES = "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CATEGORY DESCRIPTION ISERROR TEXT"
CODES = "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE"
SUMMARY = "Discharge summary"
FOLDER = "mdace/ICD-9/1.0"

REPORT = 'Said "ill",\nhas high\nblood pressure.\n\nPast: stróke'
ADDENDUM = "Was ventilated ,  and has gout."
# (row, subject, admission, category, iserror, text); rows of other notes stand between those of an admission.
ROWS = [
    (905, 1, 11, SUMMARY, "", REPORT),
    (17, 2, 21, SUMMARY, "", "No gout here. Has asthma."),
    (3, 1, 11, "Radiology", "", "stroke"),
    (44, 1, 11, SUMMARY, "1", "gout of somebody else"),
    (45, 1, 11, SUMMARY, "", ADDENDUM),
]


def annotation(text: str, words: str, code: str, system: str = "ICD-9-CM", **changes) -> dict:
    """Annotate the words of a text."""
    begin = text.index(words)
    span = {"begin": begin, "end": begin + len(words), "code": code, "code_system": system}
    return span | {"description": "any", "type": "MapType.APPROX"} | changes


def note(row: int, *annotations: dict, category: str = SUMMARY) -> dict:
    return {"note_id": row, "category": category, "description": "Report", "annotations": list(annotations)}


def admission(hadm_id: int, *notes: dict) -> dict:
    return {"hadm_id": hadm_id, "comment": "any", "notes": list(notes)}


HYPERTENSION = annotation(REPORT, "high\nblood pressure", "401.9")
VENTILATION = annotation(ADDENDUM, "ventilated", "96.71", "ICD-9-PCS")
FILES = {
    "11-ICD-9.json": admission(
        11,
        note(45, VENTILATION, annotation(ADDENDUM, "gout", "2749")),
        note(905, HYPERTENSION, annotation(REPORT, "stróke", "434.91")),
    ),
    "21-ICD-9.json": admission(21, note(17, annotation(ROWS[1][5], "asthma", "493.90"))),
}
ELEVEN = [
    ("icd9proc", "96.71", "ventilated"),
    ("icd9cm", "274.9", "gout"),
    ("icd9cm", "401.9", "high\nblood pressure"),
    ("icd9cm", "434.91", "stróke"),
]


class Corpus:
    """A folder of MIMIC-III with annotation files."""

    def __init__(self, folder: Path, write_csv) -> None:
        self.folder, self._write_csv = folder, write_csv
        self.notes(ROWS)
        assigned = {"DIAGNOSES_ICD": ["4019", "2749", "43491", "49390"], "PROCEDURES_ICD": ["9671"]}
        for name, values in assigned.items():
            rows = [[i, i // 10, i, 1, code] for i in (11, 21) for code in values]
            write_csv(folder / f"{name}.csv", CODES, rows)

    def notes(self, rows: list[tuple], header: str = NOTES) -> None:
        table = [[i, s, h, "2150-01-01", c, "Report", e, t] for i, s, h, c, e, t in rows]
        self._write_csv(self.folder / "NOTEEVENTS.csv.gz", header, table)

    def annotate(self, files: dict[str, dict | bytes]) -> None:
        folder = self.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    def read(self, **changes) -> Extraction:
        values = {"systems": ["icd9cm", "icd9proc"], "evidence": FOLDER} | changes
        return corpora.read("mimic3", self.folder, Options(**values))

    def mistake(self, *notes: dict, of: int = 11) -> str:
        """Return the one line about a wrong file."""
        self.annotate({"x.json": admission(of, *notes)})
        return self.mistake_of_reading()

    def mistake_of_reading(self) -> str:
        with pytest.raises(UserError) as mistake:
            self.read()
        (line,) = mistake.value.args
        assert "\n" not in line and "gout" not in line and "pressure" not in line
        return line.removeprefix(f"{self.folder / FOLDER}").removeprefix("/")


@pytest.fixture
def corpus(tmp_path, write_csv) -> Corpus:
    return Corpus(tmp_path, write_csv)


def words(read: Extraction, of: str = "11") -> list[tuple[str, str, str]]:
    """The spans of an admission: system, code and text."""
    (text,) = (row["text"] for row in read.notes.table().to_pylist() if row["admission_id"] == of)
    spans = [row for row in read.spans.to_pylist() if row["admission_id"] == of]
    return [(row["system"], row["code"], text[row["start"] : row["end"]]) for row in spans]


def left_out(read: Extraction) -> dict[str, int]:
    dropped = read.counts["dropped"]
    return {key.removeprefix("annotations_"): dropped[key] for key in dropped if key.startswith("annotations_")}


NONE_LEFT_OUT = dict.fromkeys(
    ["other_admission", "other_category", "other_note", "other_system", "unusual_code", "no_words", "repeated"], 0
)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_offsets_of_a_row_become_words_of_the_joined_notes(corpus, monkeypatch, chunk):
    monkeypatch.setattr(tables.chunks, "__defaults__", (chunk,))
    corpus.annotate(FILES)
    read = corpus.read()
    assert words(read) == ELEVEN
    assert words(read, "21") == [("icd9cm", "493.90", "asthma")]
    assert read.counts["evidence"] == {"files": 2, "annotations": 5, "spans_within_words": 0}
    assert read.counts["spans"]["icd9cm"] == {"spans": 4, "parts": 4, "admissions": 2, "codes_without_span": 4}
    assert left_out(read) == NONE_LEFT_OUT
    assert read.remarks == ("evidence: 5 of 5 annotations taken (metrics/extract.json counts the others)",)


def test_row_ids_parsed_as_numbers_are_cleaned(corpus):
    corpus.notes([(f"{row[0]}.0", *row[1:]) for row in ROWS])
    corpus.annotate(FILES)
    assert words(corpus.read()) == ELEVEN


def test_line_breaks_of_two_characters_count_as_one(corpus):
    corpus.notes([(*row[:5], row[5].replace("\n", "\r\n")) for row in ROWS])
    corpus.annotate(FILES)
    assert words(corpus.read()) == [(*span[:2], span[2].replace("\n", "\r\n")) for span in ELEVEN]


def test_without_evidence_nothing_changes(corpus):
    corpus.annotate({"wrong.json": b"wrong"})
    corpus.notes(ROWS, NOTES.replace("ROW_ID", "ROW"))
    read = corpus.read(evidence="none")
    assert read.spans.num_rows == 0 and read.remarks == ()
    assert "evidence" not in read.counts and left_out(read) == {}


def test_evidence_adds_to_a_table_of_spans(corpus, write_csv):
    write_csv(corpus.folder / "SPANS.csv", "HADM_ID NOTE SYSTEM CODE START END", [[11, 0, "icd9cm", "4019", 0, 4]])
    corpus.annotate(FILES)
    assert words(corpus.read()) == [("icd9cm", "401.9", "Said"), *ELEVEN]


def test_annotations_are_left_out_by_reason(corpus):
    corpus.annotate(
        {
            "11.json": admission(
                11,
                note(3, annotation("stroke", "stroke", "434.91"), category="Radiology"),
                note(44, HYPERTENSION, HYPERTENSION),
                note(45, VENTILATION, VENTILATION | {"type": "Human"}, VENTILATION | {"code_system": "ICD-10-PCS"}),
                note(
                    905,
                    *(HYPERTENSION | {"code_system": name} for name in ("CPT", "ICD-10-CM")),
                    HYPERTENSION | {"code": "NoDx"},
                    HYPERTENSION | {"code": "40.19"},
                    HYPERTENSION | {"end": HYPERTENSION["begin"]},
                    annotation(REPORT, "\n\n", "401.9"),
                    HYPERTENSION | {"code": "250.00"},
                ),
                note(46),
            ),
            "99.json": admission(99, note(1, HYPERTENSION), note(2, *[HYPERTENSION] * 3, category="Physician")),
        }
    )
    read = corpus.read()
    assert words(read) == [("icd9proc", "96.71", "ventilated")]
    assert left_out(read) == {
        "other_admission": 4,
        "other_category": 1,
        "other_note": 2,
        "other_system": 3,
        "unusual_code": 2,
        "no_words": 2,
        "repeated": 1,
    }
    assert read.counts["dropped"]["spans_of_other_codes"] == 1
    assert read.counts["evidence"] == {"files": 2, "annotations": 17, "spans_within_words": 0}
    diagnoses = corpus.read(systems=["icd9cm"])
    assert words(diagnoses) == [] and left_out(diagnoses)["other_system"] == 5


def test_blanks_at_the_ends_of_a_span_are_trimmed(corpus):
    spans = [
        annotation(ADDENDUM, " ventilated ", "96.71", "ICD-9-PCS"),
        annotation(ADDENDUM, " ,  ", "96.71", "ICD-9-PCS"),
        annotation(ADDENDUM, "gout.", "274.9"),
    ]
    broken = annotation(REPORT, "\nblood pressure.\n\n", "401.9")
    corpus.annotate({"11.json": admission(11, note(45, *spans), note(905, broken))})
    assert [text for _, _, text in words(corpus.read())] == ["ventilated", ",", "gout.", "blood pressure."]


def test_offsets_of_other_texts_show_in_the_counts(corpus):
    shifted = [
        {**one, "begin": one["begin"] + 1, "end": one["end"] + 1}
        for one in FILES["11-ICD-9.json"]["notes"][0]["annotations"]
    ]
    whole = {**HYPERTENSION, "begin": 0, "end": len(REPORT)}
    corpus.annotate({"11.json": admission(11, note(45, *shifted), note(905, whole))})
    assert corpus.read().counts["evidence"]["spans_within_words"] == 2


def test_a_span_outside_its_note_is_refused(corpus):
    size = len(ADDENDUM)
    for begin, end in ((size - 4, size + 1), (5, 3), (size + 1, size + 1), (size + 7, size + 9)):
        assert corpus.mistake(note(45, VENTILATION | {"begin": begin, "end": end})) == (
            f"x.json: note 45: the span {begin} to {end} is not within the note, which has {size} characters"
        )


def test_a_note_of_another_admission_is_refused(corpus):
    assert corpus.mistake(note(45, VENTILATION), of=21) == (
        "x.json: note 45: NOTEEVENTS has it in admission 11, this file in 21"
    )


def without(value: dict, key: str) -> dict:
    return {name: one for name, one in value.items() if name != key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"hadm_id": 11, "notes": [', "Invalid JSON: EOF while parsing a list at line 1 column 26"),
        (b"[]", "Input should be an object"),
        (b'{"hadm_id": "gout", "notes": []}', "hadm_id: Input should be a valid integer"),
        (b'{"hadm_id": 11}', "notes: Field required"),
        (admission(11, without(note(45), "note_id")), "notes.0.note_id: Field required"),
        (admission(11, note(45), without(note(905), "annotations")), "notes.1.annotations: Field required"),
        (
            admission(11, note(45, VENTILATION, VENTILATION | {"code": 96.71})),
            "notes.0.annotations.1.code: Input should be a valid string",
        ),
        (
            admission(11, note(45, VENTILATION | {"begin": -1})),
            "notes.0.annotations.0.begin: Input should be greater than or equal to 0",
        ),
        (
            admission(11, note(45, VENTILATION | {"end": "gout"})),
            "notes.0.annotations.0.end: Input should be a valid integer",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(corpus, content, message):
    corpus.annotate(FILES | {"x.json": content})
    assert corpus.mistake_of_reading() == f"x.json: {message}; docs/DATA.md shows the form"


def test_an_admission_with_two_files_is_refused(corpus):
    corpus.annotate(FILES | {"x.json": admission(11)})
    assert corpus.mistake_of_reading() == "x.json: 11-ICD-9.json has admission 11 too; keep one of the two files"


def test_a_folder_without_files_is_refused(corpus):
    message = ": there is no *.json file; name a folder that has them (docs/DATA.md)"
    assert corpus.mistake_of_reading() == message
    corpus.annotate({"README.md": b"gout"})
    assert corpus.mistake_of_reading() == message


@pytest.mark.parametrize("folder", ["", ".", "/", "/data/mdace", "..", "mdace/../../codiesp"])
def test_the_folder_is_within_that_of_the_corpus(folder):
    values = {"systems": ["icd9cm"], "evidence": folder}
    with pytest.raises(UserError) as mistake:
        config.build(Options, values, "params.yaml", "corpora.mimic3")
    assert str(mistake.value) == (
        f"params.yaml: corpora.mimic3.evidence: expected a folder within that of the corpus, or none, found {folder!r}"
    )


def params_with_evidence(root: Path, place: Path, evidence: str) -> Path:
    """Write a params.yaml whose corpus is mimic3."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["corpus"] = "mimic3"
    params["corpora"]["mimic3"]["evidence"] = evidence
    path = place / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return path


def test_the_folder_is_checked_before_anything_runs(root, tmp_path):
    raw, outside = tmp_path / "raw", tmp_path / "outside/1.0"
    outside.mkdir(parents=True)
    check_evidence(params_with_evidence(root, tmp_path, "none"), raw)
    params = params_with_evidence(root, tmp_path, "mdace/1.0")
    check_evidence(params, raw)  # that there is no corpus is another line
    (raw / "mimic3").mkdir(parents=True)
    key = f"{params}: corpora.mimic3.evidence"
    with pytest.raises(UserError, match=f"{key}: there is no folder {raw}/mimic3/mdace/1.0; docs/DATA.md says"):
        check_evidence(params, raw)
    (raw / "mimic3/mdace").symlink_to(outside.parent)
    with pytest.raises(UserError, match=f"{key}: {raw}/mimic3/mdace is a link, behind which DVC sees no changes"):
        check_evidence(params, raw)
    (raw / "mimic3/mdace").unlink()
    (raw / "mimic3/mdace/1.0").mkdir(parents=True)
    check_evidence(params, raw)


def test_the_stage_extracts_spans_and_their_counts(root, corpus):
    """From tables and annotation files to the files of the workflow, with the options of dvc.yaml."""
    corpus.annotate(FILES | {"99-ICD-9.json": admission(99, note(1, HYPERTENSION))})
    work = corpus.folder / "work"
    work.mkdir()
    params_with_evidence(root, work, FOLDER)
    outputs = {name: f"{name}.parquet" for name in ("notes", "codes", "spans")} | {"metrics": "extract.json"}
    done = in_this_process("extract", options(params="params.yaml", raw=corpus.folder, **outputs), work)
    assert done.returncode == 0
    assert "evidence: 5 of 6 annotations taken (metrics/extract.json counts the others)" in done.stderr
    texts = {row["admission_id"]: row["text"] for row in pq.read_table(work / "notes.parquet").to_pylist()}
    spans = pq.read_table(work / "spans.parquet").to_pylist()
    found = [(row["code"], texts[row["admission_id"]][row["start"] : row["end"]]) for row in spans]
    assert found == [*(span[1:] for span in ELEVEN), ("493.90", "asthma")]
    metrics = (work / "extract.json").read_text()
    assert json.loads(metrics)["dropped"]["annotations_other_admission"] == 1
    assert json.loads(metrics)["evidence"] == {"files": 3, "annotations": 6, "spans_within_words": 0}
    assert not any(word in metrics for word in ("gout", "stróke", "pressure"))
