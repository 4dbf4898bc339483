"""The workflow on each type of corpus, split and table of codes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from workflow import FROM_EXTRACT, OUTSIDE_REPORT, STAGES, Project

pytestmark = pytest.mark.workflow


def notes_of_a_hospital(number: int) -> list[dict]:
    codes = [("icd10cm", "I10", "hypertension"), ("icd10cm", "E11.9", "diabetes"), ("icd10pcs", "5A1D70Z", "dialysis")]
    lines = []
    for k in range(number):
        chosen = [code for i, code in enumerate(codes) if (k >> i) & 1 or k % 5 == i]
        text = "Admitted with " + " and ".join(word for _, _, word in chosen) + f". Bed {k}.\nStable at discharge."
        lines.append(
            {
                "admission_id": f"adm-{k}",
                "patient_id": k // 2,
                "text": text,
                "codes": [{"system": system, "code": code} for system, code, _ in chosen],
            }
        )
    return lines


@pytest.mark.slow
def test_a_custom_corpus_runs_from_jsonl(tmp_path):
    project = Project(tmp_path / "medcode", {"corpus": "jsonl", "label_set": "full"})
    folder = project.folder / "data/raw/jsonl"
    folder.mkdir(parents=True)
    (folder / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in notes_of_a_hospital(120)))
    assert project.repro("report") == STAGES - {"synthesize", "label_set@top50", "ccs@top50"} - OUTSIDE_REPORT
    measured = json.loads(project.read("metrics/test.json"))
    assert measured["icd"]["counts"]["labels"] == 3


def test_a_mistake_in_a_custom_corpus_names_file_and_line(tmp_path):
    project = Project(tmp_path / "medcode", {"corpus": "jsonl"})
    folder = project.folder / "data/raw/jsonl"
    folder.mkdir(parents=True)
    lines = notes_of_a_hospital(3)
    del lines[1]["text"]
    (folder / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = project.run("dvc", "repro", "extract", check=False)
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "notes.jsonl" in line and "2" in line and "text" in line
    assert not (project.folder / "data/extracted/notes.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "es"])
def test_codiesp_runs_from_its_official_files(shared, tmp_path, language):
    changes = {"corpus": "codiesp", "corpora": {"codiesp": {"language": language}}, "training": {"limit_batches": 4}}
    project = Project(tmp_path / "medcode", changes)
    source = ("--from", str(shared / "corpora/codiesp"))
    project.run("python", "-m", "medcode", "fetch", "codiesp", *source, "--to", "data/raw/codiesp")
    assert project.repro("report") == STAGES - {"synthesize", "ccs@full"} - OUTSIDE_REPORT
    extracted = json.loads(project.read("metrics/extract.json"))
    assert extracted["codes"]["icd10cm"] == {"assigned": 11_158, "distinct": 2_557}
    spans = pq.read_table(project.folder / "data/extracted/spans.parquet")
    assert spans.num_rows == {"en": 0, "es": 22_402}[language]
    split = json.loads(project.read("metrics/splits/full.json"))
    assert [split[name]["documents"] for name in ("train", "dev", "test")] == [500, 250, 250]


@pytest.mark.slow
def test_cantemist_runs_although_its_codes_have_no_descriptions(shared, tmp_path):
    changes = {"corpus": "cantemist", "label_set": "full", "recipe": "small", "training": {"limit_batches": 4}}
    project = Project(tmp_path / "medcode", changes)
    source = ("--from", str(shared / "corpora/cantemist"))
    project.run("python", "-m", "medcode", "fetch", "cantemist", *source, "--to", "data/raw/cantemist")
    assert project.repro("report") == STAGES - {"synthesize", "label_set@top50", "ccs@top50"} - OUTSIDE_REPORT
    split = json.loads(project.read("metrics/splits/full.json"))
    assert [split[name]["documents"] for name in ("train", "test")] == [501, 300]
    assert split["labels"] == split["codes_without_description"] == 493
    assert json.loads(project.read("metrics/ccs/full.json"))["has_ccs"] is False


@pytest.mark.slow
def test_official_files_replace_the_tables_of_the_package(clean, shared):
    clean.set({"reference": {"source": "official"}})
    done = clean.run("dvc", "repro", "ccs", check=False)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "reference/official/files: there is no" in line and "`make reference`" in line
    source = ("--from", str(shared / "reference"))
    clean.run("python", "-m", "medcode", "fetch", "reference", *source, "--to", "reference/official/files")
    assert clean.repro("ccs", "gem") >= {"reference", "ccs@full", "gem"}
    measured = json.loads(clean.read("metrics/ccs/full.json"))["systems"]
    assert {system: counts["table"] for system, counts in measured.items()} == {
        "icd9cm": "official",
        "icd9proc": "official",
    }
    assert measured["icd9proc"]["codes_unmapped"] == 0


@pytest.mark.slow
def test_the_workflow_runs_on_mimic4_tables(clean):
    ran = clean.experiment("corpus=synthetic-mimic4")
    assert ran == {"check", *FROM_EXTRACT}
    extracted = json.loads(clean.read("metrics/extract.json"))
    assert {"icd9cm", "icd9proc", "icd10cm", "icd10pcs"} == set(extracted["codes"])


@pytest.mark.slow
def test_published_lists_are_followed(clean, tmp_path):
    admissions = pq.read_table(clean.folder / "data/extracted/notes.parquet").to_pandas()
    patients = admissions["patient_id"].map({p: i for i, p in enumerate(admissions["patient_id"].unique())})
    split = (patients % 3).map({0: "train", 1: "dev", 2: "test"})
    for name in ("train", "dev", "test"):
        ids = admissions.loc[split == name, "admission_id"].tolist()
        (tmp_path / f"{name}_full_hadm_ids.csv").write_text("\n".join([*ids, f"9{len(ids)}999999"]))
        (tmp_path / f"{name}_50_hadm_ids.csv").write_text("\n".join(ids[::2]))
    lists = ("python", "-m", "medcode", "splits", "caml", "--from", str(tmp_path))
    clean.run(*lists, "--to", "data/splits-published/caml")
    assert clean.experiment("split.published=caml") >= {"split", "label_set@top50", "train"}
    splits = json.loads(clean.read("metrics/splits/splits.json"))
    assert (splits["source"], splits["published"]["not_in_corpus"]["all"]) == ("caml", 3)
    fifty = json.loads(clean.read("metrics/splits/top50.json"))
    assert fifty["train"]["documents"] < 0.6 * splits["train"]["documents"]
    shown = clean.run("python", "-m", "medcode", "corpus").stdout
    assert "Words per document" in shown and f"{fifty['train']['documents']}" in shown
