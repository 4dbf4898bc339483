"""A small corpus in which a third of the codes of dev are unseen, each described in a sentence of its note."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medcode.config import Open
from medcode.dataset.label_spaces import label_space
from medcode.open_codes import build, fitting
from medcode.open_codes.fitting import Fitted
from medcode.open_codes.retrieval import Retriever

SITES = ("ankle", "brain", "cheek", "elbow", "femur", "groin", "heart", "ileum", "joint", "liver", "mouth", "nasal")
KINDS = ("abscess", "burn", "carcinoma", "dislocation", "edema")
# A code for each site and kind: A0.0 is an abscess of the ankle.
TITLES = {
    f"{kind[0].upper()}{column:02}.{row}": f"{kind.title()} of {site}"
    for row, kind in enumerate(KINDS)
    for column, site in enumerate(SITES)
}
CODES = list(TITLES)
LABELS = [
    {"system": "icd10cm", "code": code, "description": TITLES[code], "train_documents": 3}
    for number, code in enumerate(CODES)
    if number % 3
]
UNSEEN = [code for number, code in enumerate(CODES) if number % 3 == 0]
DESCRIPTIONS = pd.DataFrame({"system": "icd10cm", "code": CODES, "description": list(TITLES.values())})
NO_ROWS = {
    "synonyms": pd.DataFrame(columns=["system", "code", "synonym", "source"]),
    "spans": pd.DataFrame(columns=["admission_id", "system", "code", "start", "end"]),
}
OPTIONS = Open(codes="reference/codes/all.csv", inclusion_terms=True, index=True, mentions=True)
# Every second training note mentions fever.
TRAIN = {
    f"train{number}": f"Seen with {TITLES[label['code']].lower()}.{' No fever.' if number % 2 == 0 else ''}"
    for number, label in enumerate(LABELS)
}


def retriever(options: Open = OPTIONS, **tables: pd.DataFrame) -> Retriever:
    """Return a retriever of all codes."""
    return build.build(options, LABELS, {"descriptions": DESCRIPTIONS} | NO_ROWS | tables, TRAIN)


def spans(code: str, part: str) -> pd.DataFrame:
    """Return the span of a part of the first training note that justifies a code."""
    start = TRAIN["train0"].index(part)
    row = ("train0", "icd10cm", code, start, start + len(part))
    return pd.DataFrame([row], columns=["admission_id", "system", "code", "start", "end"])


def dev(n: int = 60, described: bool = True) -> tuple[dict[str, str], np.ndarray, pd.DataFrame]:
    """Return notes of dev, a model's probabilities and all gold codes: two labels and an unseen code for each note.

    Args:
        n: number of notes.
        described: whether a note describes its codes. If not, text says nothing about them.
    """
    random = np.random.default_rng(0)
    texts, gold, probabilities = {}, [], random.uniform(0, 0.6, (n, len(LABELS))).astype(np.float32)
    for number in range(n):
        columns = random.choice(len(LABELS), 2, replace=False)
        codes = [*(LABELS[column]["code"] for column in columns), UNSEEN[number % len(UNSEEN)]]
        probabilities[number, columns] += 0.3
        sentences = [f"There was {TITLES[code].lower()}." for code in codes] if described else ["Nothing was said."]
        texts[f"dev{number}"] = " ".join(sentences)
        gold += [(f"dev{number}", "icd10cm", code) for code in codes]
    return texts, probabilities, pd.DataFrame(gold, columns=["admission_id", "system", "code"])


def fit(described: bool = True, models: tuple[str, ...] = ("digest",), **tables: pd.DataFrame) -> Fitted:
    """Return a scorer fitted on dev."""
    texts, probabilities, gold = dev(described=described)
    targets = label_space(LABELS, gold).targets(list(texts))
    return fitting.fit(retriever(**tables), texts, probabilities, targets, gold, 100, models)
