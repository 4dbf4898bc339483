"""Mistakes of the user are reported in one line before anything runs."""

from __future__ import annotations

import json

import pytest
from workflow import RAN

pytestmark = pytest.mark.workflow


CAML = "configs/models/caml.yaml"


def checked(project, changes: dict, file: str = "params.yaml") -> list[str]:
    """Return the mistakes that the stage `check` reports after a change. Only this stage runs."""
    project.set(changes, file)
    done = project.run(*project.command("check"), check=False)
    assert done.returncode == 2 and "Traceback" not in done.stdout + done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model=camll", "params.yaml: model: there is no model 'camll'; did you mean 'caml'?"),
        pytest.param(
            f"{CAML}:options.kernel=-10",
            f"{CAML}: options.kernel: Input should be greater than or equal to 1",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_reported_before_anything_runs(clean, change, message):
    done = clean.run("dvc", "exp", "run", "-S", change, check=False)
    assert done.returncode != 0
    assert f"error: {message}" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert set(RAN.findall(done.stdout)) == {"check"}
    # The change keeps the size of the file; git sees it, and can take it back.
    (changed,) = clean.run("git", "diff", "--name-only").stdout.split()
    assert changed == message.split(":")[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": "codiespp"}, "params.yaml: corpus: there is no corpus 'codiespp'; did you mean 'codiesp'?"),
        ({"corpus": "mimic3"}, "data/raw/mimic3: no such folder; docs/DATA.md says how to get the corpus mimic3"),
        (
            {"reference": {"titles": "ours.csv"}},
            "params.yaml: reference.titles: there is no file 'ours.csv'; for none set reference/titles/none.csv",
        ),
        (
            {"reference": {"synonyms": "ours.tsv"}},
            "params.yaml: reference.synonyms: there is no file 'ours.tsv'; for none set reference/synonyms/none.tsv",
        ),
        (
            {"open": {"codes": "ours.csv"}},
            "params.yaml: open.codes: there is no file 'ours.csv'; for all codes set reference/codes/all.csv",
        ),
        (
            {"corpora": {"synthetic-mimic3": {"evidence": "mdace"}}},
            "params.yaml: corpora.synthetic-mimic3.evidence: there is no folder data/raw/synthetic-mimic3/mdace; "
            "docs/DATA.md says where the files are from",
        ),
        ({"open": {"mention": True}}, "params.yaml: open.mention: unknown key; did you mean 'mentions'?"),
        ({"recipe": "publishd"}, f"{CAML}: recipes: there is no publishd; did you mean 'published'?"),
        ({"encoder": "minilm"}, "params.yaml: encoder: caml reads words and has no encoder; set encoder: none"),
        (
            {"training": {"nodes": 2}},
            "training.nodes: 2 machines meet at the first one, and PET_MASTER_ADDR does not name it; set it to its "
            "name or address on every machine (docs/SCALE.md)",
        ),
        ({"seed": -1}, "params.yaml: seed: Input should be greater than or equal to 0, found -1"),
        ({"modle": "cnn"}, "params.yaml: modle: unknown key; did you mean 'model'?"),
    ],
)
def test_a_mistake_is_reported_in_one_line_by_the_first_stage(clean_params, changes, message):
    assert checked(clean_params, changes) == [f"error: {message}"]


@pytest.fixture
def clean_params(project):
    """A project with the committed parameters."""
    project.run("git", "checkout", "--quiet", "--", "params.yaml", "configs")
    return project


def test_mistakes_are_reported_together(clean_params):
    messages = checked(clean_params, {"seed": -1, "split": {"dev_shar": 0.2}, "corpus": "mimc3"})
    assert len(messages) == 3
    for part in ("seed: Input should be", "split.dev_shar: unknown key", "did you mean 'mimic3'?"):
        assert any(part in line for line in messages), part


@pytest.mark.slow
def test_a_model_without_the_heads_of_a_label_set_is_refused(clean):
    clean.set({"corpus": "synthetic-mimic4", "label_set": "joint", "split": {"min_occurrences": 3}})
    done = clean.run("dvc", "repro", "train", check=False)
    assert done.returncode != 0
    assert "error: heads: the inputs have no head 'icd'; did you mean 'icd9'?" in done.stderr


def test_a_label_set_that_the_corpus_lacks_is_refused(clean):
    described = json.loads(clean.read("metrics/splits/icd10.json"))
    assert described["empty_because"] == "label set icd10: the corpus has no code of icd10"
    (line,) = checked(clean, {"label_set": "icd10"})
    assert "label_set: icd10 needs codes of icd10, and corpora.synthetic-mimic3 has icd9cm, icd9proc" in line
    done = clean.run(
        *(part.replace("splits/top50", "splits/icd10") for part in clean.command("corpus_stats")), check=False
    )
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "the label set chosen is empty in this corpus (metrics/splits says why)" in line


def test_jams_on_a_label_set_without_both_systems_is_refused(clean):
    clean.set({"model": "jams"})
    clean.run(*(part.replace("caml", "jams") for part in clean.command("recipe")))
    done = clean.run(*clean.command("train"), check=False)
    assert done.returncode == 2
    assert "error: label_set: the model links the codes of ICD-9 to those of ICD-10" in done.stderr
    assert "Traceback" not in done.stderr
