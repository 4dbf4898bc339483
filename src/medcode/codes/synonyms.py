"""Synonyms of codes: those in the public domain, and a user's own.

ICD-10-CM has CDC's inclusion terms, ICD-10-PCS has CMS's index, and ICD-9-CM has CMS's short titles. An ICD-9-CM code
that the General Equivalence Mappings give one exact equivalent also has its title and inclusion terms.

Inclusion terms are "conditions for which that code is to be used": some mean the same as the title, others a part of
it. The index leads from a term to a code, or to the first characters of several, which then mean more than the term:
"Adenoidectomy" leads to 0CBQ, excision of adenoids, and to 0CTQ, resection of adenoids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from medcode import io
from medcode.codes import formatting, sources, tabular

SCHEMA = pa.schema([(name, pa.string()) for name in ("system", "code", "synonym", "source")])
OWN = "own"
_TARGETS = ("icd10cm", "icd10pcs")  # systems of equivalents
_SHORT_TITLES = {
    "icd9cm": "ICD_9_CM_v32_master_descriptions/CMS32_DESC_SHORT_DX.txt",
    "icd9proc": "ICD_9_CM_v32_master_descriptions/CMS32_DESC_SHORT_SG.txt",
}
_INDEX = "SELECT term, content FROM pcs_index ORDER BY rowid"
# A line of the index: tabs, a term, what it refers to, and a code between asterisks.
_LINE = re.compile(r"^(\t*)(.*?)\s*(?:\*\*(\w+)\*\*)?\s*$")
_REFERENCE = re.compile(r"(?:^|\s)(?:see|use)\s.*")


class Row(NamedTuple):
    """A synonym of a code, and where it is from: own, short_title, inclusion_term, index or equivalent."""

    system: str
    code: str
    synonym: str
    source: str


def table(own: Iterable[tuple[str, str, str]] = (), equivalents: tuple[pa.Table, pa.Table] | None = None) -> pa.Table:
    """Build the table of synonyms.

    Args:
        own: system, code and synonym of the user's list.
        equivalents: the tables of GEMs and of descriptions (`codes.gem`, `codes.reference`); None leaves synonyms of
            equivalents out.

    Returns:
        system, code (dotted), synonym, source; unique rows, sorted by system and code, then by source: the user's
        first, then those of the code itself, then those of its equivalent.

    Raises:
        UserError: a package is not installed, or its files have another form.
    """
    inclusion_terms = [
        Row("icd10cm", formatting.dotted(entry.code, "icd10cm"), term, "inclusion_term")
        for entry in tabular.entries()
        for term in entry.inclusion_terms
    ]
    rows = [Row(*row, OWN) for row in own]
    rows += [*_short_titles(), *inclusion_terms]
    rows += [Row("icd10pcs", code, term, "index") for code, term in _index()]
    if equivalents is not None:
        rows += _of_equivalents(*equivalents, inclusion_terms)
    unique = sorted(dict.fromkeys(rows), key=lambda row: (row.system, row.code))
    return io.table_of(unique, SCHEMA)


def metrics(synonyms: pa.Table) -> dict[str, dict[str, dict[str, int]]]:
    """Count synonyms, and codes that have one: {system: {source: {synonyms, codes}}}."""
    rows = synonyms.to_pandas()
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (system, source), part in rows.groupby(["system", "source"]):
        counts.setdefault(system, {})[source] = {"synonyms": len(part), "codes": part["code"].nunique()}
    return counts


def _short_titles() -> Iterator[Row]:
    for system, file in _SHORT_TITLES.items():
        for line in sources.package(file, "latin-1"):
            code, _, title = line.strip().partition(" ")
            if code:
                yield Row(system, formatting.dotted(code, system), title.strip(), "short_title")


def _of_equivalents(gem: pa.Table, descriptions: pa.Table, inclusion_terms: list[Row]) -> Iterator[Row]:
    """Yield title and inclusion terms of the equivalent of each ICD-9-CM code that has one, and an exact one."""
    known: dict[tuple[str, str], list[str]] = {
        (row["system"], row["code"]): [row["description"]]
        for row in descriptions.filter(pc.is_in(descriptions["system"], pa.array(_TARGETS))).to_pylist()
    }
    for term in inclusion_terms:
        known.setdefault((term.system, term.code), []).append(term.synonym)
    targets: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in gem.filter(pc.equal(gem["direction"], "icd9_to_icd10")).to_pylist():
        targets.setdefault((row["source_system"], row["source"]), []).append(row)
    for (system, code), rows in targets.items():
        if len(rows) == 1 and rows[0]["target"] is not None and not rows[0]["approximate"]:
            for synonym in known.get((rows[0]["target_system"], rows[0]["target"]), []):
                yield Row(system, code, synonym, "equivalent")


def _index() -> Iterator[tuple[str, str]]:
    """Yield each code of the index of ICD-10-PCS with the terms that lead to it, from the main term down."""
    for main_term, content in sources.procedures(_INDEX):
        yield from terms_of(main_term.strip(), content.split("\n"))


def terms_of(main_term: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each code of an entry of the index, with the terms that lead to it, from the main term down.

    Args:
        main_term: of the entry.
        lines: those below it, indented by tabs. At the top of a page the terms above are repeated, with "(continued)".
    """
    path: list[str] = []
    is_open = False  # whether the line before refers to something without a code: this line may be the rest of it
    for line in lines:
        tabs, text, code = _LINE.findall(line)[0]
        if len(tabs) > len(path):  # the terms above are on another page, and not repeated
            continue
        term, is_reference = _REFERENCE.subn("", text.replace("(continued)", ""))
        path[len(tabs) :] = [term.strip(" ,")]
        if code and (is_reference or not is_open):
            yield code, ", ".join(part for part in (main_term, *path) if part)
        is_open = bool(is_reference) and not code
