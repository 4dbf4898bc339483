"""Results of a cross-validation."""

from __future__ import annotations

import json
import statistics

import pytest
import stage_commands
from stage_commands import Done

from medcode import io
from medcode.studies.results import folds

MICRO, EPOCHS = [0.5, 0.7, 0.6], [4, 9, 5]


def fold(number: int, **ranking: float) -> dict:
    metrics = {
        "ranking": {"map": MICRO[number] + 0.1, **ranking},
        "tuned": {"threshold": 0.2 + 0.1 * number, "f1": {"micro": MICRO[number]}},
        "counts": {"documents": 10},
    }
    train = {"model": "cnn", "recipe": "small", "corpus": "codiesp", "label_set": "full"}
    train |= {"best_epoch": EPOCHS[number], "epochs_run": 9, "stopped": "3 epochs without", "dev": {"map": 0}}
    return {"train": train, "dev": {"icd": metrics}, "seeds": {}}


def test_means_deviations_and_choices_of_each_fold():
    summary = folds.summarize([fold(number) for number in range(3)])
    assert [summary[key] for key in ("model", "recipe", "corpus", "label_set")] == ["cnn", "small", "codiesp", "full"]
    assert summary["folds"] == 3 and list(summary["by_fold"]) == ["0", "1", "2"]
    assert summary["mean"]["icd"]["tuned"]["f1"]["micro"] == pytest.approx(0.6)
    assert summary["standard_deviation"]["icd"]["tuned"]["f1"]["micro"] == pytest.approx(statistics.stdev(MICRO))
    assert summary["mean"]["best_epoch"] == 6 and summary["mean"]["icd"]["counts"]["documents"] == 10
    assert summary["by_fold"]["1"] == {
        "best_epoch": 9, "epochs_run": 9, "threshold": {"icd": pytest.approx(0.3)}, "f1_micro": {"icd": 0.7},
        "map": {"icd": pytest.approx(0.8)},
    }  # fmt: skip
    assert "ensemble" not in summary["mean"]
    assert folds.lines(summary) == [
        "icd: micro F1 0.600 \N{PLUS-MINUS SIGN} 0.100 at the threshold 0.300 \N{PLUS-MINUS SIGN} 0.100, "
        "MAP 0.700 \N{PLUS-MINUS SIGN} 0.100 on dev",
        "best epoch 6.0 \N{PLUS-MINUS SIGN} 2.6 of 3 folds",
    ]


def test_a_metric_that_a_fold_lacks_is_left_out():
    summary = folds.summarize([fold(0, precision_at_5=0.5), fold(1), fold(2, precision_at_5=0.4)])
    assert summary["mean"]["icd"]["ranking"].keys() == {"map"}


def test_official_measures_are_shown_where_there_are_any():
    official = [fold(number) for number in range(2)]
    for number, one in enumerate(official):
        one["dev"]["icd"]["official"] = {"f1": 0.3 + 0.2 * number, "map": 0.2 + 0.2 * number}
    summary = folds.summarize(official)
    assert summary["by_fold"]["1"]["official_f1"] == {"icd": 0.5}
    assert folds.lines(summary)[1].startswith("icd: official F1 0.400 ")


def test_several_seeds_are_measured_as_one_model_too():
    several = [fold(number) for number in range(2)]
    for number, one in enumerate(several):
        one["seeds"] = {"ensemble": {"icd": {"ranking": {"map": 0.8 + 0.1 * number}}}, "seeds": {}}
    summary = folds.summarize(several)
    assert summary["mean"]["ensemble"] == {"icd": {"ranking": {"map": pytest.approx(0.85)}}}


def test_the_stage_writes_and_prints_the_summary(tmp_path, capsys):
    for number in range(2):
        for name, content in fold(number).items():
            io.write_json(tmp_path / "runs" / str(number) / f"{name}.json", content)
    options = stage_commands.options(params="params.yaml", runs="runs", folds=2, metrics="crossval.json")
    assert stage_commands.in_this_process("studies/crossval_metrics", options, tmp_path) == Done(0, "")
    written = json.loads((tmp_path / "crossval.json").read_text())
    assert written["folds"] == 2 and written["by_fold"]["1"]["best_epoch"] == 9
    assert capsys.readouterr().out.startswith("icd: micro F1 0.600")
    (tmp_path / "runs/1/dev.json").unlink()
    failed = stage_commands.in_this_process("studies/crossval_metrics", options, tmp_path)
    assert failed.returncode == 2 and failed.stderr == "error: runs/1/dev.json: no such file\n"
