"""Stages of the main workflow as records: parsing, replacement of options and paths, and errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from medcode.errors import UserError
from medcode.studies.pipeline.data_pipeline import DataPipeline
from medcode.studies.pipeline.workflow import Stage, StageCommand, parse_stages

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def content():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())


@pytest.fixture
def data(content):
    values = {"corpus": ["mimic3"], "label_set": ["full"], "encoder": ["minilm"]}
    return DataPipeline(parse_stages(content), values)


def test_parsing_and_rendering_a_command_is_the_identity(content):
    for stage in content["stages"].values():
        assert StageCommand.parse(stage["cmd"]).render() == " ".join(stage["cmd"].split())


def test_replacing_an_option_changes_nothing_else():
    command = StageCommand.parse("python a.py --model model/x --out model/x --model-settings --model.yaml")
    replaced = command.replace_options({"--model": "y"}).add_option("--seed", "1")
    assert replaced.render() == "python a.py --model y --out model/x --model-settings --model.yaml --seed 1"
    with pytest.raises(UserError, match=re.escape("a.py has no option --modle; did you mean '--model'?")):
        command.replace_options({"--modle": "y"})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python a.py --title 'two words'", "expected a command without quotes"),
        ("python a.py --title don't", "expected a command without quotes"),
        ("python a.py --force", "expected 'python <script> --option value ...'"),
        ("python a.py file --out x", "expected 'python <script> --option value ...'"),
        ("sh a.sh --out x", "expected 'python <script> --option value ...'"),
        ("", "expected 'python <script> --option value ...'"),
        ("python a.py --out x --out y", "a.py is given --out twice"),
    ],
)
def test_a_command_of_another_form_is_refused(command, message):
    with pytest.raises(UserError, match=re.escape(message)):
        StageCommand.parse(command)


def test_a_stage_has_its_outputs_and_the_parameters_of_each_file(content):
    train = Stage.parse(content["stages"]["train"])
    assert train.outs == ("models/trained", "metrics/train.json", "plots/learning_curve.csv")
    assert train.params["params.yaml"][:2] == ("corpus", "encoder")
    assert Stage.parse(content["stages"]["recipe"]).params["configs/models/${model}.yaml"] == ("options", "recipes")
    assert Stage.parse(content["stages"]["check"]).params == {"params.yaml": ()}
    assert Stage.parse(content["stages"]["recipe"]).refers_to("model") and not train.refers_to("label_set")


@pytest.mark.parametrize(
    ("path", "moved"),
    [
        ("data/splits-published/${split.published}", "data/studies/mimic3/settings/published"),
        ("data/code/embed.json", "data/studies/mimic3/settings/code/embed.json"),
        ("data/raw/${corpus}", "data/raw/mimic3"),
        ("data/reference/descriptions.parquet", "data/reference/descriptions.parquet"),
        ("data/extracted/notes.parquet", "data/studies/mimic3/extracted/notes.parquet"),
        ("data/splits/${label_set}", "data/studies/mimic3/splits/full"),
        ("data/inputs", "data/studies/mimic3/inputs/full"),
        ("data/subword", "data/studies/mimic3/subword/minilm"),
        ("metrics/pretrain.json", "data/studies/mimic3/metrics/minilm/pretrain.json"),
        ("models/more-data/x", "models/more-data/x"),
        ("configs/models", "configs/models"),
    ],
)
def test_paths_are_mapped_to_the_folder_of_the_corpus(data, path, moved):
    assert data.study_path(path, "mimic3", label_set="full", encoder="minilm") == moved


def test_a_path_without_a_data_stage_is_refused_as_target(data):
    assert data.target("data/inputs", "mimic3", label_set="full") == "studies/data/dvc.yaml:inputs@mimic3-full"
    with pytest.raises(UserError, match="no stage between a corpus and the inputs of a training makes models/trained"):
        data.target("models/trained", "mimic3", label_set="full")


def test_parameters_of_another_file_are_refused_in_a_data_stage(content):
    word2vec = content["stages"]["word2vec"] | {"params": ["word2vec", {"other.yaml": ["key"]}]}
    stages = parse_stages({"stages": content["stages"] | {"word2vec": word2vec}})
    data = DataPipeline(stages, {"corpus": ["mimic3"], "label_set": ["full"], "encoder": ["none"]})
    message = "stages/word2vec.py: expected params of params.yaml, found other.yaml"
    with pytest.raises(UserError, match=re.escape(message)):
        data.pipeline()
