"""The stage `baseline`: the linear model's metrics of the heads of codes, whatever model is chosen."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
import stage_commands
import yaml

from medcode import io
from medcode.dataset import arrays


@pytest.fixture
def run(tiny_inputs, root, tmp_path):
    """Run the stage on the tiny inputs with other heads and settings, and return its metrics."""

    def stage(heads: tuple[str, ...] = ("icd", "ccs"), label_set: str = "top50", **evaluation) -> dict:
        def split(of: str) -> arrays.Split:
            documents = tiny_inputs.splits[of]
            return dataclasses.replace(documents, targets=dict.fromkeys(heads, documents.targets["icd"]))

        labels = tiny_inputs.labels["icd"]
        data = dataclasses.replace(
            tiny_inputs,
            labels=dict.fromkeys(heads, labels),
            splits={"train": split("train"), "dev": split("dev"), "test": split("dev")},
            descriptions=dict.fromkeys(heads, np.ones((len(labels), 1), np.int32)),
            linked=dict.fromkeys(heads, np.zeros(len(labels), bool)),
        )
        arrays.write(tmp_path / "inputs", data)
        names, targets = tiny_inputs.splits["dev"].documents, tiny_inputs.splits["dev"].targets["icd"].matrix.tocoo()
        gold = [(names[row], labels[column]) for row, column in zip(targets.row, targets.col, strict=True)]
        codes = [{"admission_id": name, "system": label["system"], "code": label["code"]} for name, label in gold]
        io.write_table(tmp_path / "codes.parquet", pa.Table.from_pylist(codes))
        params = yaml.safe_load((root / "params.yaml").read_text())
        params |= {"label_set": label_set, "evaluation": params["evaluation"] | evaluation}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        options = stage_commands.options(
            params="params.yaml", model_settings=root / "configs/models/linear.yaml", inputs="inputs",
            codes="codes.parquet", metrics="baseline.json",
        )  # fmt: skip
        done = stage_commands.in_this_process("baseline", options, tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "baseline.json").read_text())

    return stage


def test_metrics_of_codes_as_in_the_test_metrics(run, root):
    measured = run()
    assert list(measured) == ["icd"]
    committed = json.loads((root / "metrics/test.json").read_text())["icd"]
    assert measured["icd"].keys() == committed.keys() - {"scores"}  # how far to trust them is told of the model alone
    assert measured["icd"]["tuned"].keys() == committed["tuned"].keys()
    assert measured["icd"]["tuned"]["f1"]["micro"] > 0.7
    assert measured["icd"]["fixed"]["threshold"] == 0.5 != measured["icd"]["tuned"]["threshold"]
    assert run() == measured


def test_the_label_set_full_has_official_measures(run):
    measured = run(label_set="full")["icd"]
    assert next(iter(measured)) == "official"
    assert measured["official"]["f1"] == pytest.approx(measured["tuned"]["f1"]["micro"])  # every gold code is a label
    assert measured["official"]["gold"] == measured["counts"]["gold"]


def test_both_editions_of_the_joint_label_set_are_measured(run):
    measured = run(heads=("icd9", "icd10"), label_set="joint")
    assert list(measured) == ["icd9", "icd10"] and measured["icd9"] == measured["icd10"]


def test_switched_off_it_writes_an_empty_object(run):
    assert run(baseline=False) == {}
