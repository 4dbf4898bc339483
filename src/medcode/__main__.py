"""The command line for people: `medcode`, or `python -m medcode`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from medcode.errors import UserError, report

COMMANDS = (
    "check", "models", "new-model", "keep", "predict", "predictions", "fetch", "splits", "corpus", "study", "crossval",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code, 2 for a mistake by the user."""
    parser = argparse.ArgumentParser(prog="medcode", description="Automated medical coding.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"medcode.cli.{name.replace('-', '_')}").add_parser(commands)
    args = parser.parse_args(arguments)
    try:
        args.run(args)
        sys.stdout.flush()
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


if __name__ == "__main__":
    sys.exit(main())
