"""Text of docs/MODELS.md: formula, sizes, options and departures of each model, from docstrings and configs/models."""

from __future__ import annotations

import inspect
from typing import Any

from medcode import models
from medcode.models.catalog import MIMIC3_LABELS, MIMIC4_LABELS, NOT_PUBLISHED, ModelFile, describe, described

TOP = """# Models

Written by `python -m medcode models --format markdown`; change the models' docstrings or configs/models instead.

Parameters are counted with the word vectors of MIMIC-III (51,919 rows of 100) and the published settings, all of them
and, behind the stroke, the trainable ones. JointLAAT is counted with 40 and 1,149 categories, MT-RAM and MARN with 38
and 295 of CCS, which is their authors' way to count: by bare numbers, diagnoses and procedures together; JAMS with the
6,150 and 7,942 codes of MIMIC-IV alone; the models of the BERT study with BERT-base's cased vocabulary (28,996
subwords), PLM-ICD with RoBERTa-base and a vocabulary of 50,008; linear with as many features as it may have.

`match_released_code: true` lets pads do what they do in the authors' code, but the pads are those of this workflow: a
batch is padded to one of a few lengths (`training.padding`), not to its longest note.

Every training shuffles its notes within buckets of similar length, and the batches among each other, anew in every
epoch, as Edin et al. and JAMS do. Other authors' code shuffles all notes (MultiResCNN, DCAN, MT-RAM, PLM-ICD), or reads
them in one order, sorted by length (CAML, DR-CAML, BiGRU, CNN, LAAT). No recipe changes that, nor does
`match_released_code`.

| model | paper | 50 codes | 8,921 codes | |
|---|---|---|---|---|
"""


def page(files: list[ModelFile], vocab_size: int, encoder: str | None) -> str:
    """Return the page as Markdown.

    Args:
        files: files of the models, in the order of the page.
        vocab_size, encoder: as for `catalog.parameters`.

    Raises:
        UserError: a file is wrong.
    """
    return TOP + "".join(_row(file, vocab_size, encoder) for file in files) + "".join(map(_section, files))


def _row(file: ModelFile, vocab_size: int, encoder: str | None) -> str:
    counts, heads = [], file.settings("full").config.heads
    for label_set, sizes in MIMIC3_LABELS.items():
        if label_set == "top50" and set(heads) <= MIMIC4_LABELS.keys():
            counts.append("\N{EN DASH}")
            continue
        row = describe(file, {"icd": sizes["icd"]}, label_set, vocab_size, encoder)
        counts.append(f"{row['parameters']:,} / {row['trainable']:,}")
    texts = described(file.name)
    paper = texts["paper"] or NOT_PUBLISHED
    return f"| [{file.name}](#{file.name}) | {paper} | {counts[0]} | {counts[1]} | {texts['description']} |\n"


def _section(file: ModelFile) -> str:
    small, large = (
        file.settings(label_set).config.model_dump(exclude={"dropout", "embedding"}) for label_set in MIMIC3_LABELS
    )
    options = [
        f"| `{key}` | {_text(value)}{'' if value == large[key] else f', with all codes {_text(large[key])}'} |\n"
        for key, value in small.items()
    ]
    recipes = ", ".join(f"`{recipe}`" for recipe in file.content["recipes"])
    text = "\n\n".join(_paragraphs(inspect.cleandoc(models.find(file.name).__doc__ or "")))
    return f"\n## {file.name}\n\n{text}\n\n| option | value |\n|---|---|\n{''.join(options)}\nRecipes: {recipes}.\n"


def _paragraphs(text: str) -> list[str]:
    """Convert the paragraphs of a docstring to Markdown: indented formulas as code, `Args:` and the like in bold."""
    result = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if lines[0].startswith(" "):
            result.append("\n".join(["```text", *inspect.cleandoc("\n" + paragraph).splitlines(), "```"]))
            continue
        name, colon, body = paragraph.partition(": ")
        words = paragraph if name not in ("Args", "Shapes", "Departures") else f"**{name}**{colon}{body}"
        result.append("\n".join(line.strip() for line in words.splitlines()))
    return result


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list | dict) else str(value)
