"""`predict`: print the predicted codes of a note."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.inference.predict import OpenPredictor, Prediction


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("predict", help="print the codes of a note")
    parser.add_argument(
        "note", nargs="?", default="-", metavar="NOTE.txt", help="a text file (default: standard input)"
    )
    parser.add_argument("--model", default="models/current", help="folder of a trained model (default: %(default)s)")
    parser.add_argument("--open", help="folder that scores unseen codes (default: open, next to the model's)")
    parser.add_argument("--threshold", type=float, help="probability above which a code is predicted (default: tuned)")
    parser.add_argument("--top", type=int, help="print this many codes, whatever their probability")
    parser.add_argument("--evidence", action="store_true", help="show the words of the note that made each code")
    parser.add_argument(
        "--method", metavar="NAME", help="of evidence, see docs/EVIDENCE.md (default: the best that takes seconds)"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with the note, its codes and their evidence")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the codes.

    Raises:
        UserError: the note cannot be read or has no words, the model is missing or damaged, or an argument is invalid.
    """
    from medcode.errors import UserError
    from medcode.evaluation.summary import ZERO_THRESHOLD
    from medcode.inference import saved_model
    from medcode.inference.predict import UnreadableNote, predict

    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold: a probability from 0 to 1, found {arguments.threshold}")
    if arguments.top is not None and arguments.top < 1:
        raise UserError(f"--top: at least 1, found {arguments.top}")
    if arguments.method is not None and not (arguments.evidence or arguments.html):
        raise UserError("--method: says how evidence is found; add --evidence or --html")
    text = read_note(arguments.note)
    open_predictor = _open_predictor(Path(arguments.model), arguments.open)
    try:
        prediction = predict(
            saved_model.load_all(arguments.model), text, arguments.threshold, arguments.top, open_predictor
        )
    except UnreadableNote as error:
        raise UserError(f"{_name(arguments.note)}: {error}") from error
    method = None
    if arguments.evidence or arguments.html:
        method = add_evidence(arguments, text, prediction, open_predictor)
    if prediction.words_read < prediction.words:
        print(
            f"note: read the first {prediction.words_read:,} of {prediction.words:,} {prediction.unit}", file=sys.stderr
        )
    if not prediction.words_known:
        print("note: not one word of it is in the model's vocabulary", file=sys.stderr)
    if prediction.seeds > 1:
        print(f"note: means of the probabilities of {prediction.seeds} models, one for each seed", file=sys.stderr)
    for head, threshold in prediction.thresholds.items():
        if threshold == 0 and arguments.threshold is None and arguments.top is None:
            print(f"WARNING: {head}: {ZERO_THRESHOLD}; or set --threshold or --top", file=sys.stderr)
    if arguments.format == "json":
        print(json.dumps(vars(prediction) | ({} if method is None else {"evidence_method": method}), indent=2))
        return
    if not prediction.codes:
        print("no code is above the threshold", file=sys.stderr)
    marks = ("\x1b[1;7m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("[[", "]]")
    for code in prediction.codes:
        mark = "  (unseen)" if code.get("unseen") else ""
        print(f"{code['probability']:.3f}  {code['system']:<8}  {code['code']:<8}  {code['description']}{mark}")
        if arguments.evidence:
            from medcode.evidence.of_codes import lines

            print("\n".join(lines(text, code, marks)))


def _open_predictor(model: Path, folder: str | None) -> OpenPredictor | None:
    """Return what scores unseen codes: for a model of the label set open, or where a folder is given; else None.

    Raises:
        UserError: the model or the folder is missing or damaged, or the folder was made for another model.
    """
    from medcode.inference import saved_model

    if folder is None and saved_model.label_set(model) != "open":
        return None
    from medcode.open_codes.predict import predictor

    return predictor(Path(folder) if folder is not None else model.parent / "open", saved_model.digests(model))


def add_evidence(
    arguments: argparse.Namespace, text: str, prediction: Prediction, open_predictor: OpenPredictor | None
) -> str:
    """Add the evidence of each code to a prediction, and write the page if one is asked for.

    Returns:
        The method.

    Raises:
        UserError: the method does not work for the model, or the page cannot be written.
    """
    from medcode import io
    from medcode.errors import UserError
    from medcode.evidence.of_codes import add_spans
    from medcode.evidence.page import render
    from medcode.inference import saved_model

    models = saved_model.load_all(arguments.model)
    method = add_spans(models, text, prediction.codes, arguments.method, open_predictor)
    if arguments.html:
        try:
            io.write_text(arguments.html, render(text, prediction.model, method, prediction.codes))
        except OSError as error:
            raise UserError(f"--html: {arguments.html} cannot be written ({error.strerror})") from error
    return method


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
