"""`predict` for many notes: checks of its options, and what it says at the end."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcode.cli.predicting import let_threads_sleep, marks, warn_of_zero_thresholds

if TYPE_CHECKING:
    from medcode.bulk.progress import Counts
    from medcode.bulk.rows import Columns
    from medcode.bulk.run import Run
    from medcode.bulk.sources import Sources
    from medcode.coder import Coder


def predict_many(arguments: argparse.Namespace) -> Counts:
    """Write the codes of many notes, to a file or to standard output, and say what could not be read.

    Raises:
        UserError: an argument is invalid, the model or a file of notes is missing or damaged, the output exists.
    """
    columns = _check(arguments)
    from medcode.bulk.sources import Sources

    sources = Sources(arguments.notes, columns)
    if arguments.output is not None:
        sources.check_output(arguments.output)
    let_threads_sleep()
    from medcode.bulk import model
    from medcode.bulk.outputs import OUTPUTS, table
    from medcode.bulk.run import WINDOW, Run
    from medcode.evidence.attributions import check_method

    coder, digest = model.load(arguments.model, arguments.open)
    if arguments.method is not None:
        check_method(coder.models[0].model, arguments.method)

    options = {name: getattr(arguments, name) for name in ("evidence", "top", "threshold", "method")}
    run = Run(coder, sources, options, arguments.save_every or WINDOW)
    settings = options | columns._asdict() | {"model": digest}
    if arguments.output is None:
        counts = run.to_stream(sys.stdout, OUTPUTS[".jsonl"] if arguments.format == "json" else table(marks()))
    elif not arguments.output.suffix:
        counts = _to_folder(arguments, sources, run, settings)
    else:
        settings |= {"output": arguments.output.name}
        counts = run.to_file(arguments.output, settings, overwrite=arguments.overwrite)
    _report(arguments, coder, counts)
    return counts


def _to_folder(arguments: argparse.Namespace, sources: Sources, run: Run, settings: dict[str, Any]) -> Counts:
    """Write a table of each part of the notes, here or on a cluster."""
    from medcode.bulk.parts import NOTES, PartsRun, one_after_another

    parts = PartsRun(
        arguments.output, sources.parts(arguments.part or NOTES), sources, run.options, settings, run.window
    )
    if arguments.ray is None:
        return parts.run(one_after_another(parts, run.coder), overwrite=arguments.overwrite)
    from medcode.cluster.connection import connected
    from medcode.cluster.predictions import on_workers

    predict = functools.partial(on_workers, parts, arguments.model, arguments.open)
    with connected(arguments.ray):
        return parts.run(predict, overwrite=arguments.overwrite)


def _check(arguments: argparse.Namespace) -> Columns:
    """Refuse options that do not fit together, and return the columns."""
    from medcode.bulk.rows import Columns
    from medcode.errors import UserError

    # The outputs without what writes them, which needs the library of the models.
    endings = (".jsonl", ".csv", ".parquet", ".txt")
    if "-" in arguments.notes:
        raise UserError("standard input: holds one note, and is read without --output; name files or folders")
    if arguments.html:
        raise UserError("--html: shows one note")
    if arguments.output is not None and arguments.output.suffix not in ("", *endings):
        raise UserError(f"--output: a folder, or a file that ends in {', '.join(endings)}; found {arguments.output}")
    is_folder = arguments.output is not None and not arguments.output.suffix
    if arguments.output is not None and arguments.output.exists() and arguments.output.is_dir() != is_folder:
        raise UserError(f"--output: {arguments.output} is a {'file' if is_folder else 'folder'}")
    for option in ("ray", "part"):
        if getattr(arguments, option) is not None and not is_folder:
            raise UserError(f"--{option}: is for an output that is a folder; name one without an ending by --output")
    if arguments.output is not None and arguments.format is not None:
        raise UserError("--format: says what is printed; the ending of --output says what is written")
    if arguments.output is None and (arguments.overwrite or arguments.save_every is not None):
        raise UserError("--overwrite and --save-every: are for --output")
    for option, number in (("save-every", arguments.save_every), ("part", arguments.part)):
        if number is not None and number < 1:
            raise UserError(f"--{option}: at least 1, found {number}")
    columns = Columns(arguments.text_column or "text", arguments.id_column)
    if columns.text == columns.id:
        raise UserError(f"--id-column: {columns.id} is the column of the text")
    return columns


def _report(arguments: argparse.Namespace, coder: Coder, counts: Counts) -> None:
    """Say on standard error what the codes do not show."""
    trained = coder.models[0]
    unit = "words" if trained.tokenizer is None else "subwords"
    lines = [
        (counts.truncated, f"read the first {trained.max_tokens:,} {unit} of {counts.truncated:,} longer notes"),
        (counts.mostly_unknown, f"most {unit} of {counts.mostly_unknown:,} notes are unknown to the model"),
        (counts.unusual_length, f"{counts.unusual_length:,} notes are shorter or longer than all that it was tuned on"),
        (len(coder.models) > 1, f"means of the probabilities of {len(coder.models)} models, one for each seed"),
    ]
    for applies, line in lines:
        if applies:
            print(f"note: {line}", file=sys.stderr)
    if arguments.threshold is None and arguments.top is None:
        warn_of_zero_thresholds(trained.thresholds)
    if counts.rejected:
        where = "" if arguments.output is None else f"; {_rejects(arguments.output)} says why"
        print(f"WARNING: {counts.rejected:,} of {counts.notes:,} notes could not be read{where}", file=sys.stderr)
    if arguments.output is not None:
        print(f"{arguments.output}: {counts.notes - counts.rejected:,} notes")


def _rejects(output: Path) -> Path:
    from medcode.bulk.progress import rejects_of

    return rejects_of(output if output.suffix else output / "part-*")
