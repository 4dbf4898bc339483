"""The report: one self-contained page about a trained model, the same bytes for the same inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from medcode.config import Evaluation, ModelSettings, Recipe, Run, Split, WordVectors
from medcode.dataset import statistics
from medcode.dataset.arrays import Inputs
from medcode.errors import UserError
from medcode.report import figures as drawing
from medcode.report import metric_rows

TEMPLATE = Path(__file__).with_name("page.html")
STYLE = Path(__file__).with_name("style.css")

# Colours of the figures that the page replaces by its own, which differ in the dark.
COLOURS = {
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
    spread: Mapping[str, Any] | None = None,
) -> str:
    """Writes the report as HTML: inline style and figures, no script, nothing loaded from elsewhere.

    Args:
        params: the parameters that the model was trained with.
        settings: the model and its recipe.
        test: metrics/test.json: per head, what `evaluation.summary.head_metrics` returns.
        train: metrics/train.json: at least model, recipe, label_set, best_epoch, epochs_run and parameters.
        data: documents and labels, all three splits.
        corpus: metrics/corpus.json, what `dataset.statistics.summarize` returns.
        figures: the SVG of `frequency`, `losses`, `vectors`, `learning`, `labels`, `lengths` and, where codes have
            links, `linkage`.
        vectors_note: what the figure `vectors` says; it is left out where there is nothing to say.
        spread: the standard deviation over several seeds of everything in `test`, likewise.

    Raises:
        UserError: the metrics have no head, the inputs lack a head that was measured, or another model
            or recipe was trained than the parameters name.
    """
    _check_trained(settings, train)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"score": _score, "count": lambda number: f"{number:,.0f}"}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=f"{train['model']} on {params.corpus}, {LABEL_SETS.get(train['label_set'], train['label_set'])}",
        training=_training(params, settings.recipe, train),
        heads=[_head(head, test, params.evaluation, data, spread or {}) for head in page_heads(test, data)],
        figures={name: inline(svg) for name, svg in figures.items()},
        frequency_note=_frequency_note(params.evaluation),
        vectors_note=vectors_note,
        learning_note=_learning_note(train, settings.recipe),
        max_tokens=settings.recipe.max_tokens,
        unit=unit_of(params),
        splits=_splits(data, page_heads(test, data), settings.recipe.max_tokens),
        corpus=statistics.table(corpus),
        corpus_notes=[statistics.identical_line(corpus), *statistics.commonest_lines(corpus)],
        parameters=_parameters(params, settings),
        footer="Numbers and code counts only: this page holds no text of any note.",
    )


def unit_of(params: Run) -> str:
    """What the lengths of notes are counted in."""
    return "words" if params.encoder == "none" else "word pieces"


def page_heads(test: Mapping[str, Any], data: Inputs) -> list[str]:
    """The heads that were measured, `icd` first.

    Raises:
        UserError: there are none, or the inputs do not have one of them.
    """
    if not test:
        raise UserError("the metrics of test have no head; run evaluate again")
    for head in test:
        if head not in data.labels:
            raise UserError(f"the inputs have no head {head}, which was measured on test; run train and evaluate again")
    return sorted(test, key=lambda head: head != "icd")


def inline(svg: str) -> Markup:
    """Makes a figure part of the page: no prologue, and the page's colours."""
    svg = svg[svg.index("<svg ") :]
    for colour, variable in COLOURS.items():
        svg = svg.replace(colour, variable)
    # The page gives the size; the view box keeps the proportions.
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return Markup(svg)  # made by our own figures, which escape their text


def _check_trained(settings: ModelSettings, train: Mapping[str, Any]) -> None:
    trained, named = (train["model"], train["recipe"]), (settings.model, settings.recipe_name)
    if trained != named:
        raise UserError(
            f"the model trained is {trained[0]} with the recipe {trained[1]}, but the parameters name {named[0]} with "
            f"{named[1]}; train again (dvc repro)"
        )


def _score(value: float | str | None) -> str:
    if isinstance(value, str):
        return value
    return "\N{EN DASH}" if value is None or np.isnan(value) else f"{value:.3f}"


def _with_spread(value: Any, spread: Any) -> Any:
    """Metrics and their standard deviations as texts, in the same nested mappings; as they are without deviations."""
    if isinstance(value, Mapping):
        return {key: _with_spread(own, (spread or {}).get(key)) for key, own in value.items()}
    return (
        value
        if spread is None
        else f"{_score(value)}\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}{spread:.3f}"
    )


