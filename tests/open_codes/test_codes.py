"""Lists of codes: which are scored, and mistakes in a list."""

from __future__ import annotations

import numpy as np
import pytest
from open_corpus import CODES, DESCRIPTIONS, LABELS, UNSEEN

from medcode.errors import UserError
from medcode.open_codes.codes import code_list, read_list


def test_labels_come_first_and_every_other_code_with_a_description_is_unseen():
    codes = code_list(LABELS, DESCRIPTIONS)
    assert [code for _, code in codes.codes[: len(LABELS)]] == [label["code"] for label in LABELS]
    assert [codes.codes[number][1] for number in codes.unseen["icd10cm"]] == UNSEEN
    assert codes.of_labels["icd10cm"].tolist() == list(range(len(LABELS)))
    # All have five characters: three training documents for each of 40 labels, and 60 codes.
    assert codes.length_odds == pytest.approx(np.log((3 * 40 + 0.5) / 60))


def test_codes_of_other_systems_are_left_out():
    codes = code_list(LABELS, DESCRIPTIONS.assign(system="icd10pcs"))
    assert len(codes.codes) == codes.n_labels == len(LABELS) and codes.unseen == {}


def test_a_list_narrows_the_unseen_codes(tmp_path):
    path = tmp_path / "ours.csv"
    path.write_text(f"# Ours.\nsystem,code\nicd10cm,{UNSEEN[1].replace('.', '')}\nicd10cm,{LABELS[0]['code']}\n")
    listed = read_list(path)
    assert listed == {("icd10cm", UNSEEN[1]), ("icd10cm", LABELS[0]["code"])}
    codes = code_list(LABELS, DESCRIPTIONS, listed)
    assert codes.codes[len(LABELS) :] == [("icd10cm", UNSEEN[1])]


def test_the_committed_list_stands_for_all(root):
    assert read_list(root / "reference/codes/all.csv") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("code,system\nA00,icd10cm\n", "the first line must be system,code"),
        ("", "the first line must be system,code"),
        ("system,code\nicd10cm,A00,x\n", "line 2: expected 2 values, found 3"),
        ("system,code\n# one\nicd10cm,A0\n", "line 3: 'A0' is not a code of icd10cm (such as E11.9)"),
        ("system,code\nicd10,A00\n", "line 2: unknown code system 'icd10'; did you mean 'icd10cm'?"),
    ],
)
def test_a_mistake_in_a_list_is_one_line(tmp_path, text, message):
    path = tmp_path / "ours.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_list(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_listed_code_without_a_description_is_a_mistake():
    assert "Z99.9" not in CODES
    with pytest.raises(UserError, match=r"open\.codes: icd10cm Z99\.9 has no description"):
        code_list(LABELS, DESCRIPTIONS, {("icd10cm", "Z99.9")})
