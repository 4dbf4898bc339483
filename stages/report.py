"""Draw the figures and write the report page of the trained model."""

from __future__ import annotations

from common import stage

from pathlib import Path

import numpy as np

from medcode import config, io
from medcode.dataset import arrays as model_inputs
from medcode.dataset.split_names import SPLITS
from medcode.report import baseline, figures, label_figures, score_figures, tables
from medcode.report.evidence_figure import evidence_figure
from medcode.report.page import Shown, page_heads, render, unit_of


@stage(
    Shown,
    model_settings=Path,
    inputs=Path, subword=Path, corpus=Path, test=Path, seeds=Path, train=Path, baseline=Path,
    learning_curve=Path, frequency=Path, linkage=Path, losses=Path, vectors=Path, evidence=Path,
    frequency_svg=Path, losses_svg=Path, vectors_svg=Path, learning_svg=Path, labels_svg=Path, lengths_svg=Path,
    reliability=Path, risk_coverage=Path, evidence_svg=Path, reliability_svg=Path, risk_coverage_svg=Path, page=Path,
)  # fmt: skip
def main(params: Shown, inputs: Path, corpus: Path, test: Path, train: Path, page: Path, **paths: Path) -> None:
    subword = None if params.encoder == "none" else paths["subword"]
    data = model_inputs.load(inputs, SPLITS, subword=subword)
    train_metrics, test_metrics = tables.read_trained(train), io.read_json(test)
    curve = tables.read_csv(paths["learning_curve"], tables.LEARNING, tables.HEAD_LOSSES)
    groups = tables.read_csv(paths["frequency"], tables.FREQUENCY)
    linked = tables.read_csv(paths["linkage"], tables.LINKAGE, may_be_empty=True)
    losses = tables.read_csv(paths["losses"], tables.LOSSES)
    vectors = tables.read_csv(paths["vectors"], tables.VECTORS, may_be_empty=True)
    evidence = tables.read_csv(paths["evidence"], tables.EVIDENCE, may_be_empty=True)
    lengths = np.concatenate([np.diff(split.offsets).ravel() for split in data.splits.values()])
    settings = config.load_model(paths["model_settings"], params.model, None, params.label_set)
    svgs = {
        "frequency": figures.frequency_figure(groups, params.evaluation.macro_f1),
        "losses": label_figures.loss_figure({train_metrics["model"]: losses}),
        "vectors": label_figures.map_figure(vectors),
        "learning": figures.learning_figure(curve, train_metrics["best_epoch"]),
        "labels": figures.label_figure({head: data.train_counts(head) for head in page_heads(test_metrics, data)}),
        "lengths": figures.length_figure(lengths, settings.recipe.note_tokens, unit_of(params)),
        "evidence": evidence_figure(evidence),
        "reliability": score_figures.reliability_figure(
            tables.read_csv(paths["reliability"], tables.RELIABILITY, may_be_empty=True)
        ),
        "risk_coverage": score_figures.risk_coverage_figure(
            tables.read_csv(paths["risk_coverage"], tables.RISK_COVERAGE, may_be_empty=True)
        ),
    }
    shown = {name: svg for name, svg in svgs.items() if name != "evidence" or evidence}
    linkage = {"linkage": label_figures.linkage_figure(linked, params.evaluation.macro_f1)} if linked else {}
    note = label_figures.nearest_line(vectors) if vectors else ""
    several = io.read_json(paths["seeds"])
    corpus_stats = io.read_json(corpus)
    floor = io.read_json(paths["baseline"])
    html = render(
        params, settings, test_metrics, train_metrics, data, corpus_stats, shown | linkage, note, several, floor
    )
    for name, svg in svgs.items():
        io.write_text(paths[f"{name}_svg"], svg)
    io.write_text(page, html)
    for line in baseline.lines(settings.model, test_metrics, floor):
        print(line)


if __name__ == "__main__":
    main()
