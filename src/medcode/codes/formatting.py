"""Notation of codes: with their point, in upper case, always as text.

MIMIC stores codes without a point, and CodiEsp in lower case. This package uses one notation. The point follows the
third character of an ICD-9-CM diagnosis (the fourth if it starts with E), the second of an ICD-9-CM procedure and the
third of an ICD-10-CM diagnosis; ICD-10-PCS has no point. A code that ends at the position of the point has none: "486",
"66". Morphology codes of ICD-O-3 have a slash in place of a point, and are stored with it: histology, behavior and, in
some codes, grade, as in 8140/3 and 8140/32. CANTEMIST also has codes with the suffix /H.
"""

from __future__ import annotations

import re

from medcode.errors import UserError, nearest

SYSTEMS = ("icd9cm", "icd9proc", "icd10cm", "icd10pcs", "icdo3")

# Codes and their categories: corpora such as CodiEsp assign categories too. The second character of ICD-10-CM is
# a letter in QA0, of the edition of 2026. A digit follows, so that "NoDx" is no code. PCS does not use I and O.
_PATTERNS = {
    "icd9cm": re.compile(r"(?:[0-9]{3}|V[0-9]{2})(?:\.[0-9]{1,2})?|E[0-9]{3}(?:\.[0-9])?"),
    "icd9proc": re.compile(r"[0-9]{2}(?:\.[0-9]{1,2})?"),
    "icd10cm": re.compile(r"[A-Z](?:[0-9][0-9A-Z]|[A-Z][0-9])(?:\.[0-9A-Z]{1,4})?"),
    "icd10pcs": re.compile(r"[0-9A-HJ-NP-Z]{3,7}"),
    "icdo3": re.compile(r"[89][0-9]{3}(?:/[012369][0-9]?(?:/H)?)?"),
}

EXAMPLES = {
    "icd9cm": "250.00 or V45.81",
    "icd9proc": "03.31",
    "icd10cm": "E11.9",
    "icd10pcs": "0DTJ4ZZ",
    "icdo3": "8140/3",
}


def point_position(code: str, system: str) -> int | None:
    """Return the number of characters before the point, None for a system without points.

    Raises:
        UserError: the system is unknown.
    """
    if system == "icd9cm":
        return 4 if code.startswith("E") else 3
    if system == "icd9proc":
        return 2
    if system == "icd10cm":
        return 3
    if system in ("icd10pcs", "icdo3"):
        return None
    raise UserError(f"unknown code system '{system}'; {nearest(system, SYSTEMS)}")


def dotted(code: str, system: str) -> str:
    """Insert the point into a code that is stored without one: 25000 becomes 250.00, procedure 0331 becomes 03.31.

    Args:
        code: as stored; surrounding blanks are removed, letters become upper case.

    Raises:
        UserError: the system is unknown.
    """
    code = code.strip().upper()
    position = point_position(code, system)
    if position is None or len(code) <= position:
        return code
    return f"{code[:position]}.{code[position:]}"


def category(code: str, system: str) -> str:
    """Return the category of a code, the part before its point: 401 of 401.9, E878 of E878.8, 38 of procedure 38.93.

    ICD-10-PCS has no point; its first three characters (section, body system, operation) are used. The category of an
    ICD-O-3 code is its histology, the part before the slash.

    Args:
        code: dotted, as returned by `dotted`.

    Raises:
        UserError: the system is unknown.
    """
    if system == "icdo3":
        return code.partition("/")[0]
    return code[: point_position(code, system) or 3]


def undotted(code: str) -> str:
    """Remove the point: the inverse of `dotted`."""
    return code.replace(".", "")


def is_valid(code: str, system: str) -> bool:
    """Whether a dotted code has the form of a code, or of a category, of its system.

    Raises:
        UserError: the system is unknown.
    """
    if system not in _PATTERNS:
        raise UserError(f"unknown code system '{system}'; {nearest(system, SYSTEMS)}")
    return _PATTERNS[system].fullmatch(code) is not None


def normalized(code: str, system: str) -> str:
    """Return a code, with or without a point, in the standard notation.

    A misplaced point is an error and is not moved: a procedure written 3.31 has lost the zero of 03.31, and moving the
    point would give 33.1, a different code.

    Raises:
        UserError: the system is unknown, or the code does not have its form. The caller adds file and line.
    """
    cleaned = code.strip().upper()
    # Some programs write the category 66 as "66.".
    result = dotted(undotted(cleaned), system)
    if ("." in cleaned.rstrip(".") and cleaned != result) or not is_valid(result, system):
        excerpt = cleaned if len(cleaned) <= 12 else cleaned[:9] + "..."
        raise UserError(f"'{excerpt}' is not a code of {system} (such as {EXAMPLES[system]})")
    return result
