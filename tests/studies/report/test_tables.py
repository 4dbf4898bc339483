"""The table of a study with published and our numbers."""

from __future__ import annotations

import csv
import io
import statistics

import pytest
from study_results import TINY, pretend, write_study

from medcode.io import write_json
from medcode.studies.definition.study import load
from medcode.studies.pipeline import progress
from medcode.studies.report import comparison_tables, tables
from medcode.studies.results import comparisons, run_results, significance


def lines_of(text: str, *starts: str) -> list[list[str]]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return [line for line in cells if not starts or line[0] in starts]


def on_mimic(studies):
    write_study(studies, "tiny", TINY, corpus="mimic3")
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45, "caml_wide": 0.47, "cnn": 0.3})
    return study


def test_our_row_follows_the_published_one_with_mean_and_deviation(studies):
    study = on_mimic(studies)
    runs = run_results.read(study)
    text = tables.markdown(study, comparison_tables.build(study, runs), [], runs)
    start = next(number for number, line in enumerate(lines_of(text)) if line[0] == "CAML")
    published, our_row, gap = lines_of(text)[start : start + 3]
    assert published[1:] == ["MIMIC-III, quoted", "87.5", "90.9", "53.2", "61.4", "60.9"]
    measured = [run.test["icd"]["fixed"]["f1"]["micro"] * 100 for run in runs["caml", "top50"]]
    mean, deviation = statistics.mean(measured), statistics.stdev(measured)
    assert our_row[1] == "**ours**, mimic3"
    assert our_row[5] == f"{mean:.1f} ± {deviation:.1f}"
    assert gap[1] == "difference"
    inside = "inside" if abs(mean - 61.4) <= deviation else "outside"
    assert gap[5] == f"{'+' if mean > 61.4 else tables.MINUS}{abs(mean - 61.4):.1f} {inside}"


def test_macro_f1_and_threshold_follow_the_paper(studies):
    study = on_mimic(studies)
    (run, _), published = run_results.read(study)["caml", "top50"], study.paper.tables["table3"]
    measured = run.test["icd"]
    assert run_results.metric(measured, "f1_macro", published) == measured["fixed"]["macro_f1"]["caml"]
    edin = published.model_copy(update={"macro_f1": "per_label_present", "threshold": "tuned"})
    assert run_results.metric(measured, "f1_macro", edin) == measured["tuned"]["macro_f1"]["per_label_present"]
    assert run_results.metric(measured, "exact_match", edin) == measured["tuned"]["exact_match"]
    assert run_results.metric(measured, "precision_at_5", edin) == measured["ranking"]["precision_at_5"]
    assert run_results.metric(measured, "precision_at_50", edin) is None


def test_numbers_of_another_corpus_are_not_compared(tiny):
    text = tables.markdown(tiny, comparison_tables.build(tiny, run_results.read(tiny)), [], run_results.read(tiny))
    assert "they cannot be compared" in text
    assert "difference" not in text
    published = lines_of(text, "CAML")[0]
    assert published[1] == "MIMIC-III, quoted" and published[2] == "*87.5*"


def test_rows_that_only_the_paper_or_only_we_have_are_shown(tiny):
    text = tables.markdown(tiny, comparison_tables.build(tiny, run_results.read(tiny)), [], run_results.read(tiny))
    titles = [line[0] for line in lines_of(text)]
    order = ["CAML", "BiGRU + MTL + RAM (MT-RAM)", "CAML, wider", "CNN"]
    assert [title for title in titles if title in order] == order
    assert "65.1* (!)" in text and "table 1 prints 65.2 for the same model" in text


def test_one_seed_has_no_deviation_and_no_verdict(studies):
    write_study(studies, "tiny", TINY, corpus="mimic3", seeds=[1])
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45})
    text = tables.markdown(study, comparison_tables.build(study, run_results.read(study)), [], run_results.read(study))
    our_row = next(line for line in lines_of(text) if line[1] == "**ours**, mimic3")
    assert "±" not in " ".join(our_row)
    assert "inside" not in text and "outside" not in text


def test_an_unfinished_study_shows_its_finished_rows(studies):
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45}, seeds=(1,))
    assert progress.progress(study) == (1, 6)
    comparison = comparison_tables.build(study, run_results.read(study))
    assert [line.row for line in comparison[0].lines if line.measured] == ["caml"]
    assert not run_results.record(study, run_results.read(study), run_results.settings(study))["finished"]


