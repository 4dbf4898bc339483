"""The card of a model: what it is, what it learned from, how good it is, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medcode.corpora.licenses import OPEN_CORPORA, is_open

USE = (
    "For research. It is not a medical device, and nobody has shown that it is safe to code with: have a coder check "
    "every code, and measure it on notes of your own before you rely on it."
)
LIMITS = (
    "- It knows the codes that it was trained on, and no other, but for those that a scorer of unseen codes adds.\n"
    "- Rare codes are learned from few notes: the measures by frequency of the code are far below the mean.\n"
    "- Notes of another hospital, language, time or length than those it learned from are coded worse.\n"
    "- {probability}"
)
UNCALIBRATED = "A probability is a score of the model. It says little of how sure one may be."


def restriction(corpus: str) -> str:
    """Return who may have a model that learned from a corpus: it is as restricted as the notes."""
    if is_open(corpus):
        return f"The notes of {corpus} are open ({OPEN_CORPORA[corpus]}); so is the model."
    return (
        f"The notes of {corpus} are restricted, or may be, and the model has learned from them: handle it as you must "
        "handle the notes. MIMIC's agreement forbids to share it with people who have not signed it."
    )


def card(
    name: str, trained: Mapping[str, Any], test: Mapping[str, Any], baseline: Mapping[str, Any], seeds: int
) -> str:
    """Return the card in Markdown.

    Args:
        name: of the model.
        trained: metrics/train.json.
        test: metrics/test.json, by head.
        baseline: metrics/baseline.json, likewise; empty if no linear model was fitted.
        seeds: number of trainings.
    """
    corpus, label_set = trained["corpus"], trained["label_set"]
    parts = [
        f"# {name}",
        f"`{trained['model']}` with the recipe `{trained['recipe']}`, trained on `{corpus}` with the label set "
        f"`{label_set}`, {seeds} seed{'s' if seeds > 1 else ''}, {trained['parameters']['total']:,} parameters.",
        "## Use",
        USE,
        restriction(corpus),
        "```sh\n" + f"medcode predict note.txt --model {name}\n" + "```",
        "## On test",
        _measures(test, baseline),
        "Threshold tuned on dev; macro F1 as Mullenbach et al. 2018.",
        "## Limits",
        LIMITS.format(probability=_probability(test)),
    ]
    return "\n\n".join(parts) + "\n"


def _probability(test: Mapping[str, Any]) -> str:
    """Return what a probability is worth: by its error on test where it is calibrated."""
    found = {head: measured.get("scores", {}).get("calibration", {}).get("after") for head, measured in test.items()}
    errors = [
        f"{head}: {after['ece_considered']:.3f}" for head, after in found.items() if after and after["ece_considered"]
    ]
    if not errors:
        return UNCALIBRATED
    return (
        "Probabilities are calibrated on dev. On test those of the codes that come into question are off by, in the "
        f"mean (expected calibration error), {', '.join(errors)}. On other notes they may be off by more."
    )


def _measures(test: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    lines = ["| head | codes | micro F1 | macro F1 | MAP | micro F1 of a linear model |", "|---|--:|--:|--:|--:|--:|"]
    for head, measured in test.items():
        tuned, of_baseline = measured["tuned"], baseline.get(head)
        values = [tuned["f1"]["micro"], tuned["macro_f1"]["caml"], measured["ranking"]["map"]]
        values.append(None if of_baseline is None else of_baseline["tuned"]["f1"]["micro"])
        cells = ["" if value is None else f"{value:.3f}" for value in values]
        lines.append(f"| {head} | {measured['counts']['labels']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)
