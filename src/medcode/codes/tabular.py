"""The tabular list of ICD-10-CM: titles and inclusion terms of the edition that the package simple-icd-10-cm carries.

Its files are CDC's. They are read directly, which takes less than half the time of importing the package.

CDC lists the seventh characters of injuries and the like once for a whole category, and its rules forbid some of them.
The codes that have one are therefore those in the package's list of codes. Their titles are put together as CMS does
it: the title of the code, a comma, and the meaning of the seventh character.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from medcode.codes import sources
from medcode.errors import UserError

_LONGEST = 7  # characters of a code, without the point


class Entry(NamedTuple):
    """A code or category of the tabular list.

    Attributes:
        code: without its point.
        title: in ASCII, as CMS writes titles of ICD-10-CM.
        is_code: whether coders assign it; else it is a category, with codes below it.
        inclusion_terms: conditions that it is for, in ASCII; none for a code with a seventh character.
    """

    code: str
    title: str
    is_code: bool
    inclusion_terms: tuple[str, ...] = ()


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Return all codes and categories of the package's edition, in the order of the list.

    Raises:
        UserError: the package is not installed, or its files have another form.
    """
    return read(sources.inside("simple_icd_10_cm", "data"))


def read(folder: Path) -> tuple[Entry, ...]:
    """Read all codes and categories, in the order of the list.

    Args:
        folder: has one file *tabular*.xml, CDC's, and one file code-list*.txt with a code a line.

    Raises:
        UserError: there are not these two files, or they have another form.
    """
    tree, codes = _only(folder, "*tabular*.xml"), _only(folder, "code-list*.txt")
    listed = {line.strip().replace(".", "") for line in codes.read_text(encoding="utf-8").splitlines()}
    try:
        with open(tree, "rb") as file:
            diagnoses = ElementTree.parse(file).getroot().findall("chapter/section/diag")
        found = tuple(entry for diagnosis in diagnoses for entry in _from(diagnosis, {}, listed))
    except (ElementTree.ParseError, ValueError) as error:
        raise _another_form(tree, str(error)) from error
    if not found:
        raise _another_form(tree, "no code in it")
    return found


def _only(folder: Path, pattern: str) -> Path:
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise _another_form(folder, f"{len(paths)} files '{pattern}'")
    return paths[0]


def _another_form(path: Path, found: str) -> UserError:
    return UserError(f"{path}: not as in the release that requirements.txt pins ({found})")


def _from(diagnosis: ElementTree.Element, sevenths: Mapping[str, str], listed: set[str]) -> Iterator[Entry]:
    """Yield a code, and all codes below it.

    Args:
        diagnosis: the element of the code.
        sevenths: meanings of the seventh characters that the nearest category above lists.
        listed: codes without their point; those with a seventh character must be among them.

    Raises:
        ValueError: a name, title or note is missing or empty.
    """
    code, title = _text(diagnosis.find("name")).replace(".", ""), _text(diagnosis.find("desc"))
    if (definition := diagnosis.find("sevenChrDef")) is not None:
        sevenths = {extension.get("char", ""): _text(extension) for extension in definition.findall("extension")}
    children = diagnosis.findall("diag")
    longer = {} if children else {code.ljust(_LONGEST - 1, "X") + char: meaning for char, meaning in sevenths.items()}
    longer = {extended: meaning for extended, meaning in longer.items() if extended in listed}
    terms = tuple(_text(note) for note in diagnosis.findall("inclusionTerm/note"))
    yield Entry(code, title, not children and not longer, terms)
    for extended, meaning in longer.items():
        yield Entry(extended, f"{title}, {meaning}", True)
    for child in children:
        yield from _from(child, sevenths, listed)


def _text(element: ElementTree.Element | None) -> str:
    """Return the text of an element in ASCII, with single blanks: Ménière's becomes Meniere's."""
    text = element.text if element is not None else None
    if not text or not text.strip():
        raise ValueError("a name, title or note is missing or empty")
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(text.split())
