"""`check`: check params.yaml and the files of all models before anything runs."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("check", help="check params.yaml and the files of all models")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the file to check")
    parser.add_argument("--models", type=Path, default=Path("configs/models"), metavar="FOLDER", help="likewise")
    parser.add_argument("--resolved", action="store_true", help="print every setting of the run in full, defaults too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Check the files.

    Raises:
        UserError: a line for each mistake.
    """
    from medcode.config.checking import check_all, check_run

    if arguments.resolved:
        import yaml

        params, settings = check_run(arguments.params, arguments.models)
        run = params.model_dump(by_alias=True) | {
            "recipes": {
                one.recipe_name: {
                    "options": one.config.model_dump(exclude={"dropout", "embedding"}),
                    **one.recipe.model_dump(exclude={"options"}),
                }
                for one in settings
            },
        }
        print(yaml.safe_dump(run, sort_keys=False), end="")
        return
    check_all(arguments.params, arguments.models)
    print(f"{arguments.params}, {arguments.models}: all right")
