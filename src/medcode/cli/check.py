"""`check`: says whether params.yaml is right, all of it, before anything runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.config import Params

MADE_HERE = "synthetic-"  # corpora that the workflow itself makes


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser("check", help="check params.yaml, every model's block included")
    parser.add_argument("--params", default="params.yaml", help="the file to check (default: %(default)s)")
    parser.add_argument("--raw", type=Path, help="also check that the corpus has a folder here")
    parser.add_argument("--out", type=Path, help="write this file when all is right")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Checks the file, and on request that the corpus is there.

    Raises:
        UserError: the first mistake found.
    """
    from medcode import config, io
    from medcode.errors import UserError

    params = config.load(arguments.params)
    check_models(arguments.params)
    check_encoder(params, arguments.params)
    corpus = params.corpus
    if arguments.raw and not corpus.startswith(MADE_HERE) and not (arguments.raw / corpus).is_dir():
        raise UserError(f"{arguments.raw / corpus}: no such folder; docs/DATA.md says how to get the corpus {corpus}")
    if arguments.out:
        # The same whatever was checked, so that nothing reruns because of it.
        io.write_json(arguments.out, {"checked": True})
    print(f"{arguments.params}: all right")


def check_encoder(params: Params, path: str) -> None:
    """Checks that a model on word pieces has an encoder, and a model on words none.

    Raises:
        UserError: it is not so; says what to choose.
    """
    from medcode import models
    from medcode.errors import UserError

    block = params.models[params.model]
    configured = models.configure(params.model, block.architecture, block.training[params.recipe], path)
    in_pieces = models.find(params.model).reads_pieces(configured)
    if in_pieces and params.encoder == "none":
        raise UserError(
            f"{path}: encoder: {params.model} reads word pieces and needs an encoder; choose one of encoders, for "
            f"instance -S model={params.model} -S encoder=scratch-tiny"
        )
    if not in_pieces and params.encoder != "none":
        raise UserError(f"{path}: encoder: {params.model} reads words and has no encoder; set encoder: none")


def check_models(path: str) -> None:
    """Checks the blocks of all models, for every label set.

    Raises:
        UserError: a block is wrong, or missing, or of a model that does not exist.
    """
    from medcode import config, models
    from medcode.errors import UserError, nearest

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
