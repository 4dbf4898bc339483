"""Measures of the evidence of a study's models."""

from __future__ import annotations

from typing import Any

from medcode import io
from medcode.evidence.results import FAITHFULNESS, PLAUSIBILITY
from medcode.studies.definition.study import Study
from medcode.studies.results.run_results import Summary

# {measure: its part of metrics/explain.json}.
MEASURES = dict.fromkeys(PLAUSIBILITY, "plausibility") | dict.fromkeys(FAITHFULNESS, "faithfulness")
Evidence = dict[tuple[str, str], dict[int, dict[str, Any]]]  # {(row, label set): {seed: content of explain.json}}


def read(study: Study) -> Evidence:
    """Return what was measured, by row and label set; empty for a study without evidence."""
    found: Evidence = {}
    for label_set, rows in study.runs().items() if study.definition.evidence else ():
        for row in rows:
            files = {seed: study.evidence_file(row, label_set, seed) for seed in study.definition.seeds}
            found[row, label_set] = {seed: io.read_json(file) for seed, file in files.items() if file.exists()}
    return found


def summaries(of_seeds: dict[int, dict[str, Any]]) -> dict[tuple[str, str], dict[str, Summary | None]]:
    """Return each measure over the seeds, by head and method; None where a seed has none.

    Args:
        of_seeds: those of a row, from `read`.
    """
    seeds = list(of_seeds.values())
    result: dict[tuple[str, str], dict[str, Summary | None]] = {}
    for head, methods in seeds[0].items() if seeds else ():
        for method in methods:
            parts = [measured[head][method] for measured in seeds]
            values = {name: [part[section][name] for part in parts] for name, section in MEASURES.items()}
            result[head, method] = {
                name: None if None in of_name else Summary(tuple(of_name)) for name, of_name in values.items()
            }
    return result


def record(evidence: Evidence) -> list[dict[str, Any]]:
    """Return what results.json says of it: of each row the seeds, and what was measured of each."""
    return [
        {"row": row, "label_set": label_set, "seeds": list(of_seeds), "measured": list(of_seeds.values())}
        for (row, label_set), of_seeds in evidence.items()
        if of_seeds
    ]
