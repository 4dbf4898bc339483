"""Runs in processes of their own: killed at any moment, and over more notes than fit into memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medcode import io
from medcode.bulk import progress
from medcode.bulk.progress import folder_of


def test_a_killed_process_loses_nothing_and_writes_nothing_twice(model, jsonl, tmp_path):
    notes, output, whole = jsonl(1600), tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    arguments = ["--model", str(model), "--id-column", "name", "--save-every", "4", "--output"]
    command = [sys.executable, "-m", "medcode", "predict", str(notes), *arguments]
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    journal, done, kills = folder_of(output) / progress.JOURNAL, 0, 0
    for wanted in (1, 700):
        process = subprocess.Popen([*command, str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and done < wanted:
            time.sleep(0.01)
            done = io.read_json(journal)["counts"]["notes"] if journal.exists() else 0
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills == 2 and not output.exists()
    last = subprocess.run([*command, str(output)], check=True, capture_output=True, text=True)
    assert "note: goes on after " in last.stderr and last.stdout == f"{output}: 1,600 notes\n"
    assert output.read_bytes() == whole.read_bytes() and not folder_of(output).exists()


MEMORY = """
import sys
from pathlib import Path

import medcode
from medcode.bulk.rows import Columns
from medcode.bulk.run import Run
from medcode.bulk.sources import Sources

model, notes, output = sys.argv[1:]
Run(medcode.load(model), Sources([notes], Columns())).to_file(Path(output), {})
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)  # not ru_maxrss, which has the peak of the process that started this one
"""


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_the_memory_does_not_grow_with_the_number_of_notes(model, tmp_path, ending):
    """All notes of the second file are 80 MB of text."""
    peaks = []
    for n in (1_000, 20_000):
        notes = tmp_path / f"notes{n}{ending}"
        texts = (f"fever and chills, visit {number}. " * 130 for number in range(n))
        if ending == ".jsonl":
            with open(notes, "w") as file:
                file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        else:
            pq.write_table(pa.table({"text": list(texts)}), notes)
        command = [sys.executable, "-c", MEMORY, str(model), str(notes), str(tmp_path / f"out{n}{ending}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 30, peaks
