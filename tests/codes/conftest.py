"""Small files in the format of the official files of codes."""

from __future__ import annotations

from pathlib import Path

import pytest

LINES = {
    "$dxref 2015.csv": [
        "NOTE: a line above the header.",
        "'ICD-9-CM CODE','CCS CATEGORY','CCS CATEGORY DESCRIPTION','ICD-9-CM CODE DESCRIPTION'",
        """'     ','0    ','No DX',"INVALID CODES IN USER DATA",' ',' '""",
        """'4019 ','98   ','HTN',"HYPERTENSION NOS",' ',' '""",
        """'585  ','158  ','Chr ren fail',"CHRONIC RENAL FAILURE (End 2005)",' ',' '""",
        """'41401','101  ','Coron athero',"CRNRY ATHRSCL NATVE VSSL",' ',' '""",
        """'41405','101  ','Coron athero',"COR ATH ARTRY BYPAS GRFT",' ',' '""",
        """'V4581','101  ','Coron athero',"AORTOCORONARY BYPASS",' ',' '""",
        """'E8788','2616 ','E Codes: Adv',"ABN REACT-SURG PROC NEC",' ',' '""",
        """'25000','49   ','DiabMel no c',"DMII WO CMP NT ST UNCNTR",' ',' '""",
        """'25010','50   ','DiabMel w/cm',"DMII KETO NT ST UNCNTRLD",' ',' '""",
    ],
    "dxlabel 2015.csv": [
        "CCS DIAGNOSIS CATEGORIES,CCS DIAGNOSIS CATEGORIES LABELS",
        ".Z  ,Overall",
        "98,Essential hypertension",
        "101,Coronary atherosclerosis and other heart disease",
        "158,Chronic kidney disease",
        "49,Diabetes mellitus without complication",
        "50,Diabetes mellitus with complications",
        "2616,E Codes: Adverse effects of medical care",
    ],
    "$prref 2015.csv": [
        "NOTE: A LINE ABOVE THE HEADER.",
        "'ICD-9-CM CODE','CCS CATEGORY','CCS CATEGORY DESCRIPTION','ICD-9-CM CODE DESCRIPTION'",
        """'     ','0  ','No PROC          ',"INVALID CODES IN USER DATA\"""",
        """'0331 ','4  ','Dx spinal tap    ',"SPINAL TAP\"""",
        """'3931 ','101','Renal            ',"A PROCEDURE WITH A NUMBER THAT DIAGNOSES HAVE TOO\"""",
        """'9604 ','216','Intubat/mech vent',"INSERT ENDOTRACHEAL TUBE\"""",
    ],
    "prlabel 2014.csv": [
        '"CCS PROCEDURE CATEGORIES","CCS PROCEDURE CATEGORIES LABELS"',
        '"4  ","Diagnostic spinal tap"',
        '"101 ","Transurethral excision, drainage, or removal urinary obstruction"',
        '"216 ","Respiratory intubation and mechanical ventilation"',
    ],
    "CMS32_DESC_LONG_DX.txt": ["4019  Unspecified essential hypertension", "38600 M\u00e9ni\u00e8re's disease"],
    "CMS32_DESC_LONG_SG.txt": ["0331 Spinal tap"],
    "2018_I9gem.txt": [
        "5762  K831    00000",
        "74911 Q369    10000",
        "80700 S2239XA 10112",
        "80700 S2239XA 10111",  # the same edge in another scenario
        "V861  NoDx    11000",
    ],
    "2018_I10gem.txt": ["K831    5762  00000", "Q369    74911 10000", "Q369    74921 10000"],
    "gem_i9pcs.txt": ["0331  009U3ZX 10000", "0066  02703ZZ 10012"],  # no combination, but scenario and choice list
    "gem_pcsi9.txt": ["009U3ZX 0331  10000", "3E0102A NoI9  10000"],  # no map, but no flag for it
}


@pytest.fixture(scope="session")
def small_official(tmp_path_factory) -> Path:
    """A folder of all official files with a few lines each."""
    folder = tmp_path_factory.mktemp("small_official")
    for name, lines in LINES.items():
        (folder / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
    return folder
