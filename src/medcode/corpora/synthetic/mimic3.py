"""Writer of the synthetic corpus as MIMIC-III v1.4 tables."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from tqdm import tqdm

from medcode import config
from medcode.corpora.synthetic import terminology
from medcode.corpora.synthetic.grammar import Draw, pick, poisson
from medcode.corpora.synthetic.notes import Notes
from medcode.corpora.synthetic.other_notes import OtherNotes
from medcode.corpora.synthetic.people import Patient, Stay
from medcode.corpora.synthetic.styles import MIMIC3
from medcode.corpora.synthetic.tables import Table, open_tables, quoted, row, scattered, stamp, write_spans
from medcode.corpora.synthetic.terminology import is_procedure, plain
from medcode.corpora.synthetic.world import Admission, World
from medcode.io import atomic_folder

COLUMNS = {
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "ADMISSIONS": "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION "
    "DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS "
    "HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA",
    "SPANS": "HADM_ID NOTE SYSTEM CODE START END",  # not of MIMIC: where the notes have evidence of the codes
    "PATIENTS": "ROW_ID SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
}
INSURANCES = ("Private", "Medicaid", "Government", "Self Pay")
BACKGROUNDS = (
    ("ENGL", "ENGL", "ENGL", "SPAN", "RUSS", "PTUN", ""),
    ("CATHOLIC", "JEWISH", "NOT SPECIFIED", "UNOBTAINABLE", ""),
    ("MARRIED", "SINGLE", "WIDOWED", "DIVORCED", ""),
    ("WHITE", "WHITE", "WHITE", "BLACK/AFRICAN AMERICAN", "HISPANIC OR LATINO", "ASIAN", "UNKNOWN/NOT SPECIFIED"),
)
WITHOUT_SUMMARY = 0.03  # share of admissions that lack a discharge summary (MIMIC-III: 0.1)
OUTSIDE = 0.04  # share of other notes without an admission
WRONG = 0.01  # share of other notes marked as errors
UNTIMED = ("Discharge summary", "ECG", "Echo")
REPEATED_CODE = 0.05  # share of admissions with a code on two rows


def write_mimic3(folder: str | os.PathLike, options: config.Synthesize) -> None:
    """Write the tables of a synthetic MIMIC-III into a folder, all or none.

    Raises:
        UserError: the folder cannot be written.
    """
    headers = {name: ",".join(f'"{column}"' for column in columns.split()) for name, columns in COLUMNS.items()}
    world = World(options)
    with atomic_folder(folder) as temporary, open_tables(Path(temporary), headers) as tables:
        _write_descriptions(tables)
        writer = _Writer(options, tables)
        for k in tqdm(range(options.admissions), desc="MIMIC-III", unit="admission", disable=None):
            writer.write(world.admission(k))


def _write_descriptions(tables: dict[str, Table]) -> None:
    for code, (long, short) in terminology.icd9_descriptions().items():
        table = tables["D_ICD_PROCEDURES" if is_procedure(code) else "D_ICD_DIAGNOSES"]
        table.write(f'{table.rows + 1},"{plain(code)}",{quoted(short)},{quoted(long)}')


def subject_id(patient: Patient) -> int:
    """Return the identifier of a patient in the range of MIMIC-III."""
    return scattered(patient.number, 3, 99_991, 40_503)


def hadm_id(stay: Stay) -> int:
    """Return the identifier of an admission in the range of MIMIC-III."""
    return scattered(stay.k, 100_001, 99_991, 61_417)


class _Writer:
    """Writer of single admissions."""

    def __init__(self, options: config.Synthesize, tables: dict[str, Table]) -> None:
        self.options, self.tables = options, tables
        self.notes, self.other_notes = Notes(options, MIMIC3), OtherNotes(options, MIMIC3)

    def write(self, admission: Admission) -> None:
        stay = admission.stay
        draw = Random(f"{self.options.seed}/mimic3/{stay.k}").random
        if stay.order == 0:
            self._write_patient(stay)
        self._write_stay(stay, draw)
        self._write_notes(admission, draw)
        self._write_codes(admission, draw)

    def _add(self, table: str, *fields: object) -> None:
        self.tables[table].write(row((self.tables[table].rows + 1, *fields)))

    def _write_patient(self, stay: Stay) -> None:
        patient = stay.patient
        # Ages above 89 are hidden: the date of birth is moved to 300 years before the first admission.
        born = patient.born if stay.age < 90 else patient.born.replace(year=stay.admitted.year - 300, day=1)
        death_day = f"{patient.died:%Y-%m-%d} 00:00:00" if patient.died else None
        ssn_death_day = death_day if patient.chance < 0.7 else None
        self._add(
            "PATIENTS",
            subject_id(patient),
            f'"{patient.sex}"',
            stamp(born),
            death_day,
            death_day,
            ssn_death_day,
            int(patient.died is not None),
        )

    def _write_stay(self, stay: Stay, draw: Draw) -> None:
        admission_type = "NEWBORN" if stay.profile.stage == "newborn" else "ELECTIVE" if stay.elective else "EMERGENCY"
        if admission_type == "EMERGENCY" and draw() < 0.03:
            admission_type = "URGENT"
        admission_location = {"NEWBORN": "PHYS REFERRAL/NORMAL DELI", "ELECTIVE": "PHYS REFERRAL/NORMAL DELI"}.get(
            admission_type,
            pick(draw, ("EMERGENCY ROOM ADMIT", "CLINIC REFERRAL/PREMATURE", "TRANSFER FROM HOSP/EXTRAM")),
        )
        discharge_location = (
            "DEAD/EXPIRED" if stay.died else pick(draw, ("HOME", "HOME HEALTH CARE", "SNF", "REHAB/DISTINCT PART HOSP"))
        )
        emergency = admission_location.startswith("EMERGENCY ROOM")
        insurance = "Medicare" if stay.age >= 65 else pick(draw, INSURANCES)
        texts = (
            admission_type,
            admission_location,
            discharge_location,
            insurance,
            *(pick(draw, choices) for choices in BACKGROUNDS),
        )
        self._add(
            "ADMISSIONS", subject_id(stay.patient), hadm_id(stay), stamp(stay.admitted), stamp(stay.discharged),
            stamp(stay.discharged) if stay.died else None, *(f'"{text}"' if text else None for text in texts),
            stamp(stay.admitted - timedelta(minutes=300)) if emergency else None,
            stamp(stay.admitted + timedelta(minutes=20)) if emergency else None,
            quoted(pick(draw, stay.profile.complaint).upper()), int(stay.died), 1,
        )  # fmt: skip

    def _write_codes(self, admission: Admission, draw: Draw) -> None:
        ids = subject_id(admission.stay.patient), hadm_id(admission.stay)
        if not admission.coded:
            # MIMIC-III has both: admissions without a row, and rows without number and code.
            if draw() < 0.5:
                self._add("DIAGNOSES_ICD", *ids, None, None)
            return
        for table, codes in (("DIAGNOSES_ICD", admission.diagnoses), ("PROCEDURES_ICD", admission.procedures)):
            repeated = (pick(draw, codes),) if codes and draw() < REPEATED_CODE else ()
            for number, code in enumerate(codes + repeated, 1):
                self._add(table, *ids, number, f'"{plain(code)}"')

    def _write_notes(self, admission: Admission, draw: Draw) -> None:
        stay = admission.stay
        if draw() >= WITHOUT_SUMMARY:
            summary = self.notes.summary(admission)
            texts = [(stay.admitted + stay.length / 2, "Report", summary.interim)] if summary.interim else []
            texts.append((stay.discharged, "Report", summary.report))
            if summary.addendum:
                texts.append((stay.discharged + timedelta(days=int(draw() * 3)), "Addendum", summary.addendum))
            for time, description, text in texts:
                self._write_note(stay, time, "Discharge summary", description, text.text)
            systems = {
                code: [("icd9proc" if is_procedure(code) else "icd9cm", plain(code))] for code in admission.codes
            }
            if admission.coded:
                write_spans(self.tables["SPANS"], hadm_id(stay), [text for *_, text in texts], systems)
        for number in range(poisson(draw, self.options.other_notes)):
            category, description, text = self.other_notes.note(admission, number)
            is_outside, is_error = draw() < OUTSIDE, draw() < WRONG
            self._write_note(
                stay, stay.admitted + stay.length * draw(), category, description, text, is_outside, is_error
            )

    def _write_note(
        self,
        stay: Stay,
        time: datetime,
        category: str,
        description: str,
        text: str,
        is_outside: bool = False,
        is_error: bool = False,
    ) -> None:
        """Write a note; without the admission if `is_outside`, marked as an error if `is_error`.

        As in MIMIC-III, summaries, ECG and echo reports have a date but no time. Only notes written in the ward's
        system have a storage time and an author.
        """
        has_time = category not in UNTIMED
        is_ward_note = has_time and category != "Radiology"
        self._add(
            "NOTEEVENTS",
            subject_id(stay.patient),
            None if is_outside else hadm_id(stay),
            f"{time:%Y-%m-%d}",
            stamp(time) if has_time else None,
            stamp(time + timedelta(minutes=18)) if is_ward_note else None,
            f'"{category}"',
            f'"{description}"',
            14_000 + stay.k * 31 % 7_000 if is_ward_note else None,
            '"1"' if is_error else None,
            quoted(text),
        )
