"""The stages from raw files to splits, with their options from dvc.yaml, on a corpus of a few lines."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
import stage_commands
import yaml
from stage_commands import Done, in_this_process

from medcode import io
from medcode.text.tokens import TokenizedWords

SECRET = "lives at the harbor"
EXTRACT = {"raw": "raw", "notes": "notes.parquet", "codes": "codes.parquet"}
EXTRACT |= {"spans": "spans.parquet", "metrics": "extract.json"}
TABLES = ("descriptions", "synonyms", "ccs", "gem", "hierarchy")


class Workplace:
    """Runs stages on files in a temporary folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        (folder / "raw").mkdir()
        self.params("jsonl")

    def params(self, corpus: str) -> None:
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        for own in ("titles", "synonyms"):
            params["reference"][own] = str(self.root / params["reference"][own])
        (self.folder / "params.yaml").write_text(yaml.safe_dump({**params, "corpus": corpus}, sort_keys=False))

    def corpus(self, admissions: int) -> None:
        lines = [
            {
                "admission_id": f"a{i}",
                "patient_id": f"p{i // 2}",
                "text": f"{SECRET} {i} word{i % 7}",
                "codes": [{"system": "icd10cm", "code": code} for code in ("I10", f"E11.{i % 9}")],
                "spans": [{"system": "icd10cm", "code": "I10", "start": 0, "end": 5}] * (i % 2),
            }
            for i in range(admissions)
        ]
        (self.folder / "raw" / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(self, stage: str, **options: str) -> Done:
        return in_this_process(stage, self.options(**options), self.folder)

    @staticmethod
    def options(**values: str) -> list[str]:
        return stage_commands.options(params="params.yaml", **values)

    def extract(self) -> Done:
        return self.run("extract", **EXTRACT)

    def from_raw_files_to_splits(self) -> dict[str, tuple[str, list[str]]]:
        """The stages in their order: {name: (stage, options)}."""
        procedures = str(self.root / "reference" / "package" / "procedure_ccs.csv")
        made = {name: f"{name}.parquet" for name in TABLES}
        split = {"splits": "splits.parquet", "codes": "codes.parquet", "descriptions": "descriptions.parquet"}
        full = "full/labels.parquet"
        return {
            "reference": (
                "reference",
                self.options(procedures=procedures, official="none", metrics="reference.json", **made),
            ),
            "extract": ("extract", self.options(**EXTRACT)),
            "tokenize": ("tokenize_words", self.options(notes="notes.parquet", out="tokens", metrics="tokenize.json")),
            "split": (
                "split",
                self.options(
                    notes="notes.parquet", codes="codes.parquet", published="none",
                    out="splits.parquet", metrics="splits.json",
                ),
            ),
            **{
                name: ("label_set", self.options(label_set=name, **split, out=name, metrics=f"{name}.json"))
                for name in ("full", "icd9", "top50")
            },
            "corpus_stats": (
                "corpus_stats",
                self.options(tokens="tokens", split="full", codes="codes.parquet", metrics="corpus.json"),
            ),
            "ccs": (
                "ccs",
                self.options(
                    label_set="full", labels=full, ccs="ccs.parquet", out="categories.parquet", metrics="ccs.json"
                ),
            ),
            "gem": ("gem", self.options(labels=full, gem="gem.parquet", out="edges.parquet", metrics="gem.json")),
            "coverage": (
                "coverage",
                self.options(
                    codes="codes.parquet", descriptions="descriptions.parquet", ccs="ccs.parquet", gem="gem.parquet",
                    metrics="coverage.json",
                ),
            ),
        }  # fmt: skip


@pytest.fixture
def work(root, tmp_path) -> Workplace:
    return Workplace(root, tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_stages_from_raw_files_to_splits_are_reproducible(work):
    work.corpus(60)
    commands, runs = work.from_raw_files_to_splits(), []
    # The tables of all codes rest on no corpus, and take longer than the rest: the next test makes them again.
    again = {name: command for name, command in commands.items() if name != "reference"}
    for done in (
        stage_commands.in_another_process(commands, work.folder, PYTHONHASHSEED="1"),
        {name: in_this_process(*command, work.folder) for name, command in again.items()},
    ):
        assert not any(run.returncode for run in done.values()), {name: run.stderr for name, run in done.items()}
        runs.append(contents(work.folder))
    assert runs[0] == runs[1]
    assert "there are 10 codes only" in done["top50"].stderr
    assert done["icd9"].stderr == "note: icd9 is empty: label set icd9: the corpus has no code of icd9\n"

    spans = io.read_table(work.folder / "spans.parquet").to_pylist()
    assert [row["admission_id"] for row in spans] == [f"a{i}" for i in range(1, 60, 2)]
    assert {(row["code"], row["span"], row["start"], row["end"]) for row in spans} == {("I10", 0, 0, 5)}
    tokens = TokenizedWords.read(work.folder / "tokens")
    assert tokens.notes.admissions == io.read_table(work.folder / "notes.parquet")["admission_id"].to_pylist()
    assert tokens.words(3) == ["lives", "at", "the", "harbor", "word3"]
    documents = io.read_table(work.folder / "full" / "documents.parquet")
    assert documents.column_names == ["admission_id", "patient_id", "split"]
    assert set(documents["split"].to_pylist()) == {"train", "dev", "test"}
    labels = io.read_table(work.folder / "top50" / "labels.parquet").to_pylist()
    assert labels[0]["code"] == "I10"
    assert labels[0]["description"] == "Essential (primary) hypertension"
    metrics = list(work.folder.glob("*.json"))
    assert sorted(path.stem for path in metrics) == [
        "ccs", "corpus", "coverage", "extract", "full", "gem", "icd9", "reference", "splits", "tokenize", "top50",
    ]  # fmt: skip
    categories = io.read_table(work.folder / "categories.parquet").to_pylist()
    assert categories[0] == {"system": "icd10cm", "code": "I10", "category": "CIR007", "category_description": ""}
    assert io.read_json(work.folder / "ccs.json")["systems"]["icd10cm"]["codes_mapped"] == len(categories)
    assert io.read_json(work.folder / "gem.json")["codes"] == {
        "icd10cm": {"codes": 10, "with_edge": 0, "without_edge": 10}
    }
    assert io.read_json(work.folder / "coverage.json")["icd10cm"]["codes"] == 10
    assert io.read_json(work.folder / "reference.json")["descriptions"]["icd10cm"]["current"] == 74_719
    assert not any("harbor" in path.read_text() for path in metrics)


@pytest.mark.slow
def test_reference_tables_are_reproducible(work):
    commands = {"reference": work.from_raw_files_to_splits()["reference"]}
    runs = []
    for seed in ("1", "2"):
        done = stage_commands.in_another_process(commands, work.folder, PYTHONHASHSEED=seed)
        assert done == {"reference": Done(0, "")}
        runs.append({name: (work.folder / f"{name}.parquet").read_bytes() for name in TABLES})
    assert runs[0] == runs[1]


def test_an_error_is_one_line_and_leaves_existing_outputs_unchanged(work):
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


def test_what_a_corpus_lacks_with_its_options_is_said_in_one_line(work):
    work.params("codiesp")
    for split in ("train", "dev", "test"):
        folder = work.folder / "raw" / split
        (folder / "text_files_en").mkdir(parents=True)
        (folder / "text_files_en" / f"{split}.txt").write_text(SECRET)
        for track, code in (("D", "n44.8"), ("P", "0dtj")):
            (folder / f"{split}{track}.tsv").write_text(f"{split}\t{code}\n")
    line = "codiesp: spans refer to the Spanish texts, so there are none with corpora.codiesp.language: en\n"
    assert work.extract() == Done(0, line)
    assert io.read_table(work.folder / "spans.parquet").num_rows == 0


@pytest.mark.parametrize("corpus", ["table", "fhir"])
def test_a_hospitals_own_exports_reach_the_splits(work, corpus):
    work.params(corpus)
    number = 120
    (export_of_tables if corpus == "table" else export_of_fhir)(work.folder / "raw", number)
    commands = work.from_raw_files_to_splits()
    for name in ("reference", "extract", "tokenize", "split", "full", "corpus_stats"):
        assert in_this_process(*commands[name], work.folder).returncode == 0
    notes, codes = (io.read_table(work.folder / f"{name}.parquet") for name in ("notes", "codes"))
    assert notes["admission_id"].to_pylist() == [f"00{i}" for i in range(number)]
    assert notes["text"].to_pylist()[3] == f"{SECRET} 3\nword{3 % 7}"
    assert codes.num_rows == 2 * number
    splits = io.read_json(work.folder / "splits.json")
    assert sum(splits[name]["documents"] for name in ("train", "dev", "test")) == number
    assert not any("harbor" in path.read_text() for path in work.folder.glob("*.json"))


def export_of_tables(folder: Path, number: int) -> None:
    """Two notes of each admission, and two codes in one field."""
    notes = [f"00{i},{text}" for i in range(number) for text in (f"{SECRET} {i}", f"word{i % 7}")]
    codes = [f"00{i},ICD-10-CM,I10;E11.{i % 9}" for i in range(number)]
    (folder / "notes.csv").write_text("\n".join(["admission_id,text", *notes]) + "\n")
    (folder / "codes.csv").write_text("\n".join(["admission_id,system,code", *codes]) + "\n")


def export_of_fhir(folder: Path, number: int) -> None:
    """Two documents of each encounter, the later one first, and a condition of two codes."""
    documents, conditions = [], []
    for i in range(number):
        encounter = {"reference": f"Encounter/00{i}"}
        for hour, text in ((9, f"word{i % 7}"), (8, f"{SECRET} {i}")):
            attachment = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
            document = {"resourceType": "DocumentReference", "status": "current", "date": f"2180-05-07T0{hour}:00:00Z"}
            document |= {"subject": {"reference": f"Patient/{i}"}, "context": {"encounter": [encounter]}}
            documents.append(document | {"content": [{"attachment": attachment}]})
        codes = [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code} for code in ("I10", f"E11.{i % 9}")]
        conditions.append({"resourceType": "Condition", "encounter": encounter, "code": {"coding": codes}})
    for name, resources in (("DocumentReference", documents), ("Condition", conditions)):
        (folder / f"{name}.ndjson").write_text("".join(json.dumps(resource) + "\n" for resource in resources))


def test_a_missing_corpus_is_reported_in_one_line(work):
    work.params("mimic3")
    stage = [sys.executable, str(work.root / "stages" / "extract.py"), *work.options(**EXTRACT)]
    failed = subprocess.run(stage, cwd=work.folder, capture_output=True, text=True, check=False)
    assert (failed.returncode, len(failed.stderr.splitlines())) == (2, 1)
    assert "DIAGNOSES_ICD.csv.gz" in failed.stderr
