"""Figures of studies."""

from __future__ import annotations

import csv
import io
import statistics
import xml.etree.ElementTree as ElementTree

import pytest
from study_results import TINY, pretend, write_study

from medcode.io import write_json
from medcode.studies.definition.study import load
from medcode.studies.report import comparison_tables, figure_data, figures, tables
from medcode.studies.results import run_results


def figures_of(study):
    runs = run_results.read(study)
    return figures.draw(study, comparison_tables.build(study, runs), runs)


def texts(svg):
    root = ElementTree.fromstring(svg)
    return ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("text")]


def test_published_numbers_are_plotted_only_on_the_same_corpus(studies, tiny):
    figure = figures_of(tiny)["rows-table3-icd"]
    assert {"CAML", "CAML, wider", "CNN"} <= set(texts(figure.svg))
    assert "Diamonds" not in figure.caption
    write_study(studies, "tiny", TINY, corpus="mimic3")
    pretend(study := load(studies, "tiny"), {"caml": 0.45})
    assert "Diamonds: MIMIC-III, published." in figures_of(study)["rows-table3-icd"].caption


def test_figures_of_a_study_are_reproducible(tiny):
    assert figures_of(tiny) == figures_of(tiny)


def test_frequency_groups_are_plotted_with_their_sizes(studies):
    write_study(studies, "tiny", TINY, figures=["frequency"])
    pretend(study := load(studies, "tiny"), {"caml": 0.45, "cnn": 0.3})
    (figure,) = figures_of(study).values()
    shown = texts(figure.svg)
    assert {"CAML", "CNN", "1-50", "51-200", "201+"} <= set(shown)
    assert any(text.startswith("n = ") for text in shown)
    lines = list(csv.DictReader(io.StringIO(figure_data.as_csv(figure.numbers))))
    assert [(line["row"], line["group"]) for line in lines][:3] == [
        ("caml", group) for group in ("1-50", "51-200", "201+")
    ]
    tables = [run.table("frequency_f1.csv", "icd") for run in run_results.read(study)["caml", "top50"]]
    values = [100 * float(table[0]["f1_macro"]) for table in tables]
    assert float(lines[0]["mean"]) == pytest.approx(statistics.mean(values), abs=1e-4)
    assert float(lines[0]["deviation"]) == pytest.approx(statistics.stdev(values), rel=1e-3)
    assert (lines[0]["codes"], lines[0]["seeds"]) == (tables[0][0]["codes"], "2")


def test_linked_and_unlinked_codes_are_plotted_for_the_rarest_group(studies):
    write_study(studies, "tiny", TINY, figures=["linkage"])
    pretend(study := load(studies, "tiny"), {"caml": 0.45, "cnn": 0.3})
    for row in ("caml", "cnn"):
        for seed in (1, 2):
            path = study.run_folder(row, "top50", seed) / "linkage_f1.csv"
            lines = ["head,group,linked,codes,f1_macro", "icd,0,no,3,0.0"]
            path.write_text(
                "\n".join([*lines, "icd,1-100,yes,7,0.5", "icd,1-100,no,2,0.25", "icd,101+,yes,4,1"]) + "\n"
            )
    (figure,) = figures_of(study).values()
    assert {"With a link", "Without", "n = 7", "n = 2"} <= set(texts(figure.svg))
    assert "CAML 50.0 and 25.0" in figure.svg
    assert "caml,CAML,1-100,no,2,f1_macro,25.0000,0,2" in figure_data.as_csv(figure.numbers)


def test_loss_data_are_means_of_neighbors_not_of_single_rare_codes(studies):
    write_study(studies, "tiny", TINY, figures=["loss"])
    pretend(study := load(studies, "tiny"), {"caml": 0.45})
    for seed in (1, 2):
        losses = ["" if rank == 200 else str(seed) for rank in range(1, 251)]
        lines = [f"icd,{rank},c{rank},5,0.1,{loss}" for rank, loss in enumerate(losses, start=1)]
        path = study.run_folder("caml", "top50", seed) / "label_losses.csv"
        path.write_text("\n".join(["head,rank,code,train_documents,loss,normalized_loss", *lines]) + "\n")
    (figure,) = figures_of(study).values()
    lines = figure_data.as_csv(figure.numbers).splitlines()[1:]
    assert len(lines) == 100
    assert lines[0] == "caml,CAML,rank 1-3,,3,normalized_loss,1.5000,0.7071,2"
    assert sum(number.codes for number in figure.numbers) == 249


def test_parameters_are_plotted_next_to_the_published_ones(studies):
    rows = {"caml": {"title": "CAML", "published": "parameters/CAML (Mullenbach et al., 2018)"}}
    changes = {"paper": "slides", "tables": ["parameters"], "figures": ["parameters"], "rows": rows, "comparisons": []}
    write_study(studies, "tiny", TINY, **changes)
    counts = {
        "top50": {"total": 5_247_050, "trainable": 55_150},
        "full": {"total": 6_151_892, "trainable": 6_151_892},
    }
    write_json(studies / "tiny/parameters.json", {"caml": counts})
    study = load(studies, "tiny")
    assert {"top50, trainable", "top50, total", "full, total", "published"} <= set(
        texts(figures_of(study)["parameters"].svg)
    )
    text = tables.markdown(study, comparison_tables.build(study, {}), [], {})
    assert "| | | Trainable, millions | In total, millions |" in text
    assert "| CAML, 50 codes | **ours**, synthetic-mimic3 | 0.1 | 5.2 |" in text
    assert "| CAML, all 8,921 codes | **ours**, synthetic-mimic3 | 6.2 | 6.2 |" in text
