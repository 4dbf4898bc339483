"""`splits`: check published lists of admissions and copy them to where the workflow reads them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("splits", help="check and copy published lists of train, dev and test")
    parser.add_argument("name", help="caml, edin-clean, edin-icd9, edin-icd10 or edin-joint")
    parser.add_argument("--from", dest="source", type=Path, required=True, help="a folder that holds their files")
    parser.add_argument("--to", type=Path, required=True, help="such as data/splits-published/caml")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Copy the lists and print the number of admissions of each split.

    Raises:
        UserError: the name is unknown; a file is missing or damaged; an admission is listed twice.
    """
    from medcode.dataset import published_splits

    for line in published_splits.install(arguments.name, arguments.source, arguments.to):
        print(line, file=sys.stderr)
    lists, _ = published_splits.read(arguments.to, arguments.name)
    counts = ", ".join(f"{split} {len(ids):,}" for split, ids in lists.ids.items())
    print(f"{arguments.to}: {counts}; set split.published: {arguments.name} in params.yaml to follow them")
