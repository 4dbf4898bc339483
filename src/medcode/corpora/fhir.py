"""A bulk export of FHIR R4: files DocumentReference, Condition and Procedure, .ndjson or .ndjson.gz.

An encounter is an admission. Its note is the plain text of its documents in the order of their dates, and its codes are
those of its conditions and procedures. What of the export cannot be used is counted by reason, and not an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from medcode.codes import formatting
from medcode.corpora import fhir_resources as resources
from medcode.corpora.extraction import Extraction, collected, extraction
from medcode.corpora.fhir_resources import PLAIN, Coded, Concept, DocumentReference
from medcode.corpora.named_counts import NamedCounts
from medcode.corpora.notes import Notes
from medcode.errors import UserError

# HL7 has one address for ICD-9-CM; what it means follows from the resource.
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
SYSTEMS = {
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm",
    "urn:oid:2.16.840.1.113883.6.90": "icd10cm",
    "http://www.cms.gov/Medicare/Coding/ICD10": "icd10pcs",
    "http://hl7.org/fhir/sid/icd-10-pcs": "icd10pcs",
    "urn:oid:2.16.840.1.113883.6.4": "icd10pcs",
    "urn:oid:2.16.840.1.113883.6.103": "icd9cm",
    "urn:oid:2.16.840.1.113883.6.104": "icd9proc",
}
# Why documents, and codings of conditions and procedures, are left out.
REASONS = (
    "documents_repeated", "documents_entered_in_error", "documents_superseded", "documents_of_other_types",
    "documents_without_encounter", "documents_of_several_encounters", "documents_without_patient",
    "documents_by_url", "documents_of_other_content_types", "documents_without_text", "texts_beside_others",
    "codings_missing",
    "codings_repeated", "codings_entered_in_error", "codings_refuted", "codings_not_done", "codings_without_encounter",
    "codings_of_unknown_systems", "codings_of_unusual_form",
)  # fmt: skip


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the files of a folder.

    Args:
        options: `type_codes`, types of the documents to read, all without any; `systems`, the code systems to keep.

    Raises:
        UserError: there is no file of documents, or none of conditions and procedures; a file is damaged; a line is not
            the resource that its file is named by; text cannot be decoded; an encounter has two patients; no document
            or no code remains.
    """
    if not (documents := resources.files(folder, "DocumentReference")):
        raise UserError(f"{folder}: there is no DocumentReference*.ndjson or .ndjson.gz file (docs/DATA.md)")
    coded = [(path, kind) for kind in ("Condition", "Procedure") for path in resources.files(folder, kind)]
    if not coded:
        raise UserError(f"{folder}: there is no Condition*.ndjson and no Procedure*.ndjson file (docs/DATA.md)")
    notes, dropped = Notes(str(folder), spool), Counter(dict.fromkeys(REASONS, 0))
    types, content_types, systems = NamedCounts(), NamedCounts(), NamedCounts()
    n_documents = _add_notes(notes, documents, options.type_codes, dropped, types, content_types)
    if not len(notes):
        reasons = _reasons(dropped, "documents_")
        kinds = f"; content types: {content_types}" if content_types else ""
        kinds += f"; types: {types}" if types else ""
        raise UserError(f"{folder}: no document of {n_documents:,} can be used: {reasons}{kinds}")
    ids: set[str] = set()
    assigned = [row for path, kind in coded for row in _codes(path, kind, ids, dropped, systems)]
    if not assigned:
        known = f"; systems of other codings: {systems}" if systems else ""
        raise UserError(f"{folder}: no condition or procedure can be used: {_reasons(dropped, 'codings_')}{known}")
    codes, dropped["codes_of_other_systems"] = collected(notes, assigned, options.systems)
    return extraction(
        notes,
        codes,
        n_documents,
        dropped,
        remarks=(f"fhir: codings of systems that are not read: {systems}",) if systems else (),
        document_types=dict(types.counts),
        other_content_types=dict(content_types.counts),
        other_code_systems=dict(systems.counts),
    )


def _reasons(dropped: Counter[str], beginning: str) -> str:
    counts = {name.removeprefix(beginning): n for name, n in dropped.items() if n and name.startswith(beginning)}
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items()) or "there is none"


