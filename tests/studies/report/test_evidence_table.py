"""The evidence of a study: read from the files of its trainings, in the table, the page, the CSV and the record."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from study_results import PAPERLESS, pretend, write_study

from medcode.evidence.plausibility import MEASURES as OF_PLAUSIBILITY
from medcode.evidence.results import FAITHFULNESS
from medcode.io import write_metrics
from medcode.studies.definition.study import Study, load
from medcode.studies.report import comparison_tables, evidence_table, page, tables
from medcode.studies.report.times import DASH
from medcode.studies.results import evidence_results, run_results
from medcode.studies.results.evidence_results import MEASURES


def measured(f1: float | None) -> dict[str, Any]:
    """Return the measures of a method, all with one value."""
    plausibility = {"explanations": 3, **dict.fromkeys(OF_PLAUSIBILITY, f1)}
    faithfulness = {"explanations": 2, **dict.fromkeys(FAITHFULNESS, 0.75)}
    return {
        "threshold": 0.1, "plausibility": plausibility, "plausibility_of_predicted": plausibility,
        "faithfulness": faithfulness,
    }  # fmt: skip


@pytest.fixture
def with_evidence(studies) -> Study:
    """A study without a paper whose row `caml` has evidence of two seeds, and whose row `cnn` of one."""
    write_study(studies, "tiny", PAPERLESS, evidence=True)
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45, "caml_wide": 0.47, "cnn": 0.3})
    for seed, f1 in ((1, 0.5), (2, 0.7)):
        write_metrics(
            study.evidence_file("caml", "top50", seed), {"icd": {"exact": measured(f1), "random": measured(0.1)}}
        )
    write_metrics(study.evidence_file("cnn", "top50", 1), {"icd": {"gradient_x_input": measured(None)}})
    return study


def test_every_measure_has_a_title_and_a_place_in_the_metrics():
    assert evidence_table.TITLES.keys() == MEASURES.keys()
    for name, section in MEASURES.items():
        assert name in measured(0.5)[section]


def test_means_and_deviations_stand_in_the_table(with_evidence):
    evidence, runs = evidence_results.read(with_evidence), run_results.read(with_evidence)
    text = tables.markdown(with_evidence, comparison_tables.build(with_evidence, runs), [], runs, evidence)
    lines = {tuple(cells[1:3]): cells[3:] for line in text.splitlines() if len(cells := line.split("|")) > 10}
    lines = {tuple(label.strip() for label in key): [cell.strip() for cell in cells] for key, cells in lines.items()}
    assert lines["CAML", "exact"][0] == "0.600 ± 0.141"
    assert lines["CAML", "random"][0] == "0.100 ± 0.000"
    assert lines["CNN", "gradient x input"][0] == DASH and lines["CNN", "gradient x input"][8] == "0.750"
    assert ("CAML, wider", "exact") not in lines, "it has none"


def test_the_page_and_the_csv_have_the_same_numbers(with_evidence):
    evidence, runs = evidence_results.read(with_evidence), run_results.read(with_evidence)
    built = comparison_tables.build(with_evidence, runs)
    html = page.render(with_evidence, built, [], {}, runs, run_results.settings(with_evidence), None, evidence)
    assert "<h2>Evidence</h2>" in html and html.count("0.600 ± 0.141") == len(OF_PLAUSIBILITY) - 1
    without = page.render(with_evidence, built, [], {}, runs, run_results.settings(with_evidence))
    assert "<h2>Evidence</h2>" not in without
    rows = list(csv.DictReader(io.StringIO(evidence_table.as_csv(with_evidence, evidence))))
    (f1,) = (row for row in rows if (row["system"], row["method"], row["measure"]) == ("CAML", "exact", "f1"))
    assert (f1["mean"], f1["deviation"], f1["seeds"]) == ("0.6000", "0.1414", "2")
    assert not [row for row in rows if row["method"] == "gradient x input" and row["measure"] == "f1"]


def test_the_record_has_every_seed(with_evidence):
    recorded = evidence_results.record(evidence_results.read(with_evidence))
    assert [(one["row"], one["seeds"]) for one in recorded] == [("caml", [1, 2]), ("cnn", [1])]
    assert recorded[0]["measured"][1]["icd"]["exact"]["plausibility"]["f1"] == 0.7


def test_a_study_without_evidence_reads_none(studies):
    study = load(studies, "tiny")
    assert evidence_results.read(study) == {}
    assert evidence_table.markdown(study, {}) == []
