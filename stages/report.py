"""Draw the figures and write the report page of the trained model."""

from __future__ import annotations

from common import stage

from pathlib import Path

import numpy as np

from medcode import config, io
from medcode.dataset import arrays as model_inputs
from medcode.dataset.split_names import SPLITS
from medcode.report import baseline, label_figures, tables
from medcode.report.drawings import Facts, Tables, draw
from medcode.report.page import page_heads, render, unit_of
from medcode.report.provenance import provenance
from medcode.report.setting_tables import Shown


@stage(
    Shown,
    model_settings=Path,
    inputs=Path, subword=Path, corpus=Path, test=Path, seeds=Path, train=Path, baseline=Path,
    learning_curve=Path, frequency=Path, linkage=Path, losses=Path, vectors=Path, evidence=Path,
    per_code=Path, intervals=Path, code=Path, model=Path,
    frequency_svg=Path, losses_svg=Path, vectors_svg=Path, learning_svg=Path, labels_svg=Path, lengths_svg=Path,
    reliability=Path, risk_coverage=Path, evidence_svg=Path, reliability_svg=Path, risk_coverage_svg=Path, page=Path,
)  # fmt: skip
def main(params: Shown, inputs: Path, corpus: Path, test: Path, train: Path, page: Path, **paths: Path) -> None:
    subword = None if params.encoder == "none" else paths["subword"]
    data = model_inputs.load(inputs, SPLITS, subword=subword)
    train_metrics, test_metrics = tables.read_trained(train), io.read_json(test)
    settings = config.load_model(paths["model_settings"], params.model, None, params.label_set)
    drawn = Tables.read(paths)
    facts = Facts(
        model=train_metrics["model"],
        macro_f1=params.evaluation.macro_f1,
        best_epoch=train_metrics["best_epoch"],
        loss_unit=settings.recipe.loss_unit,
        train_counts={head: data.train_counts(head) for head in page_heads(test_metrics, data)},
        lengths=np.concatenate([np.diff(split.offsets).ravel() for split in data.splits.values()]),
        max_tokens=settings.recipe.note_tokens,
        unit=unit_of(params),
    )
    svgs = draw(drawn, facts)
    floor = io.read_json(paths["baseline"])
    html = render(
        params, settings, test_metrics, train_metrics, data, io.read_json(corpus),
        {name: svg for name, svg in svgs.items() if name != "evidence" or drawn.evidence},
        label_figures.nearest_line(drawn.vectors) if drawn.vectors else "",
        io.read_json(paths["seeds"]), floor,
        phone=draw(drawn, facts, phone=True),
        intervals=io.read_json(paths["intervals"]),
        codes=tables.read_csv(paths["per_code"], tables.CODES, texts=tables.CODES),
        origin=provenance(params, paths["code"], inputs, paths["model"]),
    )  # fmt: skip
    for name, svg in svgs.items():
        if f"{name}_svg" in paths:
            io.write_text(paths[f"{name}_svg"], svg)
    io.write_text(page, html)
    for line in baseline.lines(settings.model, test_metrics, floor):
        print(line)


if __name__ == "__main__":
    main()
