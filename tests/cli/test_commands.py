"""The command line: its output, and one line with exit code 2 for a mistake."""

from __future__ import annotations

import json
import re

import pytest
from coded_corpus import DESCRIBED

import medcode
from medcode import models
from medcode.__main__ import COMMANDS

TEXT = "Fever and chills. Chest film: pneumonia."


def test_models_on_an_encoder_are_counted_with_any_published_size(command):
    sizes = {}
    for size in ("bert-base-cased", "bert-base-uncased"):
        code, out, _ = command("models", "--format", "json", "--name", "bert_hier", "--encoder", size)
        assert code == 0
        sizes[size] = json.loads(out)[0]["parameters"]
    assert sizes == {"bert-base-cased": 113_901_156, "bert-base-uncased": 115_073_124}


def test_models_are_listed_with_their_parameter_counts(command):
    code, out, _ = command("models", "--format", "json", "--labels", "icd=50")
    counts = {item["name"]: item["parameters"] for item in json.loads(out)}
    assert code == 0
    assert counts["caml"] == 5_247_050 and counts["cnn"] == 5_417_450
    assert set(counts) == set(models.names())
    table = command("models")[1]
    assert "5,247,050" in table and "Mullenbach et al. 2018" in table


def test_model_counts_follow_the_given_sizes_settings_and_recipe(command):
    arguments = ("models", "--format", "json", "--name")
    (caml,) = json.loads(command(*arguments, "caml", "--labels", "icd=50,ccs=38", "--set", "caml.filters=100")[1])
    assert caml["parameters"] == 51_919 * 100 + 100 * 100 * 10 + 100 + 2 * 88 * 101
    (cnn,) = json.loads(command(*arguments, "cnn", "--recipe", "retrained", "--vocabulary", 102)[1])
    assert (cnn["parameters"], cnn["trainable"]) == (225_550 + 10_200, 225_550)


def test_heads_that_are_not_named_get_the_label_counts_of_mimic(command):
    arguments = ("models", "--format", "json", "--name", "joint_laat")
    for labels, parameters in (
        ("icd=50", 6_267_958),
        ("icd=50,category=40", 6_267_958),
        ("icd=8921", 25_521_970),
        ("icd=50,category=39", 6_267_958 - 256 - 513 - 128),
    ):
        (row,) = json.loads(command(*arguments, "--labels", labels)[1])
        assert row["parameters"] == parameters, labels


def test_only_models_with_the_recipe_are_listed(command):
    listed = json.loads(command("models", "--format", "json", "--recipe", "mtram")[1])
    assert [item["name"] for item in listed] == ["caml", "dr_caml", "multirescnn"]


def test_the_committed_page_of_models_matches_the_command_output(command, root):
    code, out, _ = command("models", "--format", "markdown")
    assert code == 0
    assert (root / "docs/MODELS.md").read_text(encoding="utf-8") == out, "write it again: see its first lines"
    for name in models.names():
        assert f"\n## {name}\n" in out
    assert "| `hidden` | 256, with all codes 512 |" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--name", "camll"), "--name: there is no model 'camll'; did you mean 'caml'?"),
        (("--labels", "icd"), "--labels: expected HEAD=NUMBER"),
        (("--labels", "icd=0"), "--labels: expected HEAD=NUMBER"),
        (("--vocabulary", "1"), "--vocabulary: at least 2 rows"),
        (("--set", "filters=3"), "--set: expected MODEL.KEY=VALUE"),
        (("--set", "camll.filters=3"), "--set: there is no model 'camll'; did you mean 'caml'?"),
        (("--set", "caml.filter=3"), "configs/models/caml.yaml: options.filter: unknown key; did you mean 'filters'?"),
        (("--recipe", "retraind"), "--recipe: no model has 'retraind'; did you mean 'retrained'?"),
        (("--name", "caml", "--recipe", "retrained"), "--recipe: no model has 'retrained'; valid: edin, mtram, publ"),
        (("--models", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_a_mistake_in_models_is_reported_in_one_line(command, arguments, message):
    code, out, err = command("models", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_splits_are_checked_and_copied(command, tmp_path):
    for name, ids in {"train": "1 2", "dev": "3", "test": "4"}.items():
        for part in ("full", "50"):
            (tmp_path / f"{name}_{part}_hadm_ids.csv").write_text(ids.replace(" ", "\n"))
    code, out, err = command("splits", "caml", "--from", tmp_path, "--to", tmp_path / "to")
    assert (code, len(err.splitlines())) == (0, 6)
    assert "train 2, dev 1, test 1; set split.published: caml" in out
    (tmp_path / "dev_50_hadm_ids.csv").unlink()
    code, _, err = command("splits", "caml", "--from", tmp_path, "--to", tmp_path / "to")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "dev_50_hadm_ids.csv: no such file" in err


def test_corpus_prints_its_statistics(command, tmp_path):
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps(DESCRIBED))
    code, out, _ = command("corpus", "--metrics", path)
    assert code == 0
    assert ["Documents", "40", "12", "15", "67"] in [line.split() for line in out.splitlines()]
    assert json.loads(command("corpus", "--metrics", path, "--format", "json")[1]) == DESCRIBED
    path.write_text("{}")
    code, _, err = command("corpus", "--metrics", path)
    assert code == 2 and "not what the stage corpus_stats writes" in err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--run"], "error: --run: expected the name of a study; without --run they are listed\n"),
        (["mtram-icd", "--jobs", "0"], "error: --jobs: expected a number from 1 to 64, found 0\n"),
    ],
)
def test_study_refuses_invalid_arguments(command, options, error):
    assert command("study", *options) == (2, "", error)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--folds", "1"], "error: --folds: expected a number from 2 to 1000, found 1\n"),
        (["--jobs", "0"], "error: --jobs: expected a number from 1 to 64, found 0\n"),
    ],
)
def test_crossval_refuses_invalid_arguments(command, options, error):
    assert command("crossval", *options) == (2, "", error)


def test_crossval_outside_the_project_is_refused_in_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("crossval")
    assert (code, out) == (2, "") and err.startswith("error: dvc.yaml: no such file; run this in the project's folder")
    assert not list(tmp_path.iterdir())


def test_a_missing_model_file_is_reported_in_one_line(command, tmp_path):
    code, out, err = command("models", "--models", str(tmp_path), "--name", "cnn")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "cnn.yaml: no such file; every model has one; name another folder with --models" in err


def test_the_version_is_printed(command, capsys):
    with pytest.raises(SystemExit) as end:
        command("--version")
    assert (end.value.code, capsys.readouterr().out) == (0, f"medcode {medcode.__version__}\n")


def test_help_lists_every_command_and_has_examples(command, capsys):
    with pytest.raises(SystemExit):
        command("--help")
    printed = capsys.readouterr().out
    assert re.findall(r"^    ([a-z-]+)(?= |$)", printed, re.MULTILINE) == list(COMMANDS)
    assert "medcode predict notes/ --output" in printed
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            command(name, "--help")
        assert capsys.readouterr().out.startswith(f"usage: medcode {name} ")


def test_an_unknown_command_is_refused(command, capsys):
    with pytest.raises(SystemExit) as end:
        command("predcit")
    assert end.value.code == 2 and "invalid choice: 'predcit'" in capsys.readouterr().err
