"""`fetch`: download an open corpus or the official files of codes, and check every file."""

from __future__ import annotations

import argparse
from pathlib import Path

from medcode.codes import fetch as codes
from medcode.corpora import fetch as corpora

REFERENCE = "reference"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("fetch", help="fetch an open corpus, or the official files of codes, and check them")
    parser.add_argument("name", help="codiesp, cantemist, or reference; for other corpora it prints where to get them")
    parser.add_argument("--from", dest="source", type=Path, help="a folder or a zip file to take it from")
    parser.add_argument("--to", required=True, type=Path, help="the folder to make, such as data/raw/codiesp")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Fetch the files and print their number."""
    if arguments.name == REFERENCE:
        count = codes.fetch(arguments.to, arguments.source)
    else:
        count = corpora.fetch(arguments.name, arguments.to, arguments.source)
    print(f"{arguments.to}: {count} files, all as published")
