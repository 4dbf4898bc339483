"""Clinical cases as CodiEsp and CANTEMIST publish them: a text file of each, a table of codes, and mentions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from medcode.codes import formatting
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans, offsets
from medcode.errors import UserError


class Cases:
    """Reader of the cases of a corpus. Each case counts as one patient with one admission.

    Args:
        corpus: name in params.yaml, for messages.
        notes: where the texts of the cases go.
    """

    def __init__(self, corpus: str, notes: Notes) -> None:
        self.corpus = corpus
        self.notes = notes
        self._assigned: set[tuple[str, str, str]] = set()  # case, system, code

    def add_texts(self, folder: Path, split: str) -> int:
        """Add the text files of a folder, and return their number.

        Raises:
            UserError: the folder is missing, a file is not UTF-8, or a case was added before.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; {self._remedy}")
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
        for path in paths:
            if path.stem in self.notes:
                raise UserError(f"{path}: the case is in two splits")
            self.notes.add(path.stem, path.stem, self.text(path), split)
        return len(paths)

    def codes(self, path: Path, system: str, header: Sequence[str] = ()) -> pd.DataFrame:
        """Read a table with a case and a code on each line.

        Args:
            header: names of the columns, if they are the first line.

        Returns:
            case, and code without its point.

        Raises:
            UserError: the file is missing or not UTF-8, its header differs, or a line is not a pair of a case with a
                text and a code.
        """
        cases, codes = [], []
        for number, (case, code) in self.rows(path, ("case", "code"), header):
            with at_line(path, number):
                code = formatting.normalized(code, system)
            self._assigned.add((case, system, code))
            cases.append(case)
            codes.append(formatting.undotted(code))
        return pd.DataFrame({"case": cases, "code": codes}, dtype="str")

    def add_span(self, spans: Spans, case: str, system: str, code: str, positions: str, mention: str) -> None:
        """Add the span of a mention. The codes of the case are read before.

        Args:
            positions: offsets in the form that `spans.offsets` parses.

        Raises:
            UserError: the code has not the form of its system, or is not one of the case; the offsets have another
                form, or lie outside the text. The caller adds file and line.
        """
        code = formatting.normalized(code, system)
        if (case, system, code) not in self._assigned:
            raise UserError(f"case {case[:40]} has a span of {code}, which is none of its codes")
        spans.add(case, system, code, offsets(positions), mention)

    def rows(self, path: Path, fields: Sequence[str], header: Sequence[str] = ()) -> Iterator[tuple[int, list[str]]]:
        """Read a table separated by tabs whose first field is a case; yield the number of each line and its fields.

        Args:
            fields: what a line holds, for messages.
            header: as for `codes`.

        Raises:
            UserError: the file is missing or not UTF-8, its header differs, a line has another number of fields, or
                there is no text of a case.
        """
        lines = self.lines(path)
        if header and next(lines, (0, ""))[1].split("\t") != list(header):
            raise UserError(f"{path}: line 1: expected the header {' '.join(header)}")
        for number, line in lines:
            values = [value.strip() for value in line.split("\t")]
            if len(values) != len(fields):
                expected = f"{', '.join(f'a {field}' for field in fields[:-1])} and a {fields[-1]}"
                raise UserError(f"{path}: line {number}: expected {expected}, found {len(values)} fields")
            if values[0] not in self.notes:
                raise UserError(f"{path}: line {number}: there is no text of case {values[0][:40]}")
            yield number, values

    def lines(self, path: Path) -> Iterator[tuple[int, str]]:
        """Read the lines of a text file that are not blank, with their numbers.

        Raises:
            UserError: the file is missing or not UTF-8.
        """
        # Not splitlines: a mention may hold one of the rarer characters that it takes for the end of a line.
        for number, line in enumerate(self.text(path).split("\n"), start=1):
            if line.strip():
                yield number, line.removesuffix("\r")

    def text(self, path: Path) -> str:
        """Read a text file, line endings as they are.

        Raises:
            UserError: the file is missing or not UTF-8.
        """
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                return file.read()
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; {self._remedy}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error

    @property
    def _remedy(self) -> str:
        return f"`make corpus CORPUS={self.corpus}` fetches the corpus"


@contextmanager
def at_line(path: Path, number: int) -> Iterator[None]:
    """Add file and line to the message of a `UserError`."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: line {number}: {error}") from None
