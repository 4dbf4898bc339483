"""The pipeline of a cross-validation: the commands of the main workflow, with files of each fold."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

import pytest
import yaml

from medcode.studies.pipeline import crossval
from medcode.studies.pipeline.workflow import StageCommand, ancestors, parse_stages, producer

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def workflow():
    return parse_stages(yaml.safe_load((ROOT / "dvc.yaml").read_text()))


@pytest.fixture(scope="module")
def pipeline(workflow):
    return crossval.pipeline(workflow, 3)


@pytest.fixture(scope="module")
def commands(pipeline):
    return [StageCommand.parse(command) for command in pipeline["stages"]["fold"]["cmd"]]


def test_a_fold_repeats_the_stages_from_the_split_to_the_evaluation(workflow, commands):
    repeated = crossval.repeated(workflow)
    assert repeated[0] == "split" and repeated[-3:] == ["train", "open_codes", "evaluate"]
    assert {"label_set", "ccs", "gem", "word2vec", "encoder", "subword", "pretrain", "inputs", "recipe"} < set(repeated)
    assert not {"extract", "tokenize", "baseline", "corpus_stats", "report", "calibrate"} & set(repeated)
    scripts = [command.script for command in commands]
    assert scripts[0] == "stages/studies/crossval_fold.py" and scripts[-1] == "stages/studies/study_finish.py"
    assert list(dict.fromkeys(scripts[1:-1])) == [workflow[name].command.script for name in repeated]
    label_sets = [command.options["--label-set"] for command in commands if "--label-set" in command.options]
    assert label_sets == ["full", "joint", "${label_set}", "${label_set}"]


def test_a_stage_runs_after_all_that_it_depends_on(workflow):
    order = crossval.repeated(workflow)
    for name, before in ancestors(workflow).items():
        if name in order:
            assert all(order.index(other) < order.index(name) for other in before & set(order))


def test_all_that_a_fold_writes_is_its_own(workflow, commands):
    own = ("data/crossval/${item.fold}", "studies/crossval/runs/${item.fold}")
    shared = set(crossval.pipeline(workflow, 3)["stages"]["fold"]["deps"])
    others = {"params.yaml", "configs/models/${model}.yaml", "checkpoints"}
    for command in commands:
        for option, value in command.options.items():
            if "/" in value or option == "--params":
                assert value.startswith(own) or value in shared | others, f"{command.script} {option} {value}"
    outs = {out for name in crossval.repeated(workflow) for out in workflow[name].outs}
    outs -= {"plots/reliability.csv", "plots/risk_coverage.csv"}  # of test
    written = {value for command in commands for value in command.options.values() if value.startswith(own)}
    of_label_set = {PurePosixPath(out.replace("${item.label_set}", "${label_set}")).name for out in outs}
    assert of_label_set - {PurePosixPath(value).name for value in written} == {"test.json"}


def test_a_fold_measures_dev_and_removes_its_data(commands):
    evaluate, finish = commands[-2:]
    assert not {"--calibration", "--reliability", "--risk-coverage"} & evaluate.options.keys()
    assert evaluate.options["--split"] == "dev" and evaluate.options["--metrics"].endswith("/dev.json")
    assert finish.options["--model"] == "data/crossval/${item.fold}"
    params = {command.options["--params"] for command in commands[1:]}
    assert params == {"data/crossval/${item.fold}/params.yaml"} == {commands[0].options["--out"]}


def test_a_fold_depends_on_what_its_stages_depend_on(workflow, pipeline):
    fold, repeated = pipeline["stages"]["fold"], crossval.repeated(workflow)
    workflow = crossval.without_calibration(workflow)
    chain = {name: workflow[name] for name in repeated}
    for name in repeated:
        for dep in workflow[name].deps:
            assert dep in fold["deps"] or producer(chain, dep) is not None, f"{name}: {dep}"
    assert not any(dep.startswith("data/crossval") for dep in fold["deps"])
    listed = {file: set(keys) for entry in fold["params"] for file, keys in entry.items()}
    for name in repeated:
        for file, keys in workflow[name].params.items():
            assert all(key in listed[file] or key.split(".")[0] in listed[file] for key in keys), f"{name}: {file}"
    assert len(crossval.data_targets(ROOT)) == len({"check", "extract", "reference", "tokenize"})


def test_commands_contain_only_keys_that_are_names(pipeline):
    text = " ".join([*pipeline["stages"]["fold"]["cmd"], pipeline["stages"]["metrics"]["cmd"]])
    assert set(re.findall(r"\$\{(.+?)\}", text)) == {"item.fold", "label_set", "model", "split.published"}


def test_the_metrics_depend_on_every_fold(pipeline):
    assert pipeline["stages"]["fold"]["matrix"] == {"fold": [0, 1, 2]}
    deps = [dep for dep in pipeline["stages"]["metrics"]["deps"] if dep.startswith("studies/")]
    assert deps == [f"studies/crossval/runs/{fold}" for fold in range(3)]
    assert crossval.fold_targets(2) == [f"studies/crossval/dvc.yaml:fold@{fold}" for fold in range(2)]


def test_the_pipeline_is_written_once(workflow, tmp_path):
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    crossval.write(tmp_path, 4)
    path = tmp_path / crossval.FILE
    assert yaml.safe_load(path.read_text()) == crossval.pipeline(workflow, 4)
    path.chmod(0o444)
    before = path.stat().st_mtime_ns
    crossval.write(tmp_path, 4)
    assert path.stat().st_mtime_ns == before, "an unchanged file would rerun nothing, but DVC would read it again"
