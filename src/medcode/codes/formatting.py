"""How a code is written: with its point, upper case, always as text.

MIMIC stores codes without a point and CodiEsp in lower case. One spelling is used everywhere here: the point of an
ICD-9-CM diagnosis stands after the third character (after the fourth when it starts with E), of an ICD-9-CM procedure
after the second, of an ICD-10-CM diagnosis after the third; ICD-10-PCS has none. A code that
ends where the point would stand has none: "486", "66".
"""

from __future__ import annotations

import re

from medcode.errors import UserError, nearest

SYSTEMS = ("icd9cm", "icd9proc", "icd10cm", "icd10pcs")

# Codes and the categories above them: corpora such as CodiEsp assign categories too. PCS leaves out I and O.
_PATTERNS = {
    "icd9cm": re.compile(r"(?:[0-9]{3}|V[0-9]{2})(?:\.[0-9]{1,2})?|E[0-9]{3}(?:\.[0-9])?"),
    "icd9proc": re.compile(r"[0-9]{2}(?:\.[0-9]{1,2})?"),
    "icd10cm": re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?"),
    "icd10pcs": re.compile(r"[0-9A-HJ-NP-Z]{3,7}"),
}


def point_position(code: str, system: str) -> int | None:
    """Returns the number of characters before the point, None for a system without points.

    Raises:
        UserError: the system is unknown.
    """
    if system == "icd9cm":
        return 4 if code.startswith("E") else 3
    if system == "icd9proc":
        return 2
    if system == "icd10cm":
        return 3
    if system == "icd10pcs":
        return None
    raise UserError(f"unknown code system '{system}'; {nearest(system, SYSTEMS)}")


def dotted(code: str, system: str) -> str:
    """Writes a code that is stored without a point: 25000 becomes 250.00, procedure 0331 becomes 03.31.

    Args:
        code: as stored; blanks around it are removed, letters become upper case.

    Raises:
        UserError: the system is unknown.
    """
    code = code.strip().upper()
    position = point_position(code, system)
    if position is None or len(code) <= position:
        return code
    return f"{code[:position]}.{code[position:]}"


def category(code: str, system: str) -> str:
    """The category above a code, what stands before its point: 401 of 401.9, E878 of E878.8, 38 of procedure 38.93.

    ICD-10-PCS has no point; its first three characters (section, body system, operation) take the place.

    Args:
        code: as `dotted` writes it.

    Raises:
        UserError: the system is unknown.
    """
    return code[: point_position(code, system) or 3]


def undotted(code: str) -> str:
    """Removes the point: the inverse of `dotted`."""
    return code.replace(".", "")


def is_valid(code: str, system: str) -> bool:
    """Says whether a dotted code has the form of a code, or of a category, of its system.

    Raises:
        UserError: the system is unknown.
    """
    if system not in _PATTERNS:
        raise UserError(f"unknown code system '{system}'; {nearest(system, SYSTEMS)}")
    return _PATTERNS[system].fullmatch(code) is not None


def normalised(code: str, system: str) -> str:
    """Writes a code with or without a point in the one spelling.

    A point in the wrong place is an error and is not moved: a procedure written 3.31 has lost the zero of 03.31, and
    moving the point would make it 33.1, another code.

    Raises:
        UserError: the system is unknown, or the code does not have its form; the caller says where it stands.
    """
    given = code.strip().upper()
    # "66." is how some programs write the category 66.
    result = dotted(undotted(given), system)
    if ("." in given.rstrip(".") and given != result) or not is_valid(result, system):
        shown = given if len(given) <= 12 else given[:9] + "..."
        raise UserError(f"'{shown}' is not a code of {system}{_example(system)}")
    return result


def _example(system: str) -> str:
    examples = {"icd9cm": "250.00 or V45.81", "icd9proc": "03.31", "icd10cm": "E11.9", "icd10pcs": "0DTJ4ZZ"}
    return f" (such as {examples[system]})"
