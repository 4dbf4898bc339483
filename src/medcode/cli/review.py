"""`review`: a page on which a person accepts, rejects and adds codes; or its decisions as a corpus."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.bulk.sources import Sources

NEEDED = ("fastapi", "uvicorn")
EXAMPLES = """examples:
  medcode review notes/ --model models/current         prints the address of the page
  medcode review notes.jsonl --id-column admission_id --model stroke-unit-2026
  medcode review notes.jsonl --id-column admission_id --export data/raw/jsonl/reviewed.jsonl

The same command goes on where the review was. docs/USE.md says what the ledger holds, and what the keys do.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "review",
        help="review predicted codes on a page of this machine, and export the decisions",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notes", nargs="+", metavar="NOTES", help="text files, folders, *.jsonl, *.csv, *.parquet")
    parser.add_argument(
        "--model",
        default="models/current",
        help="folder of a trained model, or the name of a kept one (default: %(default)s)",
    )
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="of the decisions (default: NOTES.review.jsonl, beside the notes)"
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of the page (default: one that is free)")
    parser.add_argument("--text-column", metavar="NAME", help="column of a table that holds the text (default: text)")
    parser.add_argument("--id-column", metavar="NAME", help="column of the note's name (default: FILE:ROW is its name)")
    parser.add_argument("--threshold", type=float, help="probability above which a code is predicted (default: tuned)")
    parser.add_argument("--top", type=int, help="predict this many codes, whatever their probability")
    export = parser.add_argument_group("export")
    export.add_argument(
        "--export", type=Path, metavar="FILE", help="write the notes that are done, with their codes, as a corpus jsonl"
    )
    export.add_argument("--patient-column", metavar="NAME", help="column of the patient's id (default: the note's)")
    export.add_argument("--overwrite", action="store_true", help="replace the exported file if it exists")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Serve the page until it is stopped, or export the decisions.

    Raises:
        UserError: an argument is invalid; notes, model or ledger cannot be used; an extra package is missing.
    """
    from medcode.bulk.rows import Columns
    from medcode.bulk.sources import Sources
    from medcode.errors import UserError

    _check(arguments)
    columns = Columns(arguments.text_column or "text", arguments.id_column)
    if columns.text == columns.id:
        raise UserError(f"--id-column: {columns.id} is the column of the text")
    if arguments.export is None:
        _require_packages()
    sources = Sources(arguments.notes, columns)
    ledger = arguments.ledger or default_ledger(arguments.notes)
    sources.check_output(ledger, "--ledger")
    if arguments.export is not None:
        _export(arguments, sources, ledger)
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as for `predict`; read when torch is loaded
    from medcode.review.serve import serve

    def tell(address: str) -> None:
        print(f"review: {address}\nledger: {ledger}\nCtrl-C ends it; every decision is saved at once", flush=True)

    serve(sources, arguments.model, ledger, arguments.port, arguments.top, arguments.threshold, tell)


def _check(arguments: argparse.Namespace) -> None:
    from medcode.errors import UserError

    if not 0 <= arguments.port <= 65535:
        raise UserError(f"--port: from 0 to 65535, found {arguments.port}")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold: a probability from 0 to 1, found {arguments.threshold}")
    if arguments.top is not None and arguments.top < 1:
        raise UserError(f"--top: at least 1, found {arguments.top}")
    if arguments.export is None and (arguments.patient_column or arguments.overwrite):
        raise UserError("--patient-column and --overwrite: are for --export")


def _require_packages() -> None:
    """Say what to install, before anything else is done."""
    import importlib

    from medcode.errors import UserError

    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(
                f"review: the Python module '{error.name}' is not installed; pip install 'medcode[review]' has it"
            ) from None


def default_ledger(notes: list[str]) -> Path:
    """Return the ledger of a review where none is named: beside the notes, outside a folder of them.

    Raises:
        UserError: there are several files or folders, or nothing is beside the folder.
    """
    from medcode.bulk.sources import ending_of
    from medcode.errors import UserError

    if len(notes) > 1:
        raise UserError("--ledger: name the file of the decisions, since NOTES are several files")
    path = Path(os.path.abspath(notes[0]))  # noqa: PTH100 - resolve would follow a link to other folders
    if not path.name:
        raise UserError(f"--ledger: name the file of the decisions, since nothing is beside {path}")
    # No more is cut off than the ending: ward.a.csv and ward.b.csv may have the same ids, but share no decisions.
    ending = "" if path.is_dir() else ending_of(path) or path.suffix
    stem = path.name[: len(path.name) - len(ending)] or path.name
    return Path(os.path.relpath(path.with_name(f"{stem}.review.jsonl")))


def _export(arguments: argparse.Namespace, sources: Sources, ledger: Path) -> None:
    import sys

    from medcode.errors import UserError
    from medcode.review.export import export
    from medcode.review.ledger import read

    sources.check_output(arguments.export, "--export")
    if arguments.export.resolve() == ledger.resolve():
        raise UserError(f"--export: {ledger} is the ledger; write to another file")
    if arguments.export.exists() and not arguments.overwrite:
        raise UserError(f"--export: {arguments.export} exists; replace it with --overwrite")
    number = export(read(ledger), sources, arguments.export, arguments.patient_column)
    print(f"{arguments.export}: {number:,} notes")
    if arguments.patient_column is None:
        line = "each note counts as a patient of its own; if a patient has several, name --patient-column"
        print(f"note: {line}", file=sys.stderr)
