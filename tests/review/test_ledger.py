"""The ledger: nothing that was answered is lost, nothing half-written is read, and one process writes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.errors import UserError
from medcode.review import ledger as ledger_module
from medcode.review.decisions import CodeDecision, State
from medcode.review.ledger import HEADER, Ledger, read, text_digest

I10 = CodeDecision(system="icd10cm", code="I10", probability=0.91)
E119 = CodeDecision(system="icd10cm", code="E11.9")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def written(path) -> Ledger:
    ledger = Ledger(path, "digest")
    ledger.decide("n0", "accept", [I10])
    ledger.decide("n0", "add", [E119])
    ledger.decide("n0", "done")
    return ledger


def test_a_ledger_goes_on_where_it_was(path):
    written(path).close()
    again = Ledger(path, "other")
    again.decide("n1", "reject", [I10])
    again.close()
    assert read(path).of("n0").codes == [("icd10cm", "I10"), ("icd10cm", "E11.9")]
    assert read(path).of("n0").done and not read(path).of("n1").done
    first, *lines = map(json.loads, path.read_text().splitlines())
    assert first == json.loads(HEADER) and [line["number"] for line in lines] == [1, 2, 3, 4]
    assert [line["model"] for line in lines] == ["digest"] * 3 + ["other"]
    assert lines[0]["codes"] == [{"system": "icd10cm", "code": "I10", "probability": 0.91}]
    assert path.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[0]["time"])


def test_a_line_has_a_digest_of_the_text_but_no_word_of_it(path):
    ledger = Ledger(path, "digest")
    ledger.decide("n0", "accept", [I10], "Fever \ud83d and chills")
    ledger.close()
    assert read(path).of("n0").text == text_digest("Fever \ud83d and chills") != text_digest("Fever and chills")
    assert b"ever" not in path.read_bytes()


def test_a_torn_last_line_is_cut_off_at_every_byte(path):
    written(path).close()
    content = path.read_bytes()
    start = content.rindex(b"\n", 0, -1) + 1
    for length in range(start + 1, len(content)):
        path.write_bytes(content[:length])
        assert not read(path).of("n0").done and len(path.read_bytes()) == length
        ledger = Ledger(path, "digest")
        assert ledger.cut == length - start and path.read_bytes() == content[:start]
        ledger.close()


def test_a_torn_first_line_begins_anew(path):
    for length in range(len(HEADER)):
        path.write_bytes(HEADER[:length])
        ledger = Ledger(path, "digest")
        ledger.close()
        assert path.read_bytes() == HEADER


@pytest.mark.parametrize("content", [b"not a ledger", b'{"text": "fever"}\n', b"\n", b"\0" * 40])
def test_another_file_is_refused_and_stays_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"no ledger of a review; name another file with --ledger"):
        Ledger(path, "digest")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines[:1] + lines[2:], "a line before it is missing"),
        (lambda lines: [lines[0], b"{}\n", *lines[2:]], "not as a review writes it"),
        (lambda lines: [lines[0], lines[1].replace(b"accept", b"accepd"), *lines[2:]], "not as a review writes it"),
        (lambda lines: [lines[0], lines[1].replace(b'"accept"', b'"undo","undoes":7')], "it undoes another line"),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_changed(path, change, reason):
    written(path).close()
    content = b"".join(change(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"line 2: damaged \({reason}"):
        Ledger(path, "digest")
    assert path.read_bytes() == content


def test_undo_takes_back_one_decision_after_the_other_also_after_a_restart(path):
    ledger = written(path)
    ledger.decide("n1", "reject", [I10, E119])
    assert ledger.undo() == "n1" and ledger.state.of("n1").verdicts == {}
    assert ledger.undo() == "n0" and not ledger.state.of("n0").done
    ledger.close()
    again = Ledger(path, "digest")
    assert again.undo() == "n0" and again.state.of("n0").codes == [("icd10cm", "I10")]
    again.decide("n0", "reject", [I10])
    assert again.undo() == "n0" and again.state.of("n0").codes == [("icd10cm", "I10")]
    assert again.undo() == "n0" and again.undo() is None
    again.close()
    assert read(path).last is None


ACTIONS = st.sampled_from(["accept", "reject", "add", "done", "reopen", "undo"])


@given(st.lists(st.tuples(ACTIONS, st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_undo_leads_through_the_states_backwards(steps):
    def shown(state: State) -> dict:
        return {note: (dict(of.verdicts), of.done) for note, of in state.notes.items() if of.verdicts or of.done}

    state, before = State(), []
    for number, (action, note, code) in enumerate(steps, start=1):
        if action != "undo":
            before.append(shown(state))
            state.decide(number, f"n{note}", action, [CodeDecision(system="icd10cm", code=f"A0{code}")])
        elif state.last is not None:
            state.undo(state.last.number)
            assert shown(state) == before.pop()


def test_a_decision_that_could_not_be_synced_is_not_answered_and_leaves_nothing(path, monkeypatch):
    ledger, content = written(path), path.read_bytes()

    def full(descriptor: int) -> None:
        assert path.read_bytes() != content, "it is written before it is synced"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as changed:
        changed.setattr(ledger_module.os, "fsync", full)
        with pytest.raises(UserError, match="No space left on device"):
            ledger.decide("n1", "accept", [I10])
    assert path.read_bytes() == content and ledger.state.of("n1").codes == []
    ledger.decide("n1", "accept", [I10])
    ledger.close()
    assert read(path).of("n1").codes == [("icd10cm", "I10")]


WRITER = """
import sys
from pathlib import Path
from medcode.review.decisions import CodeDecision
from medcode.review.ledger import Ledger
ledger, number = Ledger(Path(sys.argv[1]), "digest"), 0
while True:
    ledger.decide(f"n{number}", "accept", [CodeDecision(system="icd10cm", code="I10", probability=0.5)] * 50)
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("answers", [1, 7, 40])
def test_a_process_that_is_killed_while_it_writes_loses_nothing_that_it_answered(path, answers):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    for _ in range(answers):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    answered = answers + len(process.stdout.read().splitlines())
    process.wait()
    ledger = Ledger(path, "digest")  # the lock of the killed process is gone
    notes = list(ledger.state.notes)
    assert notes == [f"n{number}" for number in range(len(notes))] and answered <= len(notes) <= answered + 1
    ledger.close()


def test_two_processes_cannot_write_one_ledger(path):
    ledger = written(path)
    with pytest.raises(UserError, match="another review has this ledger open"):
        Ledger(path, "digest")
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    program = (
        "import sys; from pathlib import Path; from medcode.review.ledger import Ledger; Ledger(Path(sys.argv[1]), '')"
    )
    done = subprocess.run([sys.executable, "-c", program, str(link)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "another review has this ledger open" in done.stderr
    ledger.close()
    Ledger(path, "digest").close()
    with pytest.raises(UserError, match="is closed"):
        ledger.decide("n1", "done")


def test_a_missing_ledger_is_not_read(path):
    with pytest.raises(UserError, match="no such ledger"):
        read(path)
