"""A mistake of the user is told in one line, before anything runs."""

from __future__ import annotations

import json

import pytest
from workflow import RAN

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("corpus=codiespp", "params.yaml: corpus: Input should be 'synthetic-mimic3', "),
        ("corpus=mimic3", "data/raw/mimic3: no such folder; docs/DATA.md says how to get the corpus mimic3"),
        ("model=camll", "params.yaml: model: there is no block models.camll; did you mean 'caml'?"),
        (
            "recipe=publishd",
            "params.yaml: recipe: there is no models.caml.training.publishd; did you mean 'published'?",
        ),
        ("encoder=scratch-tiny", "params.yaml: encoder: caml reads words and has no encoder; set encoder: none"),
        (
            "model=plm_icd",
            "params.yaml: encoder: plm_icd reads word pieces and needs an encoder; choose one of encoders",
        ),
        ("models.caml.kernel=0", "params.yaml: models.caml.kernel: Input should be greater than or equal to 1"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_one_line_before_anything_runs(clean, change, message):
    done = clean.run("dvc", "exp", "run", "-S", change, check=False)
    assert done.returncode != 0
    assert f"error: {message}" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert set(RAN.findall(done.stdout)) <= {"check"} or set(RAN.findall(done.stdout)) == {"train"}


def test_a_mistake_in_params_stops_the_stage_before_it_does_anything(clean):
    clean.set({"split": {"dev_shar": 0.2}})
    done = clean.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert "error: params.yaml: split.dev_shar: unknown key; did you mean 'dev_share'?" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_model_without_the_heads_of_a_label_set_is_refused(clean):
    clean.set({"corpus": "synthetic-mimic4", "label_set": "joint", "split": {"min_occurrences": 3}})
    done = clean.run("dvc", "repro", "train", check=False)
    assert done.returncode != 0
    assert "error: heads: the inputs have no head 'icd'; did you mean 'icd9'?" in done.stderr


def test_a_label_set_that_the_corpus_cannot_have_is_refused_when_it_is_chosen(clean):
    described = json.loads(clean.read("metrics/splits/icd10.json"))
    assert described["empty_because"] == "label set icd10: the corpus has no code of icd10"
    clean.set({"label_set": "icd10"})
    done = clean.run("dvc", "repro", "inputs", check=False)
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "the label set chosen is empty in this corpus (metrics/splits says why)" in line


def test_jams_on_a_label_set_without_both_systems_is_refused(clean):
    done = clean.run("dvc", "exp", "run", "-S", "model=jams", check=False)
    assert done.returncode != 0
    assert "error: label_set: the model links the codes of ICD-9 to those of ICD-10" in done.stderr
    assert "Traceback" not in done.stderr
