"""The command line for people: `medcode`, or `python -m medcode`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from medcode import __version__
from medcode.errors import UserError, report

COMMANDS = (
    "check", "models", "new-model", "keep", "predict", "review", "predictions", "fetch", "splits", "corpus", "study",
    "sweep", "crossval", "join",
)  # fmt: skip
EXAMPLES = """examples:
  medcode predict note.txt --model models/current      the codes of a note
  medcode predict notes/ --output codes.csv            of each text file in a folder
  medcode models                                       the models that can be trained
  medcode COMMAND --help                               what a command can do, with examples

In Python: medcode.load("models/current").predict(["Fever and chills."])
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a mistake by the user, or another of the command's."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parser(arguments).parse_args(arguments)
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code or 0
    except UserError as error:
        return report(error)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "medcode":  # a mistake in the code
            raise
        message = f"{args.command}: the Python module '{package}' is not installed; pip install 'medcode[all]' has it"
        return report(UserError(message))
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    """Return the parser of one command if the arguments begin with its name, else of all: some load much."""
    parser = argparse.ArgumentParser(
        prog="medcode",
        description="Automated medical coding: ICD codes for clinical notes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"medcode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in arguments[:1] if arguments[0:1] and arguments[0] in COMMANDS else COMMANDS:
        importlib.import_module(f"medcode.cli.{name.replace('-', '_')}").add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
