"""Predictions as lines of a file, JSON, CSV or a table for people, and as a parquet table."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medcode.evidence.of_codes import lines as evidence_lines
from medcode.evidence.spans import printable
from medcode.inference.predict import PredictedCode, Prediction

DECIMALS = 6  # of a probability
MARKS = ("[[", "]]")
NO_CODE = "no code is above the threshold"
FIELDS = (
    "id", "head", "system", "code", "description", "probability", "unseen", "sentence_start", "sentence_end", "spans",
    "words", "words_read", "words_known",
)  # fmt: skip
NUMBERS = {"sentence_start", "sentence_end", "words", "words_read", "words_known"}
PARQUET_NOTES = 1024  # of a row group


class Output(NamedTuple):
    """How predictions are written.

    Attributes:
        encode: returns the lines of a note, from its id, text and prediction.
        header: the lines before those of all notes.
    """

    encode: Callable[[str, str, Prediction], str]
    header: str = ""


def json_line(id_: str, text: str, prediction: Prediction) -> str:
    """Return a line of JSON: the id, then what `predict --format json` prints of one note."""
    return json.dumps({"id": id_} | prediction.rounded(DECIMALS).as_dict()) + "\n"


def csv_line(values: Iterable[Any]) -> str:
    """Return a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def csv_lines(id_: str, text: str, prediction: Prediction) -> str:
    """Return a line of CSV for each code."""
    return "".join(csv_line(record.values()) for record in flat({"id": id_} | prediction.rounded(DECIMALS).as_dict()))


def flat(note: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record with `FIELDS` for each code of a note; a note without codes has one, without a code.

    Args:
        note: the object of a `json_line`.
    """
    of_note = {name: note[name] for name in ("id", "words", "words_read", "words_known")}
    records = []
    for code in note["codes"] or [{}]:
        record = dict.fromkeys(FIELDS) | of_note | {name: code[name] for name in FIELDS if name in code}
        if code:
            record["unseen"] = code.get("unseen", False)
        if "evidence" in code:
            record["sentence_start"], record["sentence_end"] = code["evidence"]
        if "spans" in code:
            record["spans"] = json.dumps(code["spans"])
        records.append(record)
    return records


def code_lines(code: PredictedCode, text: str, marks: tuple[str, str]) -> list[str]:
    """Return a code for people: a line, and under it one for each of its spans, if it has them.

    Args:
        code: of a prediction.
        text: the note.
        marks: what begins and ends a span.
    """
    mark = "  (unseen)" if code.get("unseen") else ""
    line = f"{code['probability']:.3f}  {code['system']:<8}  {code['code']:<8}  {code['description']}{mark}"
    line = printable(line)
    return [line, *(evidence_lines(text, code, marks) if "spans" in code else [])]


def table_lines(id_: str, text: str, prediction: Prediction, marks: tuple[str, str] = MARKS) -> str:
    """Return the codes of a note for people, each behind the id."""
    lines: list[str] = []
    for code in prediction.codes:
        first, *evidence = code_lines(code, text, marks)
        lines += [f"{printable(id_)}  {first}", *evidence]
    return "".join(f"{line}\n" for line in lines or [f"{printable(id_)}  {NO_CODE}"])


def table(marks: tuple[str, str] = MARKS) -> Output:
    """Return the table for people, with what begins and ends a span."""
    return Output(functools.partial(table_lines, marks=marks))


# By the ending of the file. What becomes a parquet table is collected as lines of JSON.
OUTPUTS = {
    ".jsonl": Output(json_line),
    ".csv": Output(csv_lines, csv_line(FIELDS)),
    ".parquet": Output(json_line),
    ".txt": table(),
}


def write_parquet(lines: Path, output: Path) -> None:
    """Write a parquet table of a file of lines of JSON, some hundred notes in memory at a time.

    Raises:
        UserError: it cannot be written.
    """
    import pyarrow as pa

    from medcode.io import write_batches

    types = {"probability": pa.float64(), "unseen": pa.bool_()} | dict.fromkeys(NUMBERS, pa.int64())
    schema = pa.schema([(name, types.get(name, pa.string())) for name in FIELDS])
    with open(lines, encoding="utf-8") as file:
        batches = (
            pa.RecordBatch.from_pylist([record for note in notes for record in flat(note)], schema)
            for notes in _parts(map(json.loads, file))
        )
        write_batches(output, batches, schema)


def _parts(notes: Iterable[dict[str, Any]]) -> Iterable[Sequence[dict[str, Any]]]:
    unread = iter(notes)
    while part := list(itertools.islice(unread, PARQUET_NOTES)):
        yield part