def _add_notes(
    notes: Notes,
    paths: list[Path],
    chosen: set[str],
    dropped: Counter[str],
    types: NamedCounts,
    content_types: NamedCounts,
) -> int:
    """Add the documents to read, order those of an encounter by date, and return the number of all documents."""
    days: dict[str, list[datetime]] = {}
    patients: dict[str, str] = {}
    ids: set[str] = set()
    number_of_all = 0
    for path in paths:
        for number, document in resources.read(path, "DocumentReference", DocumentReference):
            number_of_all += 1
            for name in sorted(document.type.codes) or ["none"]:
                types.add(name)
            try:
                found = _use(document, chosen, ids, content_types, dropped)
                if isinstance(found, str):
                    dropped[f"documents_{found}"] += 1
                    continue
                encounter, patient, text = found
                if patients.setdefault(encounter, patient) != patient:
                    raise UserError(f"encounter {encounter} has another patient in a document before")
                days.setdefault(encounter, []).append(document.day)
                notes.add(encounter, patient, text)
            except UserError as error:
                raise UserError(f"{path}: line {number}: {error}") from None
    notes.sort(days)
    return number_of_all


def _use(
    document: DocumentReference, chosen: set[str], ids: set[str], content_types: NamedCounts, dropped: Counter[str]
) -> tuple[str, str, str] | str:
    """Return encounter, patient and text of a document, or the reason why it cannot be used."""
    if _is_repeated(document.id, ids):
        return "repeated"
    if "entered-in-error" in (document.status, document.docStatus):
        return "entered_in_error"
    if document.status == "superseded":
        return "superseded"
    if chosen and not chosen & document.type.codes:
        return "of_other_types"
    encounters = {name for reference in document.context.encounter if (name := reference.encounter)}
    if len(encounters) != 1:
        return "of_several_encounters" if encounters else "without_encounter"
    if (patient := document.subject.patient) is None:
        return "without_patient"
    if not document.content:
        return "without_text"
    if not (attachments := [content.attachment for content in document.content if content.attachment.data]):
        return "by_url"
    # They are forms of one document, so others do not matter beside plain text.
    if not (plain := [one for one in attachments if one.media_type == PLAIN]):
        for attachment in attachments:
            content_types.add(attachment.media_type)
        return "of_other_content_types"
    if not (texts := list(dict.fromkeys(text for one in plain if (text := one.text()).strip()))):
        return "without_text"
    # Several may be the same in several charsets, or parts: no key of FHIR tells, so they are counted.
    dropped["texts_beside_others"] += len(texts) - 1
    return encounters.pop(), patient, texts[0]


def _codes(
    path: Path, kind: str, ids: set[str], dropped: Counter[str], systems: NamedCounts
) -> Iterator[tuple[str, str, str]]:
    """Yield encounter, system and code of each coding of a file, and count those that cannot be used."""
    for _, resource in resources.read(path, kind, Coded):
        encounter = resource.encounter.encounter
        repeated = _is_repeated(resource.id and f"{kind}/{resource.id}", ids)
        reason = "repeated" if repeated else resource.invalid
        if reason or encounter is None:
            dropped[f"codings_{(reason or 'without_encounter').replace('-', '_')}"] += len(resource.code.coding)
            continue
        dropped["codings_missing"] += not resource.code.coding
        for system, code in _codings(resource.code, "icd9proc" if kind == "Procedure" else "icd9cm", dropped, systems):
            yield encounter, system, code


def _codings(concept: Concept, icd9: str, dropped: Counter[str], systems: NamedCounts) -> Iterator[tuple[str, str]]:
    for coding in concept.coding:
        system = icd9 if coding.system == ICD9 else SYSTEMS.get(coding.system or "")
        if system is None:
            dropped["codings_of_unknown_systems"] += 1
            systems.add(coding.system)
            continue
        try:
            yield system, formatting.normalized(coding.code or "", system)
        except UserError:
            dropped["codings_of_unusual_form"] += 1


def _is_repeated(name: str | None, names: set[str]) -> bool:
    """Whether a resource came before, and remember it."""
    repeated = name is not None and name in names
    names.update([name] if name else [])
    return repeated
