"""Experiments in a copy of the project, and clones: their data, their code, and `dvc pull`."""

from __future__ import annotations

import json

import pytest
from workflow import RAN, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

NOTE = {
    "admission_id": "1",
    "patient_id": "1",
    "text": "Admitted with hypertension.",
    "codes": [{"system": "icd10cm", "code": "I10"}],
}


def broken_package(folder) -> str:
    """Write a package `medcode` that cannot be imported, like one edited after an experiment was queued."""
    (folder / "medcode").mkdir(parents=True)
    (folder / "medcode/__init__.py").write_text('raise RuntimeError("the package of another folder")\n')
    return str(folder)


def test_an_experiment_in_a_copy_uses_the_ignored_corpus_and_its_own_code(clean, tmp_path):
    folder = clean.folder / "data/raw/jsonl"
    folder.mkdir(parents=True)
    (folder / "notes.jsonl").write_text(json.dumps(NOTE) + "\n")
    elsewhere = broken_package(tmp_path / "elsewhere")
    done = clean.run("dvc", "exp", "run", "--temp", "-S", "corpus=jsonl", "extract", PYTHONPATH=elsewhere)
    assert set(RAN.findall(done.stdout)) == {"check", "extract"}
    name = clean.run("dvc", "exp", "list", "--name-only").stdout.split()[-1]
    clean.run("dvc", "exp", "apply", name)
    extracted = json.loads(clean.read("metrics/extract.json"))
    assert extracted["corpus"] == "jsonl" and extracted["codes"]["icd10cm"]["assigned"] == 1
    assert clean.repro("extract") == set(), "the files are the workspace's"
    assert (folder / "notes.jsonl").is_file() and not (folder / "notes.jsonl").is_symlink()


def test_stages_run_the_code_of_their_project_not_the_installed_one(clean, tmp_path):
    page = "src/medcode/report/page.py"
    clean.write(page, clean.text(page).replace("this page holds no text", "this page has no text"))
    done = clean.run("dvc", "repro", PYTHONPATH=broken_package(tmp_path / "elsewhere"))
    assert set(RAN.findall(done.stdout)) == {"check", "report"}


def test_a_clone_pulls_no_data_with_text(clean, tmp_path):
    remote = tmp_path / "remote"
    clean.run("dvc", "remote", "add", "--default", "here", str(remote))
    clean.commit()
    clean.run("dvc", "push")
    clean.run("git", "clone", "--quiet", str(clean.folder), str(tmp_path / "clone"))
    clone = Project.at(tmp_path / "clone")
    clone.run("dvc", "pull", "--allow-missing")
    assert (clone.folder / "data/code/train.json").is_file() and (clone.folder / "data/reference/gem.parquet").is_file()
    for name in ("data/extracted", "data/tokens", "data/inputs", "models/trained", "models/current"):
        assert not [path for path in (clone.folder / name).rglob("*") if path.is_file()], name
    done = clone.run("dvc", "repro", "--dry", "--allow-missing")
    assert not RAN.findall(done.stdout)
