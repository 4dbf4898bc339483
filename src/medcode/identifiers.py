"""One rule for ids of notes, admissions and patients, wherever they are read: an id is text.

Text stays as it is, but for the blanks around it: "007", "7" and "7.0" are three ids. A whole number becomes its
digits. The ids of MIMIC alone are whole numbers by its documentation; there "7.0" is what a program left that took a
column with empty fields for fractions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medcode.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40  # characters of an id in messages


def identifier(value: object) -> str:
    """Return an id as text, "" where there is none.

    Raises:
        UserError: the value is neither text nor a whole number. A fraction may have lost digits.
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError("the id is neither text nor a whole number")
    return str(value).strip()


def present(value: object, what: str) -> str:
    """Return an id as text, as `identifier` does, where there must be one that can be written in a line.

    Args:
        what: name of the value, for the message.

    Raises:
        UserError: the value is neither text nor a whole number; it is empty, or holds a control character.
    """
    try:
        text = identifier(value)
    except UserError:
        raise UserError(f"{what} must be a string or a whole number") from None
    if not text or not text.isprintable():
        raise UserError(f"{what} is empty or holds a control character")
    return text


def whole_number(value: str) -> str:
    """Return an id of MIMIC, a whole number, without the ".0" that some programs leave; "" where there is none."""
    return identifier(value).removesuffix(".0")


def whole_numbers(column: pd.Series) -> pd.Series:
    """Return a column of ids of MIMIC as `whole_number` does. Codes repeat their admission, so each is cleaned once."""
    return column.map({value: whole_number(value) for value in column.unique()}).astype("str")
