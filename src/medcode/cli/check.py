"""`check`: says whether params.yaml is right, all of it, before anything runs."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser("check", help="check params.yaml, every model's block included")
    parser.add_argument("--params", default="params.yaml", help="the file to check (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Checks the file.

    Raises:
        UserError: the first mistake found.
    """
    from medcode import config, models
    from medcode.errors import UserError, nearest

    path = arguments.params
    config.load(path)
    raw = config.read_yaml(path)
    for label_set in ("top50", "full"):
        params = config.build(config.Params, config.for_label_set(raw, label_set), path)
        for name, block in params.models.items():
            if name not in models.names():
                raise UserError(f"{path}: models.{name}: there is no such model; {nearest(name, models.names())}")
            for recipe in block.training.values():
                models.configure(name, block.architecture, recipe, path)
    missing = sorted(set(models.names()) - set(params.models))
    if missing:
        raise UserError(f"{path}: models.{missing[0]}: missing; every model has a block")
    print(f"{path}: all right")
