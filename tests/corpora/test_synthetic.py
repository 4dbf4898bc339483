"""The synthetic corpus on disk: formats, irregularities and statistics as in MIMIC."""

from __future__ import annotations

import collections
import csv
import gzip
import io
import re
from pathlib import Path

import pytest

from medcode import config, corpora
from medcode.config import corpora as option_classes
from medcode.config.corpora import SYNTHETIC_CORPORA
from medcode.corpora.synthetic import knowledge, mimic3, mimic4, terminology, write_mimic3, write_mimic4
from medcode.corpora.synthetic.grammar import count_words

SHORT = 400
MIMIC3_TABLES = {
    "NOTEEVENTS": "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT",
    "DIAGNOSES_ICD": "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE",
    "ADMISSIONS": "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,ADMISSION_LOCATION,"
    "DISCHARGE_LOCATION,INSURANCE,LANGUAGE,RELIGION,MARITAL_STATUS,ETHNICITY,EDREGTIME,EDOUTTIME,DIAGNOSIS,"
    "HOSPITAL_EXPIRE_FLAG,HAS_CHARTEVENTS_DATA",
    "PATIENTS": "ROW_ID,SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG",
    "SPANS": "HADM_ID,NOTE,SYSTEM,CODE,START,END",
}
MIMIC4_TABLES = {
    "hosp/diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "hosp/procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
    "hosp/d_icd_diagnoses": "icd_code,icd_version,long_title",
    "hosp/d_icd_procedures": "icd_code,icd_version,long_title",
    "hosp/admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,"
    "admission_location,discharge_location,insurance,language,marital_status,race,edregtime,edouttime,"
    "hospital_expire_flag",
    "hosp/patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "note/discharge": "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text",
    "note/spans": "hadm_id,note,system,code,start,end",
}
# The papers' fifty codes, the most frequent of MIMIC-III.
TOP50 = [
    "401.9", "38.93", "428.0", "427.31", "414.01", "96.04", "96.6", "584.9", "250.00", "96.71",
    "272.4", "518.81", "99.04", "39.61", "599.0", "530.81", "96.72", "272.0", "285.9", "88.56",
    "244.9", "486", "38.91", "285.1", "36.15", "276.2", "496", "99.15", "995.92", "V58.61",
    "507.0", "038.9", "88.72", "585.9", "403.90", "311", "305.1", "37.22", "412", "33.24",
    "39.95", "287.5", "410.71", "276.1", "V45.81", "424.0", "45.13", "V15.82", "511.9", "37.23",
]  # fmt: skip

Rows = list[dict[str, str]]


def text_of(folder: Path, table: str) -> str:
    with gzip.open(folder / f"{table}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return file.read()


def rows_of(folder: Path, table: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text_of(folder, table), newline="")))


@pytest.fixture(scope="module")
def options(root) -> config.Synthesize:
    return config.load_all(root / "params.yaml").synthesize


@pytest.fixture(scope="module")
def iii(tmp_path_factory, options) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "iii"
    write_mimic3(folder, options)
    return folder


@pytest.fixture(scope="module")
def iv(tmp_path_factory, options) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "iv"
    write_mimic4(folder, options)
    return folder


@pytest.fixture(scope="module")
def iii_rows(iii) -> dict[str, Rows]:
    return {table: rows_of(iii, table) for table in MIMIC3_TABLES}


@pytest.fixture(scope="module")
def iv_rows(iv) -> dict[str, Rows]:
    return {table: rows_of(iv, table) for table in MIMIC4_TABLES}


def pairs(rows: dict[str, Rows]) -> list[tuple[str, str]]:
    """Return all (admission, dotted code) of the tables of MIMIC-III, without duplicates."""
    code_rows = {}
    for table, procedure in (("DIAGNOSES_ICD", False), ("PROCEDURES_ICD", True)):
        for row in rows[table]:
            if row["ICD9_CODE"]:
                code_rows[row["HADM_ID"], terminology.dotted(row["ICD9_CODE"], procedure=procedure)] = None
    return list(code_rows)


def test_columns_and_files(iii, iv):
    for folder, tables, quote in ((iii, MIMIC3_TABLES, '"'), (iv, MIMIC4_TABLES, "")):
        written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert written == {f"{table}.csv.gz" for table in tables}
        for table, columns in tables.items():
            with gzip.open(folder / f"{table}.csv.gz", "rt") as file:
                assert file.readline() == ",".join(f"{quote}{name}{quote}" for name in columns.split(",")) + "\n", table


