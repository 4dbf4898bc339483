"""Sentences on how our rows were trained."""

from __future__ import annotations

from dataclasses import replace

from study_results import TINY, pretend, simulated_paperless_study, write_study

from medcode.studies.definition.study import load
from medcode.studies.report import captions, comparison_tables, tables
from medcode.studies.results import run_results
from medcode.training.at_once import STOPPED


def test_small_settings_are_named_for_all_or_single_rows(studies):
    caption = captions.small(load(studies, "tiny"))
    assert caption == "Ours are small: recipe quick, notes cut at 64 tokens, cnn filters 8, 2 epochs (CNN)."
    small = {"recipe": "quick", "models.*.recipes.*.epochs": 4, "training.threads": 1}
    write_study(studies, "tiny", TINY, small=small)
    caption = captions.small(load(studies, "tiny"))
    assert caption == "Ours are small: recipe quick, 4 epochs (CAML, CAML, wider), 2 epochs (CNN)."


def test_small_settings_of_a_shared_row_come_from_its_study(studies):
    rows = {"caml": {"title": "CAML again", "same_as": "tiny/caml"}}
    write_study(studies, "other", TINY, rows=rows, comparisons=[], small={"recipe": "slow"})
    assert captions.small(load(studies, "other")) == "Ours are small: recipe quick, notes cut at 64 tokens."


def test_small_settings_are_not_mentioned_on_mimic(studies):
    write_study(studies, "tiny", TINY, corpus="mimic3", small_remark="Sizes are small.")
    study = load(studies, "tiny")
    pretend(study, {"caml": 0.45})
    text = tables.markdown(study, comparison_tables.build(study, run_results.read(study)), [], run_results.read(study))
    assert "mall" not in text.split("\n##")[0]
    assert "1 of 2 trainings ended at the last epoch that they were allowed, the others by early stopping." in text


def test_trainings_with_the_same_end_are_counted(tiny):
    runs = {where: seed_runs[:1] for where, seed_runs in run_results.read(tiny).items()}
    assert captions.ended(runs) == "3 of 3 trainings ended at the last epoch that they were allowed."
    assert captions.ended({}) == ""


def test_trainings_fitted_at_once_are_counted_apart(tiny):
    runs = run_results.read(tiny)
    runs["cnn", "top50"] = [replace(run, train=run.train | {"stopped": STOPPED}) for run in runs["cnn", "top50"]]
    last = "trainings ended at the last epoch that they were allowed, the others by early stopping"
    assert captions.ended(runs) == f"2 of 4 {last}; 2 more were fitted at once."
    assert captions.ended({"cnn": runs["cnn", "top50"]}) == ""


def test_small_settings_of_a_study_without_a_paper_are_not_ours(tmp_path):
    study = simulated_paperless_study(tmp_path, small={"models.*.recipes.*.epochs": 4})
    assert captions.small(study) == "The settings are small: 4 epochs."
