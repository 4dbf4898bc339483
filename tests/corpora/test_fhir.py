"""Bulk exports of FHIR R4: what of them is read, what is counted, and one line for a wrong line, without text."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from medcode import corpora
from medcode.config.corpora.fhir import Options
from medcode.errors import UserError

SECRET = "lives at the harbor"
ALL = ["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]
ICD10CM, ICD9 = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"


def attachment(text=SECRET, content_type="text/plain", charset="utf-8", **changes) -> dict:
    data = base64.b64encode(text.encode(charset)).decode()
    return {"attachment": {"contentType": content_type, "data": data} | changes}


def document(encounter="e1", text=SECRET, **changes) -> dict:
    encounters = [{"reference": f"Encounter/{encounter}"}] if encounter else []
    return {
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/007"},
        "type": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
        "context": {"encounter": encounters}, "content": [attachment(text)],
    } | changes  # fmt: skip


def coded(*codings, kind="Condition", encounter="e1", **changes) -> dict:
    coding = [{"system": system, "code": code} for system, code in codings]
    resource = {"resourceType": kind, "encounter": {"reference": f"Encounter/{encounter}"}, "code": {"coding": coding}}
    return resource | changes


def write(path, *lines):
    content = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)


def read(folder, documents=(), conditions=(), types="all", systems=ALL):
    write(folder / "DocumentReference.ndjson", *(documents or [document()]))
    write(folder / "Condition.ndjson", *(conditions or [coded((ICD10CM, "I10"))]))
    return corpora.read("fhir", folder, Options(types=types, systems=systems))


def codes_of(extraction):
    return [tuple(row.values()) for row in extraction.codes.to_pylist()]


def test_documents_conditions_and_procedures_of_several_files(tmp_path):
    write(tmp_path / "DocumentReference.000.ndjson.gz", document("e1"), b"\n", document("e2", "b"))
    write(tmp_path / "DocumentReference.001.ndjson", document("e3", "c", subject={"reference": "Patient/7"}))
    write(
        tmp_path / "Condition.ndjson",
        coded((ICD10CM, "E11.9"), (ICD9, "250.00")),
        coded((ICD10CM, "I10"), encounter="e9"),
    )
    pcs = "http://www.cms.gov/Medicare/Coding/ICD10"
    write(tmp_path / "Procedure.ndjson.gz", coded((ICD9, "0331"), (pcs, "0DTJ4ZZ"), kind="Procedure", encounter="e2"))
    write(tmp_path / "ConditionDefinition.ndjson", b"not read")
    found = corpora.read("fhir", tmp_path, Options(types="all", systems=ALL))
    assert found.notes.table().to_pylist() == [
        {"admission_id": "e1", "patient_id": "007", "text": SECRET, "split": None},
        {"admission_id": "e2", "patient_id": "007", "text": "b", "split": None},
        {"admission_id": "e3", "patient_id": "7", "text": "c", "split": None},
    ]
    assert set(codes_of(found)) == {
        ("e1", "icd9cm", "250.00"), ("e1", "icd10cm", "E11.9"),
        ("e2", "icd9proc", "03.31"), ("e2", "icd10pcs", "0DTJ4ZZ"),
    }  # fmt: skip
    assert found.counts["dropped"]["codes_of_admissions_without_note"] == 1


def test_every_address_of_a_code_system(tmp_path):
    addresses = {
        ICD10CM: ("A00.0", "icd10cm"), "urn:oid:2.16.840.1.113883.6.90": ("A00.1", "icd10cm"),
        "http://www.cms.gov/Medicare/Coding/ICD10": ("0DTJ4ZZ", "icd10pcs"),
        "http://hl7.org/fhir/sid/icd-10-pcs": ("0DTJ0ZZ", "icd10pcs"),
        "urn:oid:2.16.840.1.113883.6.4": ("0DTJ8ZZ", "icd10pcs"), ICD9: ("401.9", "icd9cm"),
        "urn:oid:2.16.840.1.113883.6.103": ("401.1", "icd9cm"),
        "urn:oid:2.16.840.1.113883.6.104": ("03.31", "icd9proc"),
    }  # fmt: skip
    found = read(tmp_path, conditions=[coded(*((address, code) for address, (code, _) in addresses.items()))])
    assert {(code, system) for _, system, code in codes_of(found)} == set(addresses.values())


@pytest.mark.parametrize(
    ("reference", "admission"),
    [
        ("Encounter/a.B-1", "a.B-1"),
        ("https://server.org/fhir/Encounter/007", "007"),
        ("Encounter/7/_history/2", "7"),
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
        ("Encounter/7.0", "7.0"),
    ],
)
def test_references_to_encounters(tmp_path, reference, admission):
    documents = [document(context={"encounter": [{"reference": reference}] * 2})]
    found = read(tmp_path, documents, [coded((ICD10CM, "I10"), encounter={}) | {"encounter": {"reference": reference}}])
    assert found.notes.admissions == [admission] and codes_of(found) == [(admission, "icd10cm", "I10")]


def test_documents_of_an_encounter_are_in_the_order_of_their_dates(tmp_path):
    dates = {"c": "2180-05-08T00:00:00Z", "b": "2180-05-07T23:00:00-02:00", "a": "2180-05-07T23:00:00.123Z"}
    documents = [
        document(text=text, date=date) for text, date in {"c": dates["a"], "a": None, "b": dates["c"]}.items() if date
    ]
    documents.insert(1, document(text="a"))
    documents.append(document(text="d", date=dates["b"]))
    assert read(tmp_path, documents).notes.table()["text"].to_pylist() == ["a\nc\nb\nd"]


@pytest.mark.parametrize("charset", ["utf-8", "ISO-8859-1", "windows-1252", "utf-16"])
def test_text_is_decoded_by_its_charset(tmp_path, charset):
    contents = [
        attachment(f"{SECRET} é", f"Text/Plain; charset={charset}", charset),
        attachment(f"{SECRET} é", f'text/plain;charset="{charset}"', charset),
    ]
    for content in contents:
        assert read(tmp_path, [document(content=[content])]).notes.table()["text"].to_pylist() == [f"{SECRET} é"]


def test_plain_text_is_taken_from_the_forms_of_a_document(tmp_path):
    content = [attachment("<p>", "text/html"), {"attachment": {"url": "Binary/1"}}, attachment("a"), attachment("b")]
    found = read(tmp_path, [document(content=content)])
    assert found.notes.table()["text"].to_pylist() == ["a"] and found.counts["other_content_types"] == {}
    assert found.counts["dropped"]["texts_beside_others"] == 1


def test_plain_text_without_a_word_does_not_hide_another(tmp_path):
    content = [attachment(" \n"), attachment("a é", "text/plain;charset=latin-1", "latin-1"), attachment("a é")]
    found = read(tmp_path, [document(content=content)])
    assert found.notes.table()["text"].to_pylist() == ["a é"]
    assert found.counts["dropped"]["texts_beside_others"] == 0, "it is the same text in two charsets"


@pytest.mark.parametrize(("charset", "data"), [("utf-7", b"+2AA-"), ("unicode_escape", rb"\ud800")])
def test_half_a_surrogate_pair_is_no_text(tmp_path, charset, data):
    content = attachment(content_type=f"text/plain;charset={charset}", data=base64.b64encode(data).decode())
    with pytest.raises(UserError, match=f"line 1: attachment.data is no text in {charset}"):
        read(tmp_path, [document(content=[content])])


def test_documents_that_cannot_be_used_are_counted_by_reason(tmp_path):
    documents = [
        document("ok", id="1"),
        document("x", id="1"),
        document("x", status="entered-in-error"),
        document("x", docStatus="entered-in-error"),
        document("x", status="superseded"),
        document("x", type={"coding": [{"code": "11506-3"}]}),
        document("x", type={"text": SECRET}),
        document(None),
        document("x", context={"encounter": [{"reference": "Encounter/1"}, {"reference": "Encounter/2"}]}),
        document("x", subject={"reference": "Group/1"}),
        document("x", content=[{"attachment": {"contentType": "text/plain", "url": "Binary/1"}}]),
        document("x", content=[attachment("a", "application/pdf"), attachment("a", "text/html")]),
        document("x", content=[]),
        document("x", " \n"),
    ]
    found = read(tmp_path, documents, [coded((ICD10CM, "I10"), encounter="ok")], types="18842-5 1-8")
    assert found.notes.admissions == ["ok"] and found.counts["rows"]["notes"] == 14
    dropped = {key: n for key, n in found.counts["dropped"].items() if key.startswith("documents_")}
    assert dropped == {
        "documents_repeated": 1, "documents_entered_in_error": 2, "documents_superseded": 1,
        "documents_of_other_types": 2, "documents_without_encounter": 1, "documents_of_several_encounters": 1,
        "documents_without_patient": 1, "documents_by_url": 1, "documents_of_other_content_types": 1,
        "documents_without_text": 2,
    }  # fmt: skip
    assert found.counts["other_content_types"] == {"application/pdf": 1, "text/html": 1}
    assert found.counts["document_types"] == {"18842-5": 12, "11506-3": 1, "none": 1}


def test_codings_that_cannot_be_used_are_counted_by_reason(tmp_path):
    refuted = {"verificationStatus": {"coding": [{"code": "refuted"}]}}
    wrong = {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    snomed = "http://snomed.info/sct"
    conditions = [
        coded((ICD10CM, "I10"), (snomed, "38341003"), id="1"),
        coded((ICD10CM, "I10"), id="1"),
        coded((ICD10CM, "J18.9"), **refuted),
        coded((ICD10CM, "J18.9"), **wrong),
        coded(),
        coded((ICD10CM, "J18.9"), encounter="") | {"encounter": {}},
        coded((ICD10CM, SECRET), (ICD10CM, "3.31"), (None, "I10"), (SECRET, "I10")),
    ]
    procedures = [
        coded((ICD9, "0331"), kind="Procedure", id="1", status="not-done"),
        coded((ICD9, "0331"), kind="Procedure"),
    ]
    write(tmp_path / "Procedure.ndjson", *procedures)
    found = read(tmp_path, conditions=conditions, systems=["icd10cm"])
    assert codes_of(found) == [("e1", "icd10cm", "I10")]
    dropped = {key: n for key, n in found.counts["dropped"].items() if key.startswith("codings_")}
    assert dropped == {
        "codings_missing": 1,
        "codings_repeated": 1, "codings_entered_in_error": 1, "codings_refuted": 1, "codings_not_done": 1,
        "codings_without_encounter": 1, "codings_of_unknown_systems": 3, "codings_of_unusual_form": 2,
    }  # fmt: skip
    assert found.counts["dropped"]["codes_of_other_systems"] == 1
    assert found.counts["other_code_systems"] == {snomed: 1, "none": 1, "others": 1}
    (remark,) = found.remarks
    assert remark.startswith("fhir: codings of systems that are not read:") and f"{snomed} (1)" in remark


def test_if_nothing_remains_one_line_says_why(tmp_path):
    pdf = document(content=[attachment("a", "application/pdf")])
    line = r"no document of 3 can be used: 1 without encounter, 2 of other content types; .*: application/pdf \(2\)"
    with pytest.raises(UserError, match=line):
        read(tmp_path, [pdf, document(None), pdf])
    with pytest.raises(UserError, match=r"no document of 1 can be used: 1 of other types; types: 18842-5 \(1\)$"):
        read(tmp_path, types="11506-3")
    line = r"no condition or procedure can be used: 1 of unknown systems; .*: http://snomed\.info/sct \(1\)"
    with pytest.raises(UserError, match=line):
        read(tmp_path, conditions=[coded(("http://snomed.info/sct", "1"))])
    with pytest.raises(UserError, match="no admission with a note has a code of the chosen systems"):
        read(tmp_path, systems=["icd9cm"])


def test_a_folder_without_conditions_and_procedures_is_refused(tmp_path):
    write(tmp_path / "DocumentReference.ndjson", document())
    with pytest.raises(UserError, match=r"there is no Condition\*\.ndjson and no Procedure\*\.ndjson file"):
        corpora.read("fhir", tmp_path, Options(types="all", systems=ALL))


DATA = base64.b64encode(SECRET.encode()).decode()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            b'{"text": "' + SECRET.encode() + b"\n",
            r"Invalid JSON: .* \(column 29\); expected a DocumentReference of FHIR R4",
        ),
        (b'{"text": "\xff"}\n', "Invalid JSON"),
        (b"[" * 100_000 + b"\n", "Invalid JSON"),
        (b"5\n", "expected a DocumentReference"),
        ({"resourceType": SECRET}, "resourceType: Input should be 'DocumentReference'"),
        ({}, "resourceType: Field required"),
        (document(content=SECRET), "content: Input should be a valid array"),
        (
            document(content=[{"attachment": {"data": 5}}]),
            r"content\.0\.attachment\.data: Input should be a valid string",
        ),
        (document(subject=SECRET), "subject: Input should be"),
        (
            document(context={"encounter": {"reference": "Encounter/1"}}),
            r"context\.encounter: Input should be a valid array",
        ),
        (document(content=[attachment(data=f"{SECRET}!")]), "attachment.data is not base64"),
        (document(content=[attachment(data="é")]), "attachment.data is not base64"),
        (
            document(content=[attachment("é", charset="latin-1")]),
            "attachment.data is no text in utf-8; name its charset",
        ),
        (document(content=[attachment(content_type="text/plain; charset=harbor")]), "has an unknown charset"),
        (document(content=[attachment(content_type="text/plain; charset=hex")]), "has an unknown charset"),
        (document(date="May"), "date is no instant such as 2180-05-07T13:45:00Z"),
        (document(subject={"reference": "Patient/8"}), "encounter e1 has another patient in a document before"),
    ],
)
def test_a_wrong_line_is_named_without_its_text(tmp_path, wrong, message):
    with pytest.raises(UserError, match=rf"DocumentReference\.ndjson: line 2: .*{message}") as mistake:
        read(tmp_path, [document(), wrong])
    (line,) = mistake.value.args
    assert "\n" not in line and SECRET not in line and DATA not in line


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (coded((ICD10CM, 5)), r"code\.coding\.0\.code: Input should be a valid string; expected a Condition"),
        (coded(kind="Procedure"), "resourceType: expected Condition, found Procedure"),
        (document(), "resourceType: Input should be 'Condition' or 'Procedure'"),
        (b"{", "Invalid JSON"),
    ],
)
def test_a_wrong_condition_is_named(tmp_path, wrong, message):
    with pytest.raises(UserError, match=rf"Condition\.ndjson: line 2: .*{message}"):
        read(tmp_path, conditions=[coded((ICD10CM, "I10")), wrong])


def test_a_truncated_gz_is_refused(tmp_path):
    write(tmp_path / "DocumentReference.x.ndjson.gz", *(document(f"e{i}", str(i**9)) for i in range(500)))
    content = (tmp_path / "DocumentReference.x.ndjson.gz").read_bytes()
    (tmp_path / "DocumentReference.x.ndjson.gz").write_bytes(content[:-300])
    with pytest.raises(UserError, match=r"DocumentReference\.x\.ndjson\.gz: cut off or damaged"):
        read(tmp_path)
