"""Writer of the synthetic corpus as MIMIC-IV v2.2 tables with the discharge table of MIMIC-IV-Note."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta
from pathlib import Path
from random import Random

from tqdm import tqdm

from medcode import config
from medcode.corpora.synthetic import icd10, terminology
from medcode.corpora.synthetic.grammar import Draw, pick
from medcode.corpora.synthetic.layout import Text
from medcode.corpora.synthetic.mimic3 import REPEATED_CODE, WITHOUT_SUMMARY
from medcode.corpora.synthetic.notes import Notes
from medcode.corpora.synthetic.people import Patient, Stay
from medcode.corpora.synthetic.styles import MIMIC4
from medcode.corpora.synthetic.tables import Table, minimal, open_tables, quoted, row, scattered, stamp, write_spans
from medcode.corpora.synthetic.terminology import is_procedure, plain
from medcode.corpora.synthetic.world import Admission, World
from medcode.io import atomic_folder

COLUMNS = {
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/procedures_icd": "subject_id hadm_id seq_num chartdate icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/d_icd_procedures": "icd_code icd_version long_title",
    "hosp/admissions": "subject_id hadm_id admittime dischtime deathtime admission_type admit_provider_id "
    "admission_location discharge_location insurance language marital_status race edregtime edouttime "
    "hospital_expire_flag",
    "hosp/patients": "subject_id gender anchor_age anchor_year anchor_year_group dod",
    "note/spans": "hadm_id note system code start end",  # not of MIMIC: where the notes have evidence of the codes
    "note/discharge": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
}
SYSTEMS = {9: ("icd9cm", "icd9proc"), 10: ("icd10cm", "icd10pcs")}  # of diagnoses and procedures, by ICD version
BACKGROUNDS = (
    ("ENGLISH", "ENGLISH", "?"),
    ("MARRIED", "SINGLE", "WIDOWED", "DIVORCED", ""),
    ("WHITE", "WHITE", "BLACK/AFRICAN AMERICAN", "HISPANIC/LATINO - PUERTO RICAN", "ASIAN", "UNKNOWN"),
)


def write_mimic4(folder: str | os.PathLike, options: config.Synthesize) -> None:
    """Write the tables of a synthetic MIMIC-IV into a folder, all or none.

    The admissions are those of the synthetic MIMIC-III of the same seed. Those of some patients are coded in ICD-10.

    Raises:
        UserError: the folder cannot be written.
    """
    headers = {name: columns.replace(" ", ",") for name, columns in COLUMNS.items()}
    world = World(options)
    with atomic_folder(folder) as temporary, open_tables(Path(temporary), headers) as tables:
        _write_descriptions(tables)
        writer = _Writer(options, tables)
        for k in tqdm(range(options.admissions), desc="MIMIC-IV", unit="admission", disable=None):
            writer.write(world.admission(k))


def _write_descriptions(tables: dict[str, Table]) -> None:
    for code, (long, _) in terminology.icd9_descriptions().items():
        tables["hosp/d_icd_procedures" if is_procedure(code) else "hosp/d_icd_diagnoses"].write(
            f"{plain(code)},9,{minimal(long)}"
        )
    for system, name in (("icd10cm", "hosp/d_icd_diagnoses"), ("icd10pcs", "hosp/d_icd_procedures")):
        for code, description in terminology.icd10_descriptions(system).items():
            tables[name].write(f"{code},10,{minimal(description)}")


def subject_id(patient: Patient) -> int:
    """Return the identifier of a patient in the range of MIMIC-IV."""
    return scattered(patient.number, 10_000_032, 9_999_901, 7_654_321)


def hadm_id(stay: Stay) -> int:
    """Return the identifier of an admission in the range of MIMIC-IV."""
    return scattered(stay.k, 20_000_019, 9_999_901, 3_141_593)


class _Writer:
    """Writer of single admissions."""

    def __init__(self, options: config.Synthesize, tables: dict[str, Table]) -> None:
        self.options, self.tables = options, tables
        self.notes = Notes(options, MIMIC4)

    def write(self, admission: Admission) -> None:
        stay = admission.stay
        draw = Random(f"{self.options.seed}/mimic4/{stay.k}").random
        if stay.order == 0:
            self._write_patient(stay)
        self._write_stay(stay, draw)
        texts = [self._write_note(admission, draw)] if draw() >= WITHOUT_SUMMARY else []
        if admission.coded:
            codes = self._write_codes(admission, draw)
            write_spans(self.tables["note/spans"], hadm_id(stay), texts, codes)

    def _in_icd10(self, patient: Patient) -> bool:
        return patient.chance < self.options.icd10_share

    def _write_patient(self, stay: Stay) -> None:
        patient = stay.patient
        year_groups = ("2014 - 2016", "2017 - 2019") if self._in_icd10(patient) else ("2008 - 2010", "2011 - 2013")
        year_group = year_groups[patient.number % 2]
        death_day = f"{patient.died:%Y-%m-%d}" if patient.died else None
        fields = (subject_id(patient), patient.sex, min(stay.age, 91), stay.admitted.year, year_group, death_day)
        self.tables["hosp/patients"].write(row(fields))

    def _write_stay(self, stay: Stay, draw: Draw) -> None:
        admission_types = (
            ("ELECTIVE", "SURGICAL SAME DAY ADMISSION")
            if stay.elective
            else ("EW EMER.", "URGENT", "OBSERVATION ADMIT")
        )
        admission_location = pick(
            draw, ("EMERGENCY ROOM", "PHYSICIAN REFERRAL", "TRANSFER FROM HOSPITAL", "WALK-IN/SELF REFERRAL")
        )
        discharge_location = (
            "DIED" if stay.died else pick(draw, ("HOME", "HOME HEALTH CARE", "SKILLED NURSING FACILITY", "REHAB", ""))
        )
        emergency = admission_location == "EMERGENCY ROOM"
        fields = (
            subject_id(stay.patient), hadm_id(stay), stamp(stay.admitted), stamp(stay.discharged),
            stamp(stay.discharged) if stay.died else None, pick(draw, admission_types), f"P{int(draw() * 90_000):05d}",
            admission_location, discharge_location,
            "Medicare" if stay.age >= 65 else pick(draw, ("Other", "Medicaid")),
            *(pick(draw, choices) for choices in BACKGROUNDS),
            stamp(stay.admitted - timedelta(minutes=300)) if emergency else None,
            stamp(stay.admitted + timedelta(minutes=20)) if emergency else None, int(stay.died),
        )  # fmt: skip
        self.tables["hosp/admissions"].write(row(fields))

    def _write_codes(self, admission: Admission, draw: Draw) -> dict[str, list[tuple[str, str]]]:
        """Write the codes; return (system, code) of those that stand for each code of the admission."""
        stay = admission.stay
        ids = f"{subject_id(stay.patient)},{hadm_id(stay)}"
        version = 9
        diagnoses_of = {code: [plain(code)] for code in admission.diagnoses}
        procedures_of = {code: [plain(code)] for code in admission.procedures}
        if self._in_icd10(stay.patient):
            version = 10
            diagnoses_of = icd10.diagnoses(admission.diagnoses, draw)
            procedures_of = icd10.procedures(admission.procedures, draw)
        diagnoses, procedures = (
            list(dict.fromkeys(itertools.chain.from_iterable(codes_of.values())))
            for codes_of in (diagnoses_of, procedures_of)
        )
        for number, code in enumerate(diagnoses, 1):
            self.tables["hosp/diagnoses_icd"].write(f"{ids},{number},{code},{version}")
        if procedures and draw() < REPEATED_CODE:
            procedures.append(pick(draw, procedures))
        for number, code in enumerate(procedures, 1):
            day = stay.admitted + stay.length * draw()
            self.tables["hosp/procedures_icd"].write(f"{ids},{number},{day:%Y-%m-%d},{code},{version}")
        systems = SYSTEMS[version]
        return {
            code: [(system, target) for target in targets]
            for system, codes_of in zip(systems, (diagnoses_of, procedures_of), strict=True)
            for code, targets in codes_of.items()
        }

    def _write_note(self, admission: Admission, draw: Draw) -> Text:
        stay = admission.stay
        subject, number = subject_id(stay.patient), 2 + int(draw() * 20) + 20 * stay.order
        text = self.notes.summary(admission, supplements=False).report
        storage_time = stay.discharged + timedelta(hours=int(draw() * 40))
        fields = (
            f"{subject}-DS-{number}", subject, hadm_id(stay), "DS", number, f"{stay.discharged:%Y-%m-%d} 00:00:00",
            stamp(storage_time), quoted(text.text),
        )  # fmt: skip
        self.tables["note/discharge"].write(row(fields))
        return text
