"""The command `review`: its server as a process that is killed, its export, and its refusals."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import note_models
import pytest

from medcode.cli.review import default_ledger
from medcode.errors import UserError
from medcode.review.decisions import CodeDecision
from medcode.review.ledger import Ledger

SECRET = "harbormaster"


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    lines = [{"name": f"n{number}", "text": f"{note_models.note(number)} {SECRET}"} for number in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Server:
    """A review in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "medcode", "review", *map(str, arguments)]
        # A shell's job in the background ignores SIGINT, and so would the server of tests that are one.
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed)
        self.address = self.process.stdout.readline().strip().removeprefix("review: ")
        token = self.address.split("/")[3] if self.address else ""
        self.client = httpx2.Client(headers={"X-Medcode-Token": token}, base_url=self.address.partition(token)[0])

    def end(self, sent: signal.Signals) -> tuple[int, str]:
        """Send a signal; return the exit code and all that was printed after the address."""
        os.kill(self.process.pid, sent)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err


def test_a_server_that_is_killed_goes_on_where_it_was(notes, recipe, tmp_path, command):
    model = note_models.saved(tmp_path / "model", recipe)
    arguments = (notes, "--id-column", "name", "--model", model, "--top", 2)
    server = Server(*arguments)
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", server.address)
        assert server.client.get("/", headers={"X-Medcode-Token": ""}).status_code == 403
        codes = server.client.get("/api/notes/1").json()["codes"]
        body = {"action": "accept", "codes": [{"system": code["system"], "code": code["code"]} for code in codes]}
        assert server.client.post("/api/notes/1/decisions", json=body).status_code == 200
        assert server.client.post("/api/notes/1/decisions", json={"action": "done"}).json()["done"]
        assert server.client.post("/predict", json={"texts": [SECRET * 3]}).status_code == 200
        code, _, err = command("review", *arguments)
        assert code == 2 and err.count("\n") == 1 and "another review has this ledger open" in err
    finally:
        code, printed = server.end(signal.SIGKILL)
    assert code == -signal.SIGKILL and SECRET not in printed and "GET" not in printed
    ledger = tmp_path / "notes.review.jsonl"
    with open(ledger, "ab") as file:
        file.write(b'{"number":3,"time"')
    server = Server(*arguments)
    try:
        assert server.client.get("/api/notes/1").json()["done"]
    finally:
        code, printed = server.end(signal.SIGINT)
    assert code == 130 and "the last line was not written to its end; it is removed" in printed
    assert SECRET not in printed and SECRET not in ledger.read_text() and "Traceback" not in printed


@pytest.fixture
def reviewed(notes, tmp_path):
    """Notes with a ledger in which one is done."""
    ledger = Ledger(tmp_path / "notes.review.jsonl", "digest")
    ledger.decide("n2", "accept", [CodeDecision(system="icd9cm", code="486")])
    ledger.decide("n2", "done")
    ledger.close()
    return notes


def test_a_ledger_is_exported(command, reviewed, tmp_path):
    output = tmp_path / "out/reviewed.jsonl"
    arguments = ("review", reviewed, "--id-column", "name", "--export", output)
    code, out, err = command(*arguments)
    assert (code, out) == (0, f"{output}: 1 notes\n") and "each note counts as a patient of its own" in err
    (line,) = map(json.loads, output.read_text().splitlines())
    assert (
        line["admission_id"] == "n2"
        and line["codes"] == [{"system": "icd9cm", "code": "486"}]
        and SECRET in line["text"]
    )
    code, _, err = command(*arguments)
    assert code == 2 and "exists; replace it with --overwrite" in err
    assert command(*arguments, "--overwrite", "--patient-column", "name")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "70000"), "--port: from 0 to 65535, found 70000"),
        (("--threshold", "2"), "--threshold: a probability from 0 to 1, found 2.0"),
        (("--top", "0"), "--top: at least 1, found 0"),
        (("--overwrite",), "--patient-column and --overwrite: are for --export"),
        (("--id-column", "text"), "--id-column: text is the column of the text"),
        (("--id-column", "nam"), "has no 'nam' among its keys"),
        (("--model", "nowhere"), "--model: there is neither a folder nor a kept model nowhere"),
        (("--ledger", "NOTES"), "--ledger: NOTES is among the notes; write it elsewhere"),
        (("--ledger", "none.jsonl", "--export", "x.jsonl"), "none.jsonl: no such ledger"),
        (("--export", "NOTES"), "--export: NOTES is among the notes; write it elsewhere"),
        (("NOTES",), "--ledger: name the file of the decisions, since NOTES are several files"),
    ],
)
def test_a_mistake_is_one_line(command, notes, arguments, message):
    arguments = [str(notes) if argument == "NOTES" else argument for argument in arguments]
    code, out, err = command("review", notes, *arguments)
    assert (code, out) == (2, "") and err.count("\n") == 1 and message.replace("NOTES is", f"{notes} is") in err


@pytest.mark.parametrize(
    ("notes", "ledger"),
    [
        ("ward.a.csv", "ward.a.review.jsonl"),
        ("ward.b.csv.gz", "ward.b.review.jsonl"),
        ("Ward.JSONL", "Ward.review.jsonl"),
        ("2026.11.28", "2026.11.review.jsonl"),
        ("of.ward", "of.ward.review.jsonl"),
        ("of.ward/../of.ward/.", "of.ward.review.jsonl"),
    ],
)
def test_files_of_other_names_have_ledgers_of_their_own(tmp_path, monkeypatch, notes, ledger):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "of.ward").mkdir()
    assert default_ledger([notes]) == Path(ledger)


def test_beside_the_root_there_is_no_ledger():
    with pytest.raises(UserError, match="--ledger: name the file of the decisions, since nothing is beside /"):
        default_ledger(["/"])


@pytest.mark.parametrize("module", ["fastapi", "uvicorn"])
def test_a_missing_package_is_named_before_anything_is_done(command, notes, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = command("review", notes, "--model", "nowhere")
    assert (code, out) == (2, "")
    assert (
        err == f"error: review: the Python module '{module}' is not installed; pip install 'medcode[review]' has it\n"
    )
    assert [path.name for path in notes.parent.iterdir()] == ["notes.jsonl"]


def test_a_port_that_is_taken_is_one_line(command, notes, recipe, tmp_path):
    import socket

    model = note_models.saved(tmp_path / "model", recipe)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = command("review", notes, "--id-column", "name", "--model", model, "--port", port)
    assert code == 2 and f"--port: {port} cannot be used (Address already in use)" in err and err.count("\n") == 1
