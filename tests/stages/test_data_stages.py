"""The stages from raw files to splits, as DVC runs them, on a corpus of a few lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from medcode import io
from medcode.text.tokens import Tokens

SECRET = "lives at the harbour"


class Workplace:
    """Runs stages on files in a temporary folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        (folder / "raw").mkdir()
        self.params("jsonl")

    def params(self, corpus: str) -> None:
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        (self.folder / "params.yaml").write_text(yaml.safe_dump({**params, "corpus": corpus}, sort_keys=False))

    def corpus(self, admissions: int) -> None:
        lines = [
            {
                "admission_id": f"a{i}",
                "patient_id": f"p{i // 2}",
                "text": f"{SECRET} {i} word{i % 7}",
                "codes": [{"system": "icd10cm", "code": code} for code in ("I10", f"E11.{i % 9}")],
            }
            for i in range(admissions)
        ]
        (self.folder / "raw" / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(self, stage: str, **options: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(self.root / "stages" / f"{stage}.py"), "--params", "params.yaml"]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", value]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def extract(self) -> subprocess.CompletedProcess:
        return self.run("extract", raw="raw", notes="notes.parquet", codes="codes.parquet", metrics="extract.json")

    def reference(self) -> subprocess.CompletedProcess:
        names = ("titles", "ccs", "gem", "hierarchy")
        known = str(self.root / "reference" / "package" / "procedure_ccs.csv")
        return self.run("reference", procedures=known, official="none", **{name: f"{name}.parquet" for name in names})

    def split(self, label_set: str) -> subprocess.CompletedProcess:
        paths = {"notes": "notes.parquet", "codes": "codes.parquet", "titles": "titles.parquet"}
        return self.run("split", label_set=label_set, **paths, out=label_set, metrics=f"{label_set}.json")


@pytest.fixture
def work(root, tmp_path) -> Workplace:
    return Workplace(root, tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_from_raw_files_to_splits_and_the_same_bytes_again(work):
    work.corpus(60)
    runs = []
    for _ in range(2):
        done = [
            work.reference(),
            work.extract(),
            work.run("tokens", notes="notes.parquet", out="tokens", metrics="tokenize.json"),
            work.split("full"),
            work.split("top50"),
            work.run(
                "ccs",
                label_set="full",
                labels="full/labels.parquet",
                ccs="ccs.parquet",
                out="categories.parquet",
                metrics="ccs.json",
            ),
            work.run("gem", labels="full/labels.parquet", gem="gem.parquet", out="edges.parquet", metrics="gem.json"),
            work.run(
                "coverage",
                codes="codes.parquet",
                titles="titles.parquet",
                ccs="ccs.parquet",
                gem="gem.parquet",
                metrics="coverage.json",
            ),
        ]
        assert [run.returncode for run in done] == [0] * 8, [run.stderr for run in done]
        runs.append(contents(work.folder))
    assert runs[0] == runs[1]
    assert "train has 10 codes only" in done[4].stderr

    tokens = Tokens.read(work.folder / "tokens")
    assert tokens.admissions == io.read_table(work.folder / "notes.parquet")["admission_id"].to_pylist()
    assert tokens.words(3) == ["lives", "at", "the", "harbour", "word3"]
    documents = io.read_table(work.folder / "full" / "documents.parquet")
    assert documents.column_names == ["admission_id", "patient_id", "split"]
    assert set(documents["split"].to_pylist()) == {"train", "dev", "test"}
    labels = io.read_table(work.folder / "top50" / "labels.parquet").to_pylist()
    assert labels[0]["code"] == "I10"
    assert labels[0]["title"] == "Essential (primary) hypertension"
    metrics = list(work.folder.glob("*.json"))
    assert {path.stem for path in metrics} == {"extract", "full", "tokenize", "top50", "ccs", "gem", "coverage"}
    categories = io.read_table(work.folder / "categories.parquet").to_pylist()
    assert categories[0] == {"system": "icd10cm", "code": "I10", "category": "CIR007", "category_title": ""}
    assert io.read_json(work.folder / "ccs.json")["systems"]["icd10cm"]["codes_mapped"] == len(categories)
    assert io.read_json(work.folder / "gem.json")["codes"] == {
        "icd10cm": {"codes": 10, "with_edge": 0, "without_edge": 10}
    }
    assert io.read_json(work.folder / "coverage.json")["icd10cm"]["codes"] == 10
    assert not any("harbour" in path.read_text() for path in metrics)


def test_a_mistake_is_one_line_and_leaves_what_was_there(work):
    work.corpus(4)
    assert work.extract().returncode == 0
    before = contents(work.folder)
    with open(work.folder / "raw" / "notes.jsonl", "a") as file:
        file.write(json.dumps({"admission_id": "x", "text": SECRET}) + "\n")
    failed = work.extract()
    assert failed.returncode == 2
    assert failed.stderr == "error: raw/notes.jsonl: line 5: there is no 'patient_id'\n"
    after = contents(work.folder)
    assert {name: after[name] for name in before if name.endswith(("parquet", "json"))} == {
        name: content for name, content in before.items() if name.endswith(("parquet", "json"))
    }
    assert set(after) == set(before)


def test_a_corpus_that_is_not_there(work):
    work.params("mimic3")
    failed = work.extract()
    assert (failed.returncode, len(failed.stderr.splitlines())) == (2, 1)
    assert "DIAGNOSES_ICD.csv.gz" in failed.stderr
