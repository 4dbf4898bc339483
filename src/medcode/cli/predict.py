"""`predict`: print the predicted codes of a note, or write those of many."""

from __future__ import annotations

import argparse
from pathlib import Path

REJECTED = 3  # the exit code where notes could not be read
EXAMPLES = """examples:
  medcode predict note.txt                             the codes of a note
  medcode predict note.txt --evidence                  and the words that made each code
  medcode predict notes/ --output codes.csv            of each text file in a folder
  medcode predict notes.parquet --text-column note --id-column note_id --output codes.parquet
  medcode predict archive/ --output codes --ray auto   into a folder, by all machines of a Ray cluster

Many notes: docs/USE.md says what is written, and how a run that was stopped goes on: by the same command.
exit codes: 0 done; 2 a mistake, which one line explains; 3 done, but for notes that could not be read; 130 stopped
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "predict",
        help="print the codes of a note, or write those of many",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "notes", nargs="*", default=["-"], metavar="NOTES",
        help="a text file (default: standard input); or several, folders, tables *.jsonl, *.csv, *.parquet",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        default="models/current",
        help="folder of a trained model, or the name of a kept one (default: %(default)s)",
    )
    parser.add_argument("--open", help="folder that scores unseen codes (default: open, in or next to the model's)")
    parser.add_argument("--threshold", type=float, help="probability above which a code is predicted (default: tuned)")
    parser.add_argument("--top", type=int, help="print this many codes, whatever their probability")
    parser.add_argument("--evidence", action="store_true", help="show the words of the note that made each code")
    parser.add_argument(
        "--method", metavar="NAME", help="of evidence, see docs/EVIDENCE.md (default: the best that takes seconds)"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with the note, its codes and their evidence")
    parser.add_argument("--format", choices=("table", "json"), help="of what is printed (default: table)")
    many = parser.add_argument_group("many notes")
    many.add_argument(
        "--output", type=Path, metavar="FILE",
        help="write *.jsonl, *.csv, *.parquet, or *.txt, a table for people; or a folder of *.parquet, a file a part",
    )  # fmt: skip
    many.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    many.add_argument("--text-column", metavar="NAME", help="column of a table that holds the text (default: text)")
    many.add_argument("--id-column", metavar="NAME", help="column of the note's name (default: FILE:ROW is its name)")
    many.add_argument("--save-every", type=int, metavar="N", help="notes predicted and saved together (default: 128)")
    many.add_argument("--part", type=int, metavar="N", help="notes of a part, about (default: 10,000)")
    many.add_argument(
        "--ray", metavar="ADDRESS", help="predict parts on a Ray cluster: auto, or HOST:PORT (docs/SCALE.md)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the codes, and return the exit code.

    Raises:
        UserError: the notes cannot be read, the model is missing or damaged, or an argument is invalid; one note has no
            words.
    """
    from medcode.bulk.sources import is_many
    from medcode.errors import UserError

    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold: a probability from 0 to 1, found {arguments.threshold}")
    if arguments.top is not None and arguments.top < 1:
        raise UserError(f"--top: at least 1, found {arguments.top}")
    if arguments.method is not None and not (arguments.evidence or arguments.html):
        raise UserError("--method: says how evidence is found; add --evidence or --html")
    if arguments.output is not None or is_many(arguments.notes):
        from medcode.cli.predict_many import predict_many

        return REJECTED if predict_many(arguments).rejected else 0
    for option in ("overwrite", "text_column", "id_column", "save_every", "part", "ray"):
        if getattr(arguments, option):
            raise UserError(f"--{option.replace('_', '-')}: for many notes; this is one, and without --output")
    from medcode.cli.predict_one import predict_one

    predict_one(arguments, arguments.notes[0])
    return 0