def test_types_and_quotes_of_mimic3(iii, iii_rows):
    note = re.compile(
        r"\d+,\d+,\d*,\d{4}-\d\d-\d\d,(\d{4}-\d\d-\d\d \d\d:\d\d:00)?,(\d{4}-\d\d-\d\d \d\d:\d\d:00)?,"
        r'"[A-Z][^"]*","[^"]+",\d*,("1")?,"'
    )
    body = text_of(iii, "NOTEEVENTS").partition("\n")[2]
    assert len(note.findall("\n" + body.replace('""', ""))) == len(iii_rows["NOTEEVENTS"])
    codes = re.compile(r'\d+,\d+,\d+,(\d+,"[0-9EV]\d+"|,)')
    for table in ("DIAGNOSES_ICD", "PROCEDURES_ICD"):
        lines = text_of(iii, table).splitlines()[1:]
        assert all(codes.fullmatch(line) for line in lines)
    for table, rows in iii_rows.items():
        if table != "SPANS":
            assert [int(row["ROW_ID"]) for row in rows] == list(range(1, len(rows) + 1)), table


def test_types_of_mimic4(iv, iv_rows):
    for table, columns in (("diagnoses_icd", r"\d+"), ("procedures_icd", r"\d+,\d{4}-\d\d-\d\d")):
        line = re.compile(rf"1\d{{7}},2\d{{7}},{columns},(\d+|[EV]\d+),9|1\d{{7}},2\d{{7}},{columns},[0-9A-Z]+,10")
        assert all(line.fullmatch(text) for text in text_of(iv, f"hosp/{table}").splitlines()[1:])
    diagnoses = [(row["hadm_id"], row["icd_code"]) for row in iv_rows["hosp/diagnoses_icd"]]
    assert len(diagnoses) == len(set(diagnoses))
    notes = iv_rows["note/discharge"]
    assert len({row["hadm_id"] for row in notes}) == len({row["note_id"] for row in notes}) == len(notes)
    for row in notes:
        assert row["note_id"] == f"{row['subject_id']}-DS-{row['note_seq']}"
        assert row["note_type"] == "DS"
        assert "___" in row["text"]
        assert "[**" not in row["text"]


def test_identifiers_are_unique_and_consistent(iii_rows, iv_rows, options):
    stays = {row["HADM_ID"]: row["SUBJECT_ID"] for row in iii_rows["ADMISSIONS"]}
    people = [row["SUBJECT_ID"] for row in iii_rows["PATIENTS"]]
    assert len(stays) == options.admissions
    assert sorted(people) == sorted(set(stays.values()))
    for table in ("NOTEEVENTS", "DIAGNOSES_ICD", "PROCEDURES_ICD"):
        assert all(stays[row["HADM_ID"]] == row["SUBJECT_ID"] for row in iii_rows[table] if row["HADM_ID"])
    stays = {row["hadm_id"]: row["subject_id"] for row in iv_rows["hosp/admissions"]}
    assert len(stays) == options.admissions
    assert len(iv_rows["hosp/patients"]) == len(set(stays.values())) == len(people)
    assert all(stays[row["hadm_id"]] == row["subject_id"] for row in iv_rows["note/discharge"])


