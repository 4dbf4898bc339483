"""The table, the page and the figures of a study without a paper speak of none."""

from __future__ import annotations

import csv
import io
import re

import pytest
from study_results import simulated_paperless_study, simulated_study

from medcode.studies.report import comparison_tables, figures, page, tables
from medcode.studies.results import comparisons, run_results

OF_A_PAPER = re.compile(r"published|paper|beside|\bours?\b|compared|MIMIC-I|\bNone\b", re.IGNORECASE)


def reported(study):
    """Return table.md, table.csv, report.html and the figures."""
    runs = run_results.read(study)
    built, tests = comparison_tables.build(study, runs), comparisons.compare_rows(study, runs)
    drawn = figures.draw(study, built, runs)
    html = page.render(study, built, tests, drawn, runs, run_results.settings(study))
    return tables.markdown(study, built, tests, runs), tables.as_csv(study, built), html, drawn


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return reported(simulated_paperless_study(tmp_path_factory.mktemp("own")))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return reported(simulated_study(tmp_path_factory.mktemp("tiny")))


def test_nothing_speaks_of_a_paper(own, tiny):
    for number, text in enumerate(own[:2]):
        assert not OF_A_PAPER.findall(text)
        assert OF_A_PAPER.findall(tiny[number])
    for number, html in enumerate((own[2], tiny[2])):
        shown = re.sub("<[^>]*>", " ", html.split("<body>")[1].split("<script>")[0])
        assert bool(OF_A_PAPER.findall(shown)) == bool(number)
    (figure,) = own[3].values()
    assert not OF_A_PAPER.findall(figure.caption) and figure.caption.startswith("Circles: mean over seeds")


def test_the_table_has_a_row_for_each_model_and_a_column_for_each_metric(own):
    lines = own[0].splitlines()
    assert lines[:3] == [
        "# A table of models",
        "",
        "synthetic-mimic3, seeds 1, 2 (mean ± sample standard deviation). Macro F1 as `caml`; threshold tuned on dev. "
        "3 of 6 trainings ended at the last epoch that they were allowed, the others by early stopping.",
    ]
    heading = lines.index("## Three models")
    assert lines[heading + 2 : heading + 4] == ["| | F1 micro | F1 macro | MAP |", "|---|--:|--:|--:|"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[heading + 4 : heading + 7]]
    assert [row[0] for row in rows] == ["CAML", "CAML, wider", "CNN"]
    assert all(re.fullmatch(r"0\.\d{3} ± 0\.\d{3}", cell) for row in rows for cell in row[1:])
    assert lines[heading + 7] == ""


def test_the_csv_has_no_empty_column(own):
    lines = list(csv.DictReader(io.StringIO(own[1])))
    assert len(lines) == 9
    for column in lines[0]:
        assert all(line[column] for line in lines), column


def test_the_page_has_a_cell_for_each_metric(own):
    head, body = re.search(r'<table class="sortable">(.*?)</thead>(.*?)</table>', own[2], re.DOTALL).groups()
    assert re.findall(r"<button class=\"sort\">(.*?)</button>", head) == ["System", "F1 micro", "F1 macro", "MAP"]
    assert head.count("<th ") == 4
    assert [row.count("<t") for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)] == [1 + 4] * 3
    assert '<p class="quiet">On synthetic-mimic3, seeds 1, 2; means ± sample standard deviations. Macro F1' in own[2]


def test_the_table_shows_the_metrics_by_its_definitions(tmp_path):
    study = simulated_paperless_study(tmp_path)
    ((comparison),) = comparison_tables.build(study, runs := run_results.read(study))
    (line, *_) = comparison.lines
    measured = [run.test["icd"] for run in runs["caml", "top50"]]
    assert line.measured["icd", "f1_micro"].values == tuple(one["tuned"]["f1"]["micro"] for one in measured)
    assert line.measured["icd", "map"].values == tuple(one["ranking"]["map"] for one in measured)


def test_a_group_without_both_f1_has_no_figure_of_rows(tmp_path):
    groups = {"icd": {"label_set": "top50", "columns": ["f1_micro", "map"]}}
    changed = {"title": "Ranking", "unit": "percent", "groups": groups}
    *_, drawn = reported(simulated_paperless_study(tmp_path, tables=changed))
    assert drawn == {}