def test_an_ensemble_is_one_number_behind_the_rows(studies):
    write_study(studies, "tiny", TINY, ensembles={"both": {"title": "Both", "rows": ["caml", "cnn"]}})
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45, "caml_wide": 0.47, "cnn": 0.3})
    runs, settings = run_results.read(study), run_results.settings(study)
    assert not run_results.record(study, runs, settings)["finished"], "the ensemble is not measured yet"
    write_json(study.ensemble_file("both"), runs["caml", "top50"][0].test)
    text = tables.markdown(study, comparison_tables.build(study, runs), [], runs)
    measured = lines_of(text)[-1]
    assert measured[0] == "Both" and "±" not in " ".join(measured)
    f1 = runs["caml", "top50"][0].test["icd"]["fixed"]["f1"]["micro"]
    assert f"{100 * f1:.1f}" in measured
    record = run_results.record(study, runs, settings)
    assert record["finished"] and record["ensembles"][0]["rows"] == ["caml", "cnn"]


def test_the_csv_has_every_published_and_measured_cell(studies):
    study = on_mimic(studies)
    comparison = comparison_tables.build(study, run_results.read(study))
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(study, comparison))))
    assert len(rows) == (12 + 2) * 5
    caml = next(row for row in rows if row["row"] == "caml" and row["metric"] == "f1_micro")
    assert (caml["published"], caml["published_corpus"], caml["seeds"]) == ("61.4", "MIMIC-III", "2")
    assert float(caml["difference"]) == pytest.approx(float(caml["ours"]) - 61.4, abs=1e-3)
    slip = next(row for row in rows if row["system"].endswith("(MT-RAM)") and row["metric"] == "f1_micro")
    assert slip["slip"].startswith("table 1 prints 70.7") and not slip["ours"]


def test_differences_are_tested_and_corrected(tiny):
    runs = run_results.read(tiny)
    tests = comparisons.compare_rows(tiny, runs)
    assert [(test.first, test.second) for test in tests] == [("caml", "caml_wide"), ("caml", "cnn")]
    assert tests[1].micro.observed < 0 and tests[1].micro.high < 0
    assert all(test.holm["micro"] >= test.micro.p for test in tests)
    text = tables.markdown(tiny, comparison_tables.build(tiny, runs), tests, runs)
    line = lines_of(text, "CAML")[-1]
    assert line[1] == "CNN" and line[3].startswith(tables.MINUS) and line[4] == "< 0.001"


def test_the_smallest_possible_p_is_printed_as_a_bound():
    assert significance.floor(9) == pytest.approx(9 * 2 / 10_001)
    assert comparisons.format_p(significance.floor(9), significance.floor(9)) == "≤ 0.002"
    assert comparisons.format_p(significance.floor(11), significance.floor(11)) == "≤ 0.003"  # 0.0022, rounded up
    assert comparisons.format_p(0.0022, significance.floor(9)) == "0.002"
    assert comparisons.format_p(significance.floor(2), significance.floor(2)) == "< 0.001"
    for phrase in ("percentage points", "10,000 resamples", "each of the three columns", "variance between seeds"):
        assert phrase in comparisons.TESTS


def test_the_floor_is_the_smallest_p_of_the_bootstrap(tiny):
    runs = run_results.read(tiny)
    sides = [[run.decisions("icd") for run in runs[row, "top50"]] for row in ("cnn", "caml")]
    assert significance.bootstrap(*sides, "fixed", None, resamples=99).p == significance.floor(1, 99)


def test_a_row_of_both_editions_shows_the_head_of_each_group(studies):
    from medcode.studies.definition import published

    jams = published.load(studies / "published", "jams").tables["table2"]
    assert run_results.label_set_and_head(jams, "icd9", ["joint"]) == ("joint", "icd9")
    assert run_results.label_set_and_head(jams, "icd10", ["icd9", "icd10"]) == ("icd10", "icd")
    assert run_results.label_set_and_head(jams, "icd10", ["icd9"]) is None
    extra = published.load(studies / "published", "fusion").tables["table3"]
    assert run_results.label_set_and_head(extra, "top50", ["top50_extra"]) == ("top50_extra", "icd")