def test_mimic3_tables_have_the_irregularities_of_mimic(iii_rows):
    notes = iii_rows["NOTEEVENTS"]
    categories = collections.Counter(row["CATEGORY"] for row in notes)
    assert {"Discharge summary", "Nursing/other", "Radiology", "ECG", "Physician ", "Respiratory "} <= set(categories)
    summaries = [row for row in notes if row["CATEGORY"] == "Discharge summary"]
    assert {row["DESCRIPTION"] for row in summaries} == {"Report", "Addendum"}
    per_stay = collections.Counter(row["HADM_ID"] for row in summaries if row["DESCRIPTION"] == "Report")
    assert max(per_stay.values()) == 2
    assert not any(row["ISERROR"] or not row["HADM_ID"] for row in summaries)
    assert any(row["ISERROR"] == "1" for row in notes)
    assert any(not row["HADM_ID"] for row in notes)
    text = "\n".join(row["TEXT"] for row in summaries)
    for mark in ("[**Known lastname ", "[**Hospital1 ", "[**Last Name (NamePattern1) ", "[**Age over 90 **]"):
        assert mark in text
    assert re.search(r"\[\*\*2\d{3}-\d{1,2}-\d{1,2}\*\*\]", text)
    assert "___" not in text

    stays = {row["HADM_ID"] for row in iii_rows["ADMISSIONS"]}
    coded = {row["HADM_ID"] for row in iii_rows["DIAGNOSES_ICD"] if row["ICD9_CODE"]}
    empty = [row for row in iii_rows["DIAGNOSES_ICD"] if not row["ICD9_CODE"]]
    assert empty and all(not row["SEQ_NUM"] and row["HADM_ID"] not in coded for row in empty)
    assert len(stays - coded) > len(empty)  # some have not even a row
    assert stays - {row["HADM_ID"] for row in summaries}
    assert coded - {row["HADM_ID"] for row in summaries}
    repeated = collections.Counter((row["HADM_ID"], row["ICD9_CODE"]) for row in iii_rows["PROCEDURES_ICD"])
    assert max(repeated.values()) == 2
    assert any(row["ICD9_CODE"].startswith("0") for row in iii_rows["PROCEDURES_ICD"])
    assert max(collections.Counter(row["SUBJECT_ID"] for row in iii_rows["ADMISSIONS"]).values()) >= 3
    assert any(row["DOB"] < "1950" for row in iii_rows["PATIENTS"])  # older than 89: moved to 300 years before


def test_sequence_numbers(iii_rows):
    for table in ("DIAGNOSES_ICD", "PROCEDURES_ICD"):
        numbers: dict[str, list[int]] = {}
        for row in iii_rows[table]:
            if row["ICD9_CODE"]:
                numbers.setdefault(row["HADM_ID"], []).append(int(row["SEQ_NUM"]))
        assert all(numbers_of_stay == list(range(1, len(numbers_of_stay) + 1)) for numbers_of_stay in numbers.values())


def test_every_code_is_in_the_reference_data(iii_rows, iv_rows):
    assert {code for _, code in pairs(iii_rows)} <= set(terminology.icd9_descriptions())
    bare = {terminology.is_procedure(code): set() for code in ("38.93", "401.9")}
    for code in terminology.icd9_descriptions():
        bare[terminology.is_procedure(code)].add(terminology.plain(code))
    for table, procedure, system in (
        ("hosp/diagnoses_icd", False, "icd10cm"),
        ("hosp/procedures_icd", True, "icd10pcs"),
    ):
        codes_of = {
            version: {r["icd_code"] for r in iv_rows[table] if r["icd_version"] == version} for version in ("9", "10")
        }
        assert codes_of["9"] <= bare[procedure]
        assert codes_of["10"] <= set(terminology.icd10_descriptions(system))
        descriptions = iv_rows[f"hosp/d_icd_{table.removeprefix('hosp/').removesuffix('_icd')}"]
        described = {(row["icd_code"], row["icd_version"]) for row in descriptions}
        assert {(row["icd_code"], row["icd_version"]) for row in iv_rows[table]} <= described


def test_statistics_of_the_default(iii_rows, options):
    code_rows = pairs(iii_rows)
    counts = collections.Counter(code for _, code in code_rows)
    assert len(counts) > 1_500
    assert sum(count < 10 for count in counts.values()) > len(counts) / 2
    assert 9 <= len(code_rows) / len({stay for stay, _ in code_rows}) <= 16
    frequent = [code for code, _ in counts.most_common(60)]
    assert len(set(TOP50) & set(frequent)) >= 45
    assert set(frequent[:6]) & set(TOP50[:3]) == set(TOP50[:3])
    texts: dict[str, str] = {}
    for row in iii_rows["NOTEEVENTS"]:
        if row["CATEGORY"] == "Discharge summary":
            texts[row["HADM_ID"]] = texts.get(row["HADM_ID"], "") + " " + row["TEXT"]
    assert sum(map(count_words, texts.values())) / len(texts) == pytest.approx(options.mean_words, rel=0.1)
    n_other_notes = sum(row["CATEGORY"] != "Discharge summary" for row in iii_rows["NOTEEVENTS"])
    assert n_other_notes / options.admissions == pytest.approx(options.other_notes, rel=0.1)


