"""docs/MODELS.md: every model with its formula, sizes, options and departures, from docstrings and params.yaml."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from medcode import models
from medcode.cli.models import MIMIC3_LABELS, MIMIC4_LABELS, block_of, describe

TOP = """# Models

Written by `python -m medcode models --format markdown`; change the models' docstrings or params.yaml instead.

Parameters are counted with the word vectors of MIMIC-III (51,919 rows of 100) and the published settings, all of them
and, behind the stroke, the trainable ones. JointLAAT is counted with 40 and 1,149 categories, MT-RAM and MARN with 38
and 295 of CCS, which is their authors' way to count: by bare numbers, diagnoses and procedures together; JAMS with the
6,150 and 7,942 codes of MIMIC-IV alone; the models of the BERT study with BERT-base's cased vocabulary (28,996 pieces),
PLM-ICD with RoBERTa-base and a vocabulary of 50,008.

`faithful: true` lets pads do what they do in the authors' code, but the pads are those of this workflow: a batch is
padded to one of a few lengths (`training.padding`), not to its longest note.

| model | paper | 50 codes | 8,921 codes | |
|---|---|---|---|---|
"""


def page(names: list[str], raw: dict[str, Any], arguments: argparse.Namespace) -> str:
    """Writes the page.

    Args:
        names: models, in the order of the page.
        raw: params.yaml as it was read.
        arguments: of the command `models`.

    Raises:
        UserError: params.yaml is wrong.
    """
    rows = [_row(name, raw, arguments) for name in names]
    return TOP + "".join(rows) + "".join(_section(name, raw, arguments) for name in names)


def _row(name: str, raw: dict[str, Any], arguments: argparse.Namespace) -> str:
    counts, heads = [], block_of(name, raw, arguments, "full").architecture["heads"]
    for label_set in MIMIC3_LABELS:
        if label_set == "top50" and set(heads) <= MIMIC4_LABELS.keys():
            counts.append("\N{EN DASH}")
            continue
        found = describe(name, raw, arguments, {"icd": MIMIC3_LABELS[label_set]["icd"]}, label_set)
        counts.append(f"{found['parameters']:,} / {found['trainable']:,}")
    return f"| [{name}](#{name}) | {found['paper']} | {counts[0]} | {counts[1]} | {found['description']} |\n"


def _section(name: str, raw: dict[str, Any], arguments: argparse.Namespace) -> str:
    blocks = [block_of(name, raw, arguments, label_set) for label_set in MIMIC3_LABELS]
    options = [
        f"| `{key}` | {_shown(small)}{'' if small == large else f', with all codes {_shown(large)}'} |\n"
        for (key, small), large in zip(blocks[0].architecture.items(), blocks[1].architecture.values(), strict=True)
    ]
    recipes = ", ".join(f"`{recipe}`" for recipe in blocks[0].training)
    text = "\n\n".join(_paragraphs(inspect.cleandoc(models.find(name).__doc__)))
    return f"\n## {name}\n\n{text}\n\n| option | in params.yaml |\n|---|---|\n{''.join(options)}\nRecipes: {recipes}.\n"


def _paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs as markdown: formulas, which are indented, as code; `Args:` and the like in bold."""
    result = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if lines[0].startswith(" "):
            result.append("\n".join(["```text", *inspect.cleandoc("\n" + paragraph).splitlines(), "```"]))
            continue
        name, colon, rest = paragraph.partition(": ")
        words = paragraph if name not in ("Args", "Shapes", "Departures") else f"**{name}**{colon}{rest}"
        result.append("\n".join(line.strip() for line in words.splitlines()))
    return result


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list | dict) else str(value)
