"""The hook that keeps notes, and files derived from them, out of the repository."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

SCRIPT = "tools/refuse_notes.py"
NOTE = '{"admission_id": "17", "text": "Admitted with", "codes": []}'


@pytest.fixture
def refuse(root, tmp_path):
    """Run the script on one file in a new folder; return exit code and standard error."""

    def run(name: str, content: str = "") -> tuple[int, str]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        command = [sys.executable, str(root / SCRIPT), name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("data/raw/mimic3/readme.txt", "", "data/ stays on this machine"),
        ("data/splits-published/caml/train_full_hadm_ids.csv", "", "data/ stays on this machine"),
        ("models/current/labels.json", "", "models/ stays on this machine"),
        ("tests/files/diagnoses_icd.csv.gz", "", "the name of a table of a hospital"),
        ("NOTEEVENTS.csv", "", "the name of a table of a hospital"),
        ("note/discharge.csv", "", "the name of a table of a hospital"),
        ("studies/notes-2.parquet", "", "the name of a table of notes"),
        ("tests/files/notes.csv", "", "the name of a table of notes"),
        ("export/DocumentReference.000.ndjson", "", "the name of a FHIR export"),
        ("export/Condition.ndjson.gz", "", "the name of a FHIR export"),
        ("ward.review.jsonl", '{"note": "17"}', "the name of a ledger of a review"),
        ("studies/model.safetensors", "", "the name of weights of a model"),
        ("state.pt", "", "the name of weights of a model"),
        ("mine.jsonl", f'{{"words": 3}}\n{NOTE}\n', "a record in it has a field 'text'"),
        ("cut-short.jsonl", NOTE[:30], "a record in it has a field 'text'"),
        ("mine.jsonl.gz", "", "a compressed file of records"),
        ("Patient.ndjson.gz", "", "a compressed file of records"),
    ],
)
def test_files_that_may_hold_notes_are_refused_in_one_line(refuse, name, content, reason):
    code, message = refuse(name, content)
    assert code == 1 and message.count("\n") == 1
    assert message.startswith(f"error: {name}: not to be committed: ") and reason in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data/splits-published/none/.gitkeep", ""),
        ("src/medcode/codes/hierarchy.csv", "code,parent\n"),
        ("src/medcode/text/notes.py", NOTE),
        ("log.jsonl", '{"epoch": 1, "loss": 0.5}\n["text"]\n'),
        ("reference/package/descriptions.parquet", ""),
        ("database/notes.md", "text"),
    ],
)
def test_files_without_notes_are_accepted(refuse, name, content):
    assert refuse(name, content) == (0, "")


def test_all_committed_files_are_accepted(root):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone")
    files = [name for name in listed.stdout.split("\0") if name and (root / name).exists()]
    command = [sys.executable, SCRIPT, *files]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert len(files) > 100 and (done.returncode, done.stderr) == (0, "")


def test_pre_commit_runs_the_hook_on_every_file(root):
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    [hook] = [hook for hook in hooks if hook["id"] == "refuse-notes"]
    assert hook["entry"] == f"python {SCRIPT}" and not {"files", "types", "types_or", "exclude"} & hook.keys()
