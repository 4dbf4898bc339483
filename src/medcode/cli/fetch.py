"""`python -m medcode fetch`: puts an open corpus into data/raw, every file checked."""

from __future__ import annotations

import argparse
from pathlib import Path

from medcode.corpora import fetch


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command and its options."""
    parser = subparsers.add_parser("fetch", help="fetch an open corpus and check every file of it")
    parser.add_argument("corpus", help="codiesp; for others it says where they come from")
    parser.add_argument("--from", dest="source", type=Path, help="a folder or a zip file to take it from")
    parser.add_argument("--to", required=True, type=Path, help="the folder of the corpus, such as data/raw/codiesp")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Fetches the corpus and says how many files it has."""
    count = fetch.fetch(arguments.corpus, arguments.to, arguments.source)
    print(f"{arguments.to}: {count} files, all as published")