def _training(params: Run, recipe: Recipe, train: Mapping[str, Any]) -> str:
    total, trainable = (train["parameters"][kind] for kind in ("total", "trainable"))
    kept = "the one kept" if recipe.restore == "last" else "the best"
    trained = "all" if trainable == total else f"{trainable:,}"
    if params.seeds == 1:
        seeds, which = f"seed {params.seed}", "was epoch"
    else:
        seeds, which = f"the seeds {params.seed} to {params.all_seeds[-1]}", "was on average epoch"
    return (
        f"{total:,} parameters, {trained} of them trained with the recipe {train['recipe']} and {seeds}; "
        f"{kept} of {_epochs(train['epochs_run'])} {which} {train['best_epoch']:.3g}."
    )


def _epochs(number: float) -> str:
    return f"{number:.3g} epoch" + ("" if number == 1 else "s")


def _head(
    name: str, test: Mapping[str, Any], options: Evaluation, data: Inputs, spread: Mapping[str, Any]
) -> dict[str, Any]:
    own = test[name]
    shown = _with_spread(own, spread.get(name))
    return {
        "name": name,
        "tiles": _tiles(shown, options),
        "fixed": own["fixed"]["threshold"],
        "tuned": own["tuned"]["threshold"],
        "groups": metric_rows.groups(shown),
        "labels": _labels(name, own["counts"], data.train_counts(name)),
    }


def _tiles(own: Mapping[str, Any], options: Evaluation) -> list[dict[str, Any]]:
    def at_tuned(kind: str) -> str:
        return f"{_score(own['tuned']['f1'][kind])} if tuned on dev"

    tiles = [
        {"name": "Micro F1", "value": own["fixed"]["f1"]["micro"], "note": at_tuned("micro")},
        {"name": "Macro F1", "value": own["fixed"]["f1"]["macro"], "note": at_tuned("macro")},
        {"name": "Macro AUC", "value": own["auc"]["macro"], "note": f"micro {_score(own['auc']['micro'])}"},
    ]
    precisions = [key for key in own["ranking"] if key.startswith("precision_at_")]
    if precisions:
        first, *others = (key.removeprefix("precision_at_") for key in precisions)
        note = ", ".join(f"at {k} {_score(own['ranking'][f'precision_at_{k}'])}" for k in others)
        tiles.append({"name": f"Precision at {first}", "value": own["ranking"][precisions[0]], "note": note})
    note = f"R-precision {_score(own['ranking']['r_precision'])}"
    return [*tiles, {"name": "MAP", "value": own["ranking"]["map"], "note": note}]


def _labels(name: str, counts: Mapping[str, Any], train_counts: np.ndarray) -> str:
    text = (
        f"Head {name}: {counts['labels']:,} codes, {counts['labels_in_gold']:,} of them in test; the median code has "
        f"{np.median(train_counts):,.0f} training documents."
    )
    if counts.get("gold_outside_label_set"):
        text += f" {counts['gold_outside_label_set']:,} gold codes of test are in no training document, hence no label."
    return text


def _frequency_note(options: Evaluation) -> str:
    return f"The fixed threshold is {options.fixed_threshold:g}; the other was tuned on dev for the best micro F1."


def _learning_note(train: Mapping[str, Any], recipe: Recipe) -> str:
    kept = "last epoch" if recipe.restore == "last" else f"epoch with the best {recipe.monitor} on dev"
    return (
        f"The weights of the {kept} are kept. Training ended: {train['stopped']}. "
        "Metrics on dev are at the threshold 0.5."
    )


def _splits(data: Inputs, heads: list[str], max_tokens: int) -> list[dict[str, Any]]:
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
                "truncated": _or_zero(np.mean, lengths > max_tokens),
                "codes": [split.targets[head].matrix.nnz / max(len(lengths), 1) for head in heads],
            }
        )
    return rows


def _or_zero(function: Any, values: np.ndarray) -> float:
    return float(function(values)) if len(values) else 0.0


def _parameters(params: Shown, settings: ModelSettings) -> list[dict[str, Any]]:
    options = settings.config.model_dump(exclude={"dropout", "embedding"})  # the recipe has these
    run = {key: getattr(params, key) for key in ("corpus", "label_set", "model", "encoder", "recipe", "seed", "seeds")}
    return [
        {"name": f"Recipe {settings.recipe_name}", "rows": _rows(settings.recipe.model_dump(exclude={"options"}))},
        {"name": "Run", "rows": _rows(run)},
        {"name": f"Architecture of {settings.model}", "rows": _rows(options)},
        {"name": "Word vectors", "rows": _rows(params.word2vec.model_dump())},
        {"name": "Evaluation", "rows": _rows(params.evaluation.model_dump())},
        {"name": "Split", "rows": _rows(params.split.model_dump())},
    ]


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, _shown(value)) for key, value in values.items()]


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
