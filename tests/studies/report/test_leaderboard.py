"""The leaderboard: finished studies only, the best first."""

from __future__ import annotations

import shutil

import pytest
from study_results import TINY, pretend, write_study

from medcode.io import write_metrics
from medcode.studies.definition.study import load
from medcode.studies.pipeline import progress
from medcode.studies.report import leaderboard
from medcode.studies.results import run_results


def record(study):
    record = run_results.record(study, run_results.read(study), run_results.settings(study))
    write_metrics(study.root / study.name / "results.json", record)


def test_rows_of_finished_studies_are_sorted_by_micro_f1(studies, tiny, tmp_path):
    write_study(studies, "half", TINY)
    pretend(half := load(studies, "half"), {"caml": 0.9})
    record(tiny)
    record(half)
    leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
    text = (tmp_path / "LEADERBOARD.md").read_text()
    assert "## synthetic-mimic3, top50, icd" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| CAML", "| CNN"))]
    assert [row[0] for row in rows] == [
        "| CAML, wider (`caml_wide`, quick)",
        "| CAML (`caml`, quick)",
        "| CNN (`cnn`, quick)",
    ]
    assert rows[0][7:12] == ["2", "1,234", "6 s", "2.7 min", "CPU (test)"]
    assert all("±" in cell for cell in rows[0][1:6])
    assert "half" not in text


def test_official_measures_of_an_ensemble_count_unseen_codes_where_they_were_scored():
    measured = {"official": {"map": 0.5, "f1": 0.4}, "official_open": {"map": 0.6, "f1": 0.5}}
    assert run_results.with_open(measured)["official"] == {"map": 0.6, "f1": 0.5}
    assert run_results.with_open({"official": {"map": 0.5}}) == {"official": {"map": 0.5}}


def test_an_ensemble_and_official_measures_have_their_place(studies, tmp_path):
    write_study(studies, "tiny", TINY, ensembles={"both": {"title": "Both", "rows": ["caml", "cnn"]}})
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45, "caml_wide": 0.47, "cnn": 0.3})
    test = run_results.read(study)["caml_wide", "top50"][0].test
    test["icd"]["official"] = {"map": 0.765, "f1": 0.432}
    write_metrics(study.ensemble_file("both"), test)
    record(study)
    leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
    lines = (tmp_path / "LEADERBOARD.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| model | MAP official | F1 official | F1 micro |"))
    both = next(line for line in lines if line.startswith("| Both |"))
    assert both.startswith("| Both | 76.5 | 43.2 | ") and "±" not in both
    assert {line.count(" | ") for line in lines if line.startswith("| ")} == {head.count(" | ")}
    assert next(line for line in lines if line.startswith("| CAML (")).split(" | ")[1:3] == ["\N{EN DASH}"] * 2


def without_cpu_seconds(row):
    del row["cpu_seconds"]  # as earlier versions wrote results.json


def unknown_for_one_seed(row):
    row["cpu_seconds"][0] = None


def on_a_gpu(row):
    row["device"] = "NVIDIA H100"


@pytest.mark.parametrize("change", [without_cpu_seconds, unknown_for_one_seed, on_a_gpu])
def test_a_cpu_time_that_is_unknown_or_of_a_gpu_is_a_dash(studies, tiny, tmp_path, change):
    results = run_results.record(tiny, run_results.read(tiny), run_results.settings(tiny))
    for row in results["rows"]:
        change(row)
    write_metrics(studies / "tiny/results.json", results)
    leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
    rows = [line.split(" | ") for line in (tmp_path / "LEADERBOARD.md").read_text().splitlines() if "CAML (" in line]
    assert [row[9:11] for row in rows] == [["6 s", "\N{EN DASH}"]]


def test_a_training_logged_without_cpu_seconds_has_none(tiny):
    for path in (tiny.root / "tiny/runs").rglob("caml/1/epochs.jsonl"):
        path.write_text('{"epoch": 1, "seconds": 2.5}\n')
    results = run_results.record(tiny, run_results.read(tiny), run_results.settings(tiny))
    assert [row["cpu_seconds"] for row in results["rows"]] == [[None, 162.0], [162.0, 162.0], [162.0, 162.0]]
    assert results["rows"][0]["seconds"] == [2.5, 6.0]


def test_commits_are_links_if_the_repository_is_known(studies, tiny, tmp_path):
    for repository, shown in ((None, "| `abc1234` |"), ("https://github.com/a/b", "[abc1234](https://github.com/a/b/")):
        runs = run_results.read(tiny)
        for run in [run for seed_runs in runs.values() for run in seed_runs]:
            run.environment["commit"] = "abc1234"
        content = run_results.record(tiny, runs, run_results.settings(tiny), repository)
        write_metrics(studies / "tiny/results.json", content)
        leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
        assert shown in (tmp_path / "LEADERBOARD.md").read_text()


def test_a_committed_study_counts_without_its_trainings(studies, tiny):
    record(tiny)
    shutil.rmtree(studies / "tiny/runs")
    assert "6/6 (committed)" in progress.listing(studies)
    write_study(studies, "tiny", TINY, seeds=[1, 2, 3])
    assert "6/9 (committed)" in progress.listing(studies)
    write_study(studies, "tiny", TINY, corpus="codiesp")
    assert "0/6 " in progress.listing(studies) and "committed" not in progress.listing(studies)


def test_a_leaderboard_without_finished_studies_says_so(studies, tmp_path):
    leaderboard.write(studies, tmp_path / "LEADERBOARD.md")
    assert "No study is finished yet." in (tmp_path / "LEADERBOARD.md").read_text()


def test_the_list_of_studies_shows_progress_and_mistakes(studies, tiny):
    write_study(studies, "broken", TINY, corpus="mimic33")
    lines = progress.listing(studies).splitlines()
    assert lines[0].split() == ["study", "trainings", "corpus", "title"]
    broken, complete = lines[1:]
    assert broken.split()[:2] == ["broken", "wrong"] and "did you mean 'mimic3'?" in broken
    assert complete.split()[:3] == ["tiny", "6/6", "synthetic-mimic3"]
