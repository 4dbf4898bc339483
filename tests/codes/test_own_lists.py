"""A user's own titles and synonyms: read in any spelling, and every mistake is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from medcode.codes import own_lists, reference
from medcode.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
READ = {
    ("icd10cm", "E66.813"): "Obesity, class 3",
    ("icd10cm", "QA0.0109"): "An ion channel variant",
    ("icd9proc", "03.31"): "Lumbar puncture",
}


@pytest.mark.parametrize(
    "content",
    [
        'system,code,title\nicd10cm,E66.813,"Obesity, class 3"\nicd10cm,qa00109,An ion channel variant\n'
        "icd9proc,0331,Lumbar puncture\n",
        "# ours\r\nsystem\tcode\ttitle\r\nicd10cm\tE66813\tObesity, class  3\r\n\r\nicd10cm\tQA0.0109\tAn ion channel "
        "variant\r\nicd9proc\t03.31\t Lumbar puncture \r\n",
        "\ufefftitle,system,code\nLumbar puncture,icd9proc,03.31\n# more\nAn ion channel variant,icd10cm,QA0.0109\n"
        '"Obesity, class 3",icd10cm,e66.813',
    ],
)
def test_codes_and_columns_may_be_written_in_several_ways(tmp_path, content):
    path = tmp_path / "titles"
    path.write_bytes(content.encode())
    assert own_lists.read_titles(path) == READ


def test_the_list_that_stands_for_none_is_empty():
    assert own_lists.read_titles(ROOT / "reference" / "titles" / "none.csv") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty; expected the columns system, code, title, with commas or tabs"),
        ("# only a comment\n", "empty; expected the columns"),
        ("icd10cm,I10,Hypertension\n", "line 1: expected the columns system, code, title"),
        ("system;code;title\n", "line 1: expected the columns system, code, title"),
        ("system,code,title,title\n", "line 1: expected the columns system, code, title"),
        ("system,code,title\nicd10,I10,a\n", "line 2: unknown code system 'icd10'; did you mean 'icd10cm'"),
        ("#\n\nsystem,code,title\nicd10cm,1I0,a\n", "line 4: '1I0' is not a code of icd10cm"),
        ("system,code,title\nicd9proc,3.31,a\n", "line 2: '3.31' is not a code of icd9proc"),
        ("system,code,title\nicd10cm,I10, \n", "line 2: icd10cm I10 has no title"),
        ("system,code,title\nicd10cm,I10\n", "line 2: expected 3 values, found 2"),
        ("system,code,title\nicd10cm,E66.813,Obesity, class 3\n", "line 2: expected 3 values, found 4"),
        (
            "system,code,title\nicd10cm,E11.9,a\nicd10cm,e119,b\n",
            "line 3: icd10cm E11.9 has a title already, in line 2",
        ),
        ('system,code,title\nicd10cm,I10,"a\n', "line 2: unexpected end of data"),
        ("system,code,title\nicd10cm,I10,café\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(tmp_path, content, message):
    path = tmp_path / "titles.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        own_lists.read_titles(path)
    (line,) = caught.value.args
    assert line.startswith(f"{path}: {message}") and "\n" not in line


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"titles\.csv: cannot be read \(No such file"):
        own_lists.read_titles(tmp_path / "titles.csv")


def test_a_code_may_have_several_synonyms(tmp_path):
    path = tmp_path / "synonyms"
    path.write_text("system\tcode\tsynonym\nicd10cm\te119\tT2DM\nicd9cm\t4019\tHTN,  benign\nicd10cm\tE11.9\tDM2\n")
    assert own_lists.read_synonyms(path) == [
        ("icd10cm", "E11.9", "T2DM"),
        ("icd9cm", "401.9", "HTN, benign"),
        ("icd10cm", "E11.9", "DM2"),
    ]
    assert own_lists.read_synonyms(ROOT / "reference" / "synonyms" / "none.tsv") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("system,code,title\n", "line 1: expected the columns system, code, synonym, with commas or tabs"),
        ("system,code,synonym\nicd10cm,E11.9,\n", "line 2: icd10cm E11.9 has no synonym"),
        (
            "system,code,synonym\nicd10cm,E11.9,a\nicd10cm,E119,b\nicd10cm,e119,a\n",
            "line 4: icd10cm E11.9 has this synonym already, in line 2",
        ),
    ],
)
def test_a_mistake_in_synonyms_is_one_line_that_names_its_place(tmp_path, content, message):
    path = tmp_path / "synonyms.tsv"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        own_lists.read_synonyms(path)
    (line,) = caught.value.args
    assert line.startswith(f"{path}: {message}") and "\n" not in line


def test_own_titles_hold_over_all_others_and_add_codes(package_tables):
    own = {
        ("icd10cm", "I10"): "High blood pressure",  # current
        ("icd9cm", "585"): "Renal failure",  # retired
        ("icd10cm", "C34"): "Lung cancer",  # a category
        ("icd10pcs", "XXX9999"): "A procedure of next year",
    }
    table = reference.descriptions(None, own).to_pandas()
    others = package_tables.descriptions.set_index(["system", "code"])
    assert len(table) == len(others) + 1 and not table.duplicated(["system", "code"]).any()
    table = table.set_index(["system", "code"])
    assert {key: row["description"] for key, row in table[table["source"] == "own"].iterrows()} == own
    assert {others.loc[key, "source"] for key in list(own)[:3]} == {"current", "retired", "category"}
    assert table[table["source"] != "own"].equals(others.drop(list(own)[:3]))
    for _, codes in table.reset_index().groupby("system")["code"]:
        assert codes.is_monotonic_increasing
