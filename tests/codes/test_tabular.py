"""The tabular list of ICD-10-CM: what the package itself reads from it, and CMS's titles."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from medcode.codes import sources, tabular
from medcode.codes.formatting import dotted
from medcode.errors import UserError

LIST = """<ICD10CM.tabular><chapter><section id="S80">
<diag><name>S80</name><desc>Injury of leg</desc>
  <sevenChrDef>
    <extension char="A">initial encounter</extension><extension char="D">later encounter</extension>
    <note>of any kind</note>
  </sevenChrDef>
  <diag><name>S80.0</name><desc>Contusion,
    knee</desc><inclusionTerm><note>Bruise of Ménière's  knee</note><note>Blue knee</note></inclusionTerm></diag>
  <diag><name>S80.1</name><desc>Fracture</desc>
    <sevenChrDef><extension char="B">open</extension></sevenChrDef>
    <diag><name>S80.123</name><desc>Fracture of shin</desc></diag>
  </diag>
  <diag><name>S80.9</name><desc>Other injury</desc></diag>
</diag>
</section></chapter></ICD10CM.tabular>"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "a-tabular-of-2026.xml").write_text(LIST, encoding="utf-8")
    (tmp_path / "code-list-2026.txt").write_text("S80\nS800\nS800XXA\nS801\nS80123\nS80123B\nS809\n")
    return tmp_path


def test_codes_are_extended_by_the_seventh_characters_of_the_nearest_category_that_are_listed(folder):
    assert tabular.read(folder) == (
        tabular.Entry("S80", "Injury of leg", False),
        tabular.Entry("S800", "Contusion, knee", False, ("Bruise of Meniere's knee", "Blue knee")),
        tabular.Entry("S800XXA", "Contusion, knee, initial encounter", True),
        tabular.Entry("S801", "Fracture", False),
        tabular.Entry("S80123", "Fracture of shin", False),
        tabular.Entry("S80123B", "Fracture of shin, open", True),
        tabular.Entry("S809", "Other injury", True),
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("<ICD10CM.tabular></ICD10CM.tabular>", "no code in it"),
        (LIST.replace("chapter", "part"), "no code in it"),
        (LIST.replace("<name>S80.9</name>", ""), "a name, title or note is missing or empty"),
        (LIST.replace("Other injury", " "), "a name, title or note is missing or empty"),
        (LIST[:-9], "unclosed token"),
    ],
)
def test_a_list_of_another_form_is_one_line(folder, wrong, message):
    (folder / "a-tabular-of-2026.xml").write_text(wrong, encoding="utf-8")
    with pytest.raises(UserError, match=rf"2026\.xml: not as in the release that requirements.txt pins \({message}"):
        tabular.read(folder)


def test_a_file_that_is_missing_or_there_twice_is_one_line(folder):
    (folder / "another-tabular.xml").write_text(LIST)
    with pytest.raises(UserError, match=r"not as in the release .* \(2 files '\*tabular\*\.xml'\)"):
        tabular.read(folder)
    (folder / "code-list-2026.txt").unlink()
    (folder / "another-tabular.xml").unlink()
    with pytest.raises(UserError, match=r"\(0 files 'code-list\*\.txt'\)"):
        tabular.read(folder)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:simple_icd_10_cm", "ignore:open_text:DeprecationWarning")
def test_entries_are_what_the_package_reads():
    import simple_icd_10_cm as package

    def folded(text: str) -> str:
        return " ".join(unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().split())

    entries = {dotted(entry.code, "icd10cm"): entry for entry in tabular.entries()}
    assert len(entries) == len(tabular.entries()) == 98_186
    codes = [code for code in package.get_all_codes(True) if package.is_category_or_subcategory(code)]
    assert entries.keys() == set(codes)
    for code in codes:
        entry = entries[code]
        # The package adds a note that stands below the meaning of a seventh character; CMS leaves it out.
        assert f"{folded(package.get_description(code))}/".startswith(f"{entry.title}/")
        assert entry.is_code == package.is_leaf(code)
        assert list(entry.inclusion_terms) == [folded(term) for term in package.get_inclusion_term(code)]


def test_titles_are_those_of_cms_but_for_the_revised_ones():
    lines = sources.package("ICD_10_CM_2024_release/icd10cm-codes-2024.txt")
    of_2024 = dict(line.strip().split(maxsplit=1) for line in lines)
    titles = {entry.code: entry.title for entry in tabular.entries() if entry.is_code}
    both = of_2024.keys() & titles.keys()
    assert (len(titles), len(both)) == (74_719, 73_980)
    assert sum(of_2024[code] != titles[code] for code in both) == 51
    assert all(title.isascii() for title in titles.values())
