"""Search for a code by words of its description, its synonyms, or the code itself.

The labels of the model are there at once. All codes of their systems follow from the packages' tables, if these are
installed, which takes a few seconds in a thread.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from medcode.codes import formatting
from medcode.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 20
_LONGEST_QUERY = 100  # characters
_SIGNS = re.compile(r"[\W_]+")


class Entry(NamedTuple):
    """A code that can be found: by its description or, where `synonym` is one, by that."""

    system: str
    code: str
    description: str
    synonym: str
    is_label: bool
    words: str  # of both, folded, each behind a blank
    bare: str  # the code, folded, without its point


class CodeSearch:
    """An index of codes. Threads may share it.

    Args:
        labels: of the model by head, records {system, code, description}.
    """

    def __init__(self, labels: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._described = {
            (label["system"], label["code"]): label["description"] or "" for of in labels.values() for label in of
        }
        self.systems = sorted({system for system, _ in self._described} & set(formatting.SYSTEMS))
        self._labels = [_entry(*key, description, is_label=True) for key, description in self._described.items()]
        self._others: list[Entry] = []

    def add_reference(self) -> None:
        """Add all codes of the labels' systems with their synonyms, if the packages that have them are installed."""
        from medcode.codes import reference, synonyms

        try:
            descriptions, terms = reference.descriptions(), synonyms.table()
        except (UserError, ModuleNotFoundError):
            return
        labels = self._described.keys()
        listed = {(row["system"], row["code"]): row["description"] for row in _rows(descriptions, self.systems)}
        described = listed | {key: description for key, description in self._described.items() if description}
        others = [_entry(*key, described[key], is_label=False) for key in listed if key not in labels]
        for row in _rows(terms, self.systems):
            key = row["system"], row["code"]
            if key in described:
                others.append(_entry(*key, described[key], row["synonym"], is_label=key in labels))
        self._labels = [_entry(*key, described.get(key, ""), is_label=True) for key in labels]
        self._others, self._described = others, described

    def start(self) -> threading.Thread:
        """Add the reference in a thread."""
        thread = threading.Thread(target=self.add_reference, daemon=True)
        thread.start()
        return thread

    def description(self, system: str, code: str) -> str:
        """Return the description of a code, empty if there is none."""
        return self._described.get((system, code), "")

    def find(self, query: str, most: int = MOST) -> list[dict[str, Any]]:
        """Return codes that have all words of a query, or begin with it.

        A word counts if a word of the description begins with it. Codes that are the query or begin with it come first,
        then labels of the model, then short descriptions. A point counts where the query has one.

        Returns:
            {system, code, description, synonym, is_label}; each code once.
        """
        folded = _folded(query[:_LONGEST_QUERY])
        words, bare = [f" {word}" for word in folded.split()], _bare(folded)
        if not bare:
            return []
        dotted = query.strip().upper() if "." in query else ""  # 428.2 is not the beginning of 42.82
        found: list[tuple[tuple, Entry]] = []
        for entries in (self._labels, self._others):
            for entry in entries:
                by_code = entry.bare.startswith(bare) and entry.code.startswith(dotted)
                if by_code or all(word in entry.words for word in words):
                    is_code, length = by_code and entry.bare == bare, 0 if by_code else len(entry.words)
                    rank = (not is_code, not by_code, not entry.is_label, bool(entry.synonym), length)
                    found.append(((*rank, entry.code), entry))
        found.sort(key=lambda pair: pair[0])
        results: dict[tuple[str, str], dict[str, Any]] = {}
        for _, entry in found:
            if len(results) == most:
                break
            shown = {name: getattr(entry, name) for name in ("system", "code", "description", "synonym", "is_label")}
            results.setdefault((entry.system, entry.code), shown)
        return list(results.values())


def _rows(table: pa.Table, systems: Sequence[str]) -> Iterable[dict[str, str]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["system"], value_set=pa.array(systems, pa.string()))).to_pylist()


def _entry(system: str, code: str, description: str, synonym: str = "", *, is_label: bool) -> Entry:
    words = " " + " ".join(_folded(f"{synonym} {description}").split())
    return Entry(system, code, description, synonym, is_label, words, _bare(_folded(code)))


def _folded(text: str) -> str:
    """Return a text in small letters without accents, with blanks in place of signs."""
    text = text.casefold()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _SIGNS.sub(" ", text)


def _bare(text: str) -> str:
    return text.replace(" ", "")
