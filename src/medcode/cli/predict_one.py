"""`predict` for one note: its codes on standard output, or on a page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medcode.cli.predicting import load, marks, warn_of_zero_thresholds

if TYPE_CHECKING:
    from medcode.inference.predict import Prediction


def predict_one(arguments: argparse.Namespace, note: str) -> None:
    """Print the codes of one note.

    Raises:
        UserError: as for `run`.
    """
    text = read_note(note)
    prediction = _prediction(arguments, note, text)
    report(arguments, prediction)
    if arguments.format == "json":
        print(json.dumps(prediction.as_dict(), indent=2))
        return
    from medcode.bulk.outputs import NO_CODE, code_lines

    if not prediction.codes:
        print(NO_CODE, file=sys.stderr)
    for code in prediction.codes:
        first, *evidence = code_lines(code, text, marks())
        print("\n".join([first, *(evidence if arguments.evidence else [])]))


def _prediction(arguments: argparse.Namespace, note: str, text: str) -> Prediction:
    """Return the codes of a note, and write the page if one is asked for."""
    from medcode import io
    from medcode.errors import UserError
    from medcode.inference.predict import UnreadableNote

    evidence = arguments.evidence or bool(arguments.html)
    try:
        (prediction,) = load(arguments).predict([text], evidence, arguments.top, arguments.threshold, arguments.method)
    except UnreadableNote as error:
        raise UserError(f"{_name(note)}: {error}") from error
    prediction = prediction.rounded(4)
    if arguments.html:
        from medcode.evidence.page import render

        try:
            page = render(text, prediction.model, prediction.evidence_method or "", prediction.codes)
            io.write_text(arguments.html, page)
        except OSError as error:
            raise UserError(f"--html: {arguments.html} cannot be written ({error.strerror})") from error
    return prediction


def report(arguments: argparse.Namespace, prediction: Prediction) -> None:
    """Say on standard error what the codes do not show."""
    if prediction.words_read < prediction.words:
        print(
            f"note: read the first {prediction.words_read:,} of {prediction.words:,} {prediction.unit}", file=sys.stderr
        )
    if not prediction.words_known:
        print("note: not one word of it is in the model's vocabulary", file=sys.stderr)
    elif prediction.mostly_unknown:
        known = f"{prediction.words_known:,} of {prediction.words_read:,} {prediction.unit}"
        print(f"note: most of it is unknown to the model, whose vocabulary has {known}", file=sys.stderr)
    if prediction.dev_lengths is not None and prediction.is_unusual_length:
        shortest, longest = prediction.dev_lengths
        kind, unit = "short" if prediction.words < shortest else "long", prediction.unit
        print(
            f"note: unusually {kind}: it has {prediction.words:,} {unit}; those that the model was tuned on have "
            f"{shortest:,} to {longest:,}",
            file=sys.stderr,
        )
    if prediction.seeds > 1:
        print(f"note: means of the probabilities of {prediction.seeds} models, one for each seed", file=sys.stderr)
    if arguments.threshold is None and arguments.top is None:
        warn_of_zero_thresholds(prediction.thresholds)


def read_note(name: str) -> str:
    """Read a note from a file, or from standard input if the name is -.

    Raises:
        UserError: the file cannot be read, or is not UTF-8.
    """
    from medcode.errors import UserError

    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{_name(name)}: not UTF-8 text (byte {error.start + 1}); convert it, for instance with iconv -t UTF-8"
        ) from error


def _name(note: str) -> str:
    return "standard input" if note == "-" else note
