"""Synonyms of codes in the public domain: CDC's inclusion terms of ICD-10-CM and CMS's index of ICD-10-PCS.

Inclusion terms are "conditions for which that code is to be used": some mean the same as the title, others a part of
it. The index leads from a term to a code, or to the first characters of several, which then mean more than the term:
"Adenoidectomy" leads to 0CBQ, excision of adenoids, and to 0CTQ, resection of adenoids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pyarrow as pa

from medcode import io
from medcode.codes import formatting, sources, tabular

SCHEMA = pa.schema([(name, pa.string()) for name in ("system", "code", "synonym", "source")])
_INDEX = "SELECT term, content FROM pcs_index ORDER BY rowid"
# A line of the index: tabs, a term, what it refers to, and a code between asterisks.
_LINE = re.compile(r"^(\t*)(.*?)\s*(?:\*\*(\w+)\*\*)?\s*$")
_REFERENCE = re.compile(r"(?:^|\s)(?:see|use)\s.*")


def table() -> pa.Table:
    """Build the table of synonyms.

    Returns:
        system, code (dotted), synonym, source (inclusion_term or index); unique rows, sorted by system and code, then
        in the order of the source.

    Raises:
        UserError: a package is not installed, or its files have another form.
    """
    inclusion_terms = (
        (formatting.dotted(entry.code, "icd10cm"), term)
        for entry in tabular.entries()
        for term in entry.inclusion_terms
    )
    rows = [("icd10cm", code, term, "inclusion_term") for code, term in inclusion_terms]
    rows += [("icd10pcs", code, term, "index") for code, term in _index()]
    rows = sorted(dict.fromkeys(rows), key=lambda row: row[:2])
    return io.table_of(rows, SCHEMA)


def metrics(synonyms: pa.Table) -> dict[str, dict[str, dict[str, int]]]:
    """Count synonyms, and codes that have one: {system: {source: {synonyms, codes}}}."""
    rows = synonyms.to_pandas()
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (system, source), part in rows.groupby(["system", "source"]):
        counts.setdefault(system, {})[source] = {"synonyms": len(part), "codes": part["code"].nunique()}
    return counts


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
