"""The table of models in README.md, from the finished studies that train every model: studies/zoo*."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

from medcode import io
from medcode.errors import UserError
from medcode.evaluation import metric_table
from medcode.studies.report.leaderboard import format_values, values_at
from medcode.studies.report.times import DASH, mean_cpu_seconds

BEGIN, END = "<!-- zoo: begin, written by make leaderboard -->", "<!-- zoo: end -->"
STUDIES = "zoo*"
NOTHING = "No results yet. Run `make study NAME=zoo`, then `make leaderboard`."
ABOUT = (
    "On test, thresholds tuned on dev: means over seeds ± sample standard deviations, one number for one seed. CPU\n"
    "minutes are those of one training, all its threads together. Models below the linear baseline do not pass it."
)
COLUMNS = {"micro F1": "f1_micro", "macro F1": "f1_macro", "MAP": "map"}
HEADS = ("icd", "icd9", "icd10")  # those of codes; categories are no task of their own


def write(root: Path, path: Path) -> None:
    """Write the table of the finished studies between its two markers in a file.

    Args:
        root: the folder of all studies.
        path: README.md.

    Raises:
        UserError: the file is missing, or has not each marker once, in their order.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    text = path.read_text(encoding="utf-8")
    if (new := with_table(text, finished(root), path)) != text:
        io.write_text(path, new)


def finished(root: Path) -> list[dict[str, Any]]:
    """Return the results of the finished studies that train every model."""
    results = [io.read_json(file) for file in sorted(root.glob(f"{STUDIES}/results.json"))]
    return [result for result in results if result["finished"]]


def with_table(text: str, results: list[dict[str, Any]], path: Path) -> str:
    """Return the text of README.md with the table between its markers.

    Args:
        text: of the file.
        results: as from `finished`.
        path: the file, for the message.

    Raises:
        UserError: the text has not each marker once, in their order.
    """
    parts = re.split(f"({re.escape(BEGIN)}|{re.escape(END)})", text)
    if parts[1::2] != [BEGIN, END]:
        raise UserError(f"{path}: expected the lines '{BEGIN}' and '{END}', each once and in this order")
    return f"{parts[0]}{BEGIN}\n{block(results)}\n{END}{parts[4]}"


def block(results: list[dict[str, Any]]) -> str:
    """Return a table for each corpus and label set, sorted by micro F1; without results one line on what to run."""
    tables: dict[tuple[str, str], list[tuple[float, str]]] = {}
    studies: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for row in result["rows"]:
            key = (result["corpus"], row["label_set"])
            tables.setdefault(key, []).extend(_lines(row))
            if result["study"] not in studies.setdefault(key, []):
                studies[key].append(result["study"])
    if not tables:
        return NOTHING
    head = "\n".join([f"| model | parameters | {' | '.join(COLUMNS)} | CPU minutes |", "|---|" + "--:|" * 5])
    parts = [ABOUT]
    for key, lines in tables.items():
        links = ", ".join(f"[{name}](studies/{name}/table.md)" for name in studies[key])
        body = "\n".join(line for _, line in sorted(lines))
        parts.append(f"**{key[0]}, {key[1]}** ({links}):\n\n{head}\n{body}")
    return "\n\n".join(parts)


def _lines(row: dict[str, Any]) -> list[tuple[float, str]]:
    """Return a line for each head of codes, with its sort key: the best micro F1 comes first."""
    heads, lines = [head for head in HEADS if head in row["test"]], []
    cpu_seconds = mean_cpu_seconds(row["device"], row.get("cpu_seconds", []))
    minutes = DASH if cpu_seconds is None else f"{cpu_seconds / 60:.1f}"
    for head in heads:
        values = {
            name: values_at(row["test"][head], metric_table.path_in_test(metric, "tuned", "caml"))
            for name, metric in COLUMNS.items()
        }
        model = f"[{row['title']}](src/medcode/models/{row['model']}.py){f', {head}' if len(heads) > 1 else ''}"
        cells = [
            model,
            f"{row['parameters']['total']:,}",
            *(format_values(one, 1, 3) for one in values.values()),
            minutes,
        ]
        lines.append((-statistics.fmean(values["micro F1"]), f"| {' | '.join(cells)} |"))
    return lines
