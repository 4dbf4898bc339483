"""Report page about a trained model: self-contained HTML, the same bytes for the same inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from medcode.config import ModelSettings, Run
from medcode.dataset import statistics
from medcode.dataset.arrays import Inputs
from medcode.errors import UserError
from medcode.evaluation.bootstrap import RESAMPLES
from medcode.report import baseline as linear_baseline
from medcode.report import scores, sentences
from medcode.report.code_tables import SHOWN, code_tables
from medcode.report.contents import with_contents
from medcode.report.head_results import head_results
from medcode.report.inline import inline
from medcode.report.setting_tables import Shown, setting_tables
from medcode.report.split_rows import split_rows
from medcode.report.tiles import score

TEMPLATE = Path(__file__).with_name("page.html")
CODES = Path(__file__).with_name("codes.html")
STYLE = Path(__file__).with_name("style.css")

LABEL_SETS = {
    "top50": "50 frequent codes",
    "top50_extra": "50 frequent codes, all training documents",
    "full": "all codes",
    "icd9": "frequent codes of ICD-9-CM",
    "icd10": "frequent codes of ICD-10-CM and PCS",
    "joint": "frequent codes of ICD-9-CM and of ICD-10-CM and PCS",
    "open": "all codes, and codes that training never saw",
}


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
    *,
    phone: Mapping[str, str] | None = None,
    intervals: Mapping[str, Any] | None = None,
    codes: Sequence[Mapping[str, str]] = (),
    origin: Mapping[str, str] | None = None,
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
        phone: the figures as a narrow page shows them; one that is missing stays as it is.
        intervals: metrics/intervals.json, the intervals of headline metrics by head.
        codes: rows of plots/codes.csv, the cells as texts.
        origin: result of `provenance.provenance`.

    Raises:
        UserError: the metrics have no head, the inputs lack a measured head, or the trained model or recipe is not the
            one in the parameters.
    """
    _check_trained(settings, train)
    heads, drawn = page_heads(test, data), {name: inline(svg) for name, svg in figures.items()}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.DictLoader({"codes.html": CODES.read_text(encoding="utf-8")}),
    )  # fmt: skip
    environment.filters |= {"score": score, "count": lambda number: f"{number:,.0f}"}
    html = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=f"{train['model']} on {params.corpus}, {LABEL_SETS.get(train['label_set'], train['label_set'])}",
        training=sentences.training_line(params, settings, train),
        heads=[
            head_results(head, test, params.evaluation, data, seeds or {}, baseline or {}, intervals or {})
            for head in heads
        ],
        resamples=RESAMPLES if intervals else 0,
        seeds=params.seeds,
        comparisons=linear_baseline.lines(settings.model, test, baseline or {}),
        figures=drawn,
        phone={name: inline(svg) for name, svg in (phone or {}).items()},
        code_tables=code_tables(codes, heads),
        codes_shown=SHOWN,
        scores=scores.section(test, heads, drawn),
        frequency_note=sentences.frequency_note(params.evaluation),
        vectors_note=vectors_note,
        learning_note=sentences.learning_note(train, settings),
        max_tokens=settings.recipe.note_tokens,
        unit=unit_of(params),
        splits=split_rows(data, heads, settings.recipe.note_tokens),
        corpus=statistics.table(corpus),
        corpus_notes=[statistics.identical_line(corpus), *statistics.commonest_lines(corpus)],
        parameters=setting_tables(params, settings),
        origin=origin or {},
        footer="Numbers and code counts only: this page holds no text of any note.",
    )
    return with_contents(html)


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


def _check_trained(settings: ModelSettings, train: Mapping[str, Any]) -> None:
    trained, named = (train["model"], train["recipe"]), (settings.model, settings.recipe_name)
    if trained != named:
        raise UserError(
            f"the model trained is {trained[0]} with the recipe {trained[1]}, but the parameters name {named[0]} with "
            f"{named[1]}; train again (dvc repro)"
        )
