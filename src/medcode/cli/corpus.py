"""`corpus`: print statistics of the corpus, as in the first table of a publication."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("corpus", help="print documents, patients, words and labels of each split")
    parser.add_argument(
        "--metrics", default="metrics/corpus.json", help="what the stage corpus_stats wrote (default: %(default)s)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the table.

    Raises:
        UserError: the file is missing or has other content.
    """
    import json

    from medcode import io
    from medcode.dataset import statistics
    from medcode.errors import UserError

    try:
        summary = io.read_json(arguments.metrics)
        rows = statistics.table(summary)
        title = f"{summary['corpus']}, label set {summary['label_set']}"
        remarks = [statistics.identical_line(summary), *statistics.commonest_lines(summary)]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{arguments.metrics}: not what the stage corpus_stats writes; run dvc repro corpus_stats"
        ) from error
    if arguments.format == "json":
        print(json.dumps(summary, indent=2, ensure_ascii=False))
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(title)
    for first, *cells in rows:
        print("  ".join([first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))]))
    print("\n".join(remarks))