@pytest.mark.parametrize("corpus", SYNTHETIC_CORPORA)
def test_spans_are_read_with_the_notes(corpus, request, root):
    folder = request.getfixturevalue({"synthetic-mimic3": "iii", "synthetic-mimic4": "iv"}[corpus])
    block = config.read_yaml(root / "params.yaml")["corpora"][corpus]
    read = corpora.read(corpus, folder, option_classes.find(corpus).model_validate(block))
    texts = read.notes.table().to_pandas().set_index("admission_id")["text"]
    spans = read.spans.to_pandas()
    assert set(spans["system"]) == set(read.counts["codes"])
    named = 0
    for row in spans.itertuples():
        evidence = texts[row.admission_id][row.start : row.end]
        assert evidence == evidence.strip() and evidence.isprintable() == ("\n" not in evidence)
        if row.system.startswith("icd9"):
            named += " ".join(evidence.lower().split()) in {
                " ".join(name.lower().split()) for name in knowledge.concept(row.code).names
            }
    assert 0.6 < named / spans["system"].str.startswith("icd9").sum() < 0.97
    assert spans.groupby(["admission_id", "span"]).size().max() == 1
    without = sum(counts["codes_without_span"] for counts in read.counts["spans"].values())
    assert without / read.codes.num_rows == pytest.approx(0.08, abs=0.02)
    assert read.counts["dropped"]["spans_of_other_codes"] == 0


def test_icd10_share(iv_rows, options):
    version = {row["hadm_id"]: row["icd_version"] for row in iv_rows["hosp/diagnoses_icd"]}
    assert all(
        version[row["hadm_id"]] == row["icd_version"]
        for row in iv_rows["hosp/procedures_icd"]
        if row["hadm_id"] in version
    )
    assert list(version.values()).count("10") / len(version) == pytest.approx(options.icd10_share, abs=0.05)


def test_the_same_seed_writes_the_same_bytes(iii, iv, options, tmp_path):
    short = options.model_copy(update={"admissions": SHORT})
    for write, name in ((write_mimic3, "iii"), (write_mimic4, "iv")):
        for run in ("a", "b"):
            write(tmp_path / run / name, short)
        files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a" / name).rglob("*.gz"))
        assert files
        for file in files:
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


@pytest.mark.parametrize("name", ["iii", "iv"])
def test_a_smaller_corpus_is_a_prefix_of_a_larger_one(name, request, options, tmp_path):
    write, tables = {"iii": (write_mimic3, MIMIC3_TABLES), "iv": (write_mimic4, MIMIC4_TABLES)}[name]
    # Not a multiple of the block in which admissions are planned.
    write(tmp_path / "short", options.model_copy(update={"admissions": SHORT - 13}))
    for table in tables:
        larger, smaller = text_of(request.getfixturevalue(name), table), text_of(tmp_path / "short", table)
        assert larger.startswith(smaller), table


def test_seed_and_rates_matter(options, tmp_path):
    short = options.model_copy(update={"admissions": 60, "other_notes": 0.0})
    write_mimic3(tmp_path / "a", short)
    write_mimic3(tmp_path / "b", short.model_copy(update={"seed": short.seed + 1}))
    write_mimic3(tmp_path / "c", short.model_copy(update={"uncoded_share": 1.0}))
    assert text_of(tmp_path / "a", "DIAGNOSES_ICD") != text_of(tmp_path / "b", "DIAGNOSES_ICD")
    assert text_of(tmp_path / "a", "NOTEEVENTS") == text_of(tmp_path / "c", "NOTEEVENTS")  # codes do not change notes
    assert {row["CATEGORY"] for row in rows_of(tmp_path / "a", "NOTEEVENTS")} == {"Discharge summary"}
    assert not any(row["ICD9_CODE"] for row in rows_of(tmp_path / "c", "DIAGNOSES_ICD"))


def test_identifiers_do_not_collide_beyond_the_scattered_range():
    for module, beyond in ((mimic3, 220_000), (mimic4, 1_000)):
        step = {mimic3: (100_001, 99_991, 61_417), mimic4: (20_000_019, 9_999_901, 3_141_593)}[module]
        numbers = [module.scattered(number, *step) for number in range(beyond)]
        assert len(set(numbers)) == beyond
