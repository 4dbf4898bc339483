"""`keep`: give the trained model a name, or list those that have one."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("keep", help="copy the trained model under a name, with a card; or list such models")
    parser.add_argument("name", nargs="?", metavar="NAME", help="models/kept/NAME; without one, list the kept models")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        UserError: the name is not allowed or taken; there is no trained model, or it is damaged.
    """
    from medcode.inference import kept

    if arguments.name is None:
        print(listed())
        return
    print(kept.keep(arguments.name))


def listed() -> str:
    """Return a line about each kept model, or how to keep one.

    Raises:
        UserError: one of them is damaged.
    """
    from medcode.inference import kept

    return "\n".join(map(line, kept.names())) or "no model is kept yet; `medcode keep NAME` keeps the trained one"


def line(name: str) -> str:
    """Return a line about a kept model."""
    from medcode.inference import kept, saved_model

    trained = saved_model.describe(kept.ROOT / name)
    return f"{name}  {trained.name}  {trained.label_set}  {trained.provenance.corpus or 'corpus unknown'}"
