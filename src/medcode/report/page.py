"""Report page about a trained model: self-contained HTML, the same bytes for the same inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from medcode.config import Evaluation, ModelSettings, Run, Split, WordVectors
from medcode.dataset import statistics
from medcode.dataset.arrays import Inputs
from medcode.errors import UserError
from medcode.report import baseline as linear_baseline
from medcode.report import figures as drawing
from medcode.report import metric_rows, scores
from medcode.report.tiles import score, tiles

TEMPLATE = Path(__file__).with_name("page.html")
STYLE = Path(__file__).with_name("style.css")

# Colors of the figures and the variables of the page that replace them, which differ in dark mode.
COLORS = {
    drawing.BLUE: "var(--series-1)",
    drawing.ORANGE: "var(--series-2)",
    drawing.GREEN: "var(--series-3)",
    drawing.INK: "var(--ink)",
    drawing.QUIET: "var(--quiet)",
    drawing.GRID: "var(--line)",
    drawing.PAPER: "var(--card)",
}

LABEL_SETS = {
    "top50": "50 frequent codes",
    "top50_extra": "50 frequent codes, all training documents",
    "full": "all codes",
    "icd9": "frequent codes of ICD-9-CM",
    "icd10": "frequent codes of ICD-10-CM and PCS",
    "joint": "frequent codes of ICD-9-CM and of ICD-10-CM and PCS",
    "open": "all codes, and codes that training never saw",
}


class Shown(Run):
    """The parameters that the page shows."""

    word2vec: WordVectors
    evaluation: Evaluation
    split: Split


def render(
    params: Shown,
    settings: ModelSettings,
    test: Mapping[str, Any],
    train: Mapping[str, Any],
    data: Inputs,
    corpus: Mapping[str, Any],
    figures: Mapping[str, str],
    vectors_note: str = "",
    seeds: Mapping[str, Any] | None = None,
    baseline: Mapping[str, Any] | None = None,
) -> str:
    """Write the report as HTML: inline style and figures, no script, nothing loaded from elsewhere.

    Args:
        params: the parameters that the model was trained with.
        settings: the model and its recipe.
        test: metrics/test.json: {head: result of `evaluation.summary.head_metrics`}.
        train: metrics/train.json: at least model, recipe, label_set, best_epoch, epochs_run and parameters.
        data: documents and labels, all three splits.
        corpus: metrics/corpus.json, the result of `dataset.statistics.summarize`.
        figures: the SVG of `frequency`, `losses`, `vectors`, `learning`, `labels`, `lengths` and, where there
            is anything to show, `linkage` and `evidence`; with `scores` in the metrics, also `reliability` and
            `risk_coverage`.
        vectors_note: caption of the figure `vectors`, which is left out if this is empty.
        seeds: metrics/seeds.json: `standard_deviation` over several seeds of each number in `test`, and the metrics of
            the `ensemble` of their models; empty for one seed.
        baseline: metrics/baseline.json, the metrics of the linear baseline by head.

    Raises:
        UserError: the metrics have no head, the inputs lack a measured head, or the trained model or recipe is not the
            one in the parameters.
    """
    _check_trained(settings, train)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"score": score, "count": lambda number: f"{number:,.0f}"}
    inlined = {name: inline(svg) for name, svg in figures.items()}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=f"{train['model']} on {params.corpus}, {LABEL_SETS.get(train['label_set'], train['label_set'])}",
        training=_training(params, settings, train),
        heads=[
            _head(head, test, params.evaluation, data, seeds or {}, baseline or {}) for head in page_heads(test, data)
        ],
        seeds=params.seeds,
        comparisons=linear_baseline.lines(settings.model, test, baseline or {}),
        figures=inlined,
        scores=scores.section(test, page_heads(test, data), inlined),
        frequency_note=_frequency_note(params.evaluation),
        vectors_note=vectors_note,
        learning_note=_learning_note(train, settings),
        max_tokens=settings.recipe.note_tokens,
        unit=unit_of(params),
        splits=_splits(data, page_heads(test, data), settings.recipe.note_tokens),
        corpus=statistics.table(corpus),
        corpus_notes=[statistics.identical_line(corpus), *statistics.commonest_lines(corpus)],
        parameters=_parameters(params, settings),
        footer="Numbers and code counts only: this page holds no text of any note.",
    )


def unit_of(params: Run) -> str:
    """Return the unit of note lengths."""
    return "words" if params.encoder == "none" else "subwords"


def page_heads(test: Mapping[str, Any], data: Inputs) -> list[str]:
    """Return the measured heads, `icd` first.

    Raises:
        UserError: there is no head, or the inputs lack one.
    """
    if not test:
        raise UserError("the metrics of test have no head; run evaluate again")
    for head in test:
        if head not in data.labels:
            raise UserError(f"the inputs have no head {head}, which was measured on test; run train and evaluate again")
    return sorted(test, key=lambda head: head != "icd")


def inline(svg: str) -> Markup:
    """Convert a figure for the page: no prologue, colors as variables of the page."""
    svg = svg[svg.index("<svg ") :]
    for color, variable in COLORS.items():
        svg = svg.replace(color, variable)
    # The page gives the size; the view box keeps the proportions.
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return Markup(svg)  # safe: our figures escape their text


def _check_trained(settings: ModelSettings, train: Mapping[str, Any]) -> None:
    trained, named = (train["model"], train["recipe"]), (settings.model, settings.recipe_name)
    if trained != named:
        raise UserError(
            f"the model trained is {trained[0]} with the recipe {trained[1]}, but the parameters name {named[0]} with "
            f"{named[1]}; train again (dvc repro)"
        )


def _with_spread(value: Any, spread: Any) -> Any:
    """Format metrics with their standard deviations, nested as before. Without deviations they stay numbers."""
    if isinstance(value, Mapping):
        return {key: _with_spread(item, (spread or {}).get(key)) for key, item in value.items()}
    return (
        value
        if spread is None
        else f"{score(value)}\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}{spread:.3f}"
    )


def _training(params: Run, settings: ModelSettings, train: Mapping[str, Any]) -> str:
    total, trainable = (train["parameters"][key] for key in ("total", "trainable"))
    if settings.config.fits_at_once:
        return f"{total:,} parameters, fitted at once with the recipe {train['recipe']}."
    epoch_role = "the one kept" if settings.recipe.restore == "last" else "the best"
    n_trained = "all" if trainable == total else f"{trainable:,}"
    if params.seeds == 1:
        seeds, epoch_verb = f"seed {params.seed}", "was epoch"
    else:
        seeds, epoch_verb = f"the seeds {params.seed} to {params.all_seeds[-1]}", "was on average epoch"
    return (
        f"{total:,} parameters, {n_trained} of them trained with the recipe {train['recipe']} and {seeds}; "
        f"{epoch_role} of {_epochs(train['epochs_run'])} {epoch_verb} {train['best_epoch']:.3g}."
    )


def _epochs(number: float) -> str:
    return f"{number:.3g} epoch" + ("" if number == 1 else "s")


def _head(
    name: str,
    test: Mapping[str, Any],
    options: Evaluation,
    data: Inputs,
    seeds: Mapping[str, Any],
    baseline: Mapping[str, Any],
) -> dict[str, Any]:
    metrics = test[name]
    formatted = _with_spread(metrics, seeds.get("standard_deviation", {}).get(name))
    ensemble = seeds.get("ensemble", {}).get(name)
    return {
        "name": name,
        "tiles": tiles(formatted, baseline.get(name)),
        "ensemble": tiles(ensemble) if ensemble else [],
        "fixed": metrics["fixed"]["threshold"],
        "tuned": metrics["tuned"]["threshold"],
        "groups": metric_rows.groups(formatted),
        "labels": _labels(name, metrics, data.train_counts(name), options),
    }


def _labels(name: str, metrics: Mapping[str, Any], train_counts: np.ndarray, options: Evaluation) -> str:
    counts, official = metrics["counts"], metrics.get("official", {})
    text = (
        f"Head {name}: {counts['labels']:,} codes, {counts['labels_in_gold']:,} of them in test; the median code has "
        f"{np.median(train_counts):,.0f} training documents."
    )
    if options.labels == "present":
        text += (
            f" Metrics but AUC are over the {counts['labels_measured']:,} codes in test and the "
            f"{counts['documents_measured']:,} notes of test with a code."
        )
    if official.get("gold_outside_label_set"):
        text += (
            f" {official['gold_outside_label_set']:,} gold codes of test are in no training document, hence no label."
        )
    return text


def _frequency_note(options: Evaluation) -> str:
    return f"The fixed threshold is {options.fixed_threshold:g}; the other was tuned on dev for the best micro F1."


def _learning_note(train: Mapping[str, Any], settings: ModelSettings) -> str:
    recipe = settings.recipe
    if settings.config.fits_at_once:
        return "The weights are fitted at once. Metrics on dev are at the threshold 0.5."
    epoch = "last epoch" if recipe.restore == "last" else f"epoch with the best {recipe.monitor} on dev"
    return (
        f"The weights of the {epoch} are kept. Training ended: {train['stopped']}. "
        "Metrics on dev are at the threshold 0.5."
    )


def _splits(data: Inputs, heads: list[str], max_tokens: int | None) -> list[dict[str, Any]]:
    rows = []
    for name, split in data.splits.items():
        lengths = np.diff(split.offsets).ravel()
        rows.append(
            {
                "name": name,
                "documents": len(lengths),
                "median": _or_zero(np.median, lengths),
                "mean": _or_zero(np.mean, lengths),
                "longest": _or_zero(np.max, lengths),
                "truncated": 0.0 if max_tokens is None else _or_zero(np.mean, lengths > max_tokens),
                "codes": [split.targets[head].matrix.nnz / max(len(lengths), 1) for head in heads],
            }
        )
    return rows


def _or_zero(function: Any, values: np.ndarray) -> float:
    return float(function(values)) if len(values) else 0.0


def _parameters(params: Shown, settings: ModelSettings) -> list[dict[str, Any]]:
    options = settings.config.model_dump(exclude={"dropout", "embedding"})  # listed with the recipe
    recipe = settings.recipe.model_dump(exclude={"options", *settings.recipe.idle})
    run = {key: getattr(params, key) for key in ("corpus", "label_set", "model", "encoder", "seed", "seeds")}
    return [
        {"name": f"Recipe {settings.recipe_name}", "rows": _rows(recipe)},
        {"name": "Run", "rows": _rows(run)},
        {"name": f"Architecture of {settings.model}", "rows": _rows(options)},
        {"name": "Word vectors", "rows": _rows(params.word2vec.model_dump())},
        {"name": "Evaluation", "rows": _rows(params.evaluation.model_dump())},
        {"name": "Split", "rows": _rows(params.split.model_dump())},
    ]


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, _format_setting(value)) for key, value in values.items()]


def _format_setting(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_format_setting(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_format_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
