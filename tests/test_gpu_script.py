"""The script of GPU tests and benchmarks: failed parts, and every part on a CPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

LETTERS = "abcdefg"


@pytest.fixture(scope="module")
def script(root):
    """The module behind benchmarks/gpu.sh."""
    specification = importlib.util.spec_from_file_location("gpu_script", root / "benchmarks/gpu.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["gpu_script"] = module  # its dataclass looks there
    specification.loader.exec_module(module)
    yield module
    del sys.modules["gpu_script"]


@pytest.fixture
def run_script(script, monkeypatch, tmp_path, capsys):
    """Run the script on the given parts, each with one or more programs; return its exit code and report."""
    monkeypatch.setattr(script, "machine", lambda: {"card": "none"})
    monkeypatch.setattr(script, "RESERVE", 2)

    def run(*arguments, **programs):
        commands = {letter: (program,) if isinstance(program, str) else program for letter, program in programs.items()}
        parts = [script.Part(letter, f"part {letter}", 10, program, program) for letter, program in commands.items()]
        monkeypatch.setattr(script, "PARTS", tuple(parts))
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as ended:
            script.main()
        report = json.loads((tmp_path / "gpu-report.json").read_text()) if ended.value.code != 2 else None
        return ended.value.code, report, capsys.readouterr().out

    return run


def printing(text):
    return f'-c "print({text!r})"'


TABLE = printing("words\n| a | b |\n|---|---|\n| 1 | 2 |\nnote: something\n| 3 | 4 |")


def test_a_failed_or_slow_part_stops_no_other(run_script):
    code, report, _ = run_script("--minutes", "0.2", a='-c "1 / 0"', b='-c "import time; time.sleep(60)"', c=TABLE)
    assert code == 1
    failed, late, fine = (report["parts"][letter]["commands"][0] for letter in "abc")
    assert failed["exit_code"] == 1 and not failed["timed_out"] and "ZeroDivisionError" in failed["tail"]
    assert late["timed_out"] and late["seconds"] < 12
    assert fine["exit_code"] == 0
    assert fine["tables"] == [["| a | b |", "|---|---|", "| 1 | 2 |", "| 3 | 4 |"]]


def test_the_report_is_written_after_every_command(run_script, tmp_path):
    read = f"-c \"print(open('{tmp_path}/gpu-report.md').read().upper())\""
    code, report, _ = run_script(a=TABLE, b=read)
    assert code == 0
    assert "| 1 | 2 |" in report["parts"]["b"]["commands"][0]["tail"]


def test_a_second_run_repeats_failed_parts(run_script):
    run_script(a=TABLE, b='-c "1 / 0"')
    code, report, out = run_script(a='-c "1 / 0"', b=TABLE)
    assert code == 0 and "(a)" not in out.split("# GPU report")[0]
    assert [len(report["parts"][letter]["commands"][0]["tables"]) for letter in "ab"] == [1, 1]


def test_only_runs_the_parts_that_it_names(run_script):
    run_script(a=TABLE, b=TABLE)
    code, report, _ = run_script("--only", "b", a='-c "1 / 0"', b=printing("again"))
    assert code == 0
    assert report["parts"]["a"]["commands"][0]["tables"] and not report["parts"]["b"]["commands"][0]["tables"]


def test_an_unknown_part_is_refused(run_script, capsys):
    code, _, _ = run_script("--only", "a,x", a=TABLE)
    assert code == 2


def test_a_long_command_leaves_time_for_the_next_one(run_script):
    _, report, _ = run_script("--minutes", "0.2", a=('-c "import time; time.sleep(60)"', TABLE))
    late, fine = report["parts"]["a"]["commands"]
    assert late["timed_out"] and fine["exit_code"] == 0


@pytest.mark.slow
def test_every_part_runs_on_a_cpu(audited_project, root, tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "OUT": str(tmp_path / "report"), "OMP_NUM_THREADS": "1"}
    project = audited_project.copy(tmp_path / "medcode")
    for folder in ("tests", "pyproject.toml"):
        (project.folder / folder).symlink_to(root / folder)
    command = ["sh", "benchmarks/gpu.sh", "--device", "cpu", "--tiny", "--minutes", "20"]
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads((tmp_path / "report/gpu-report.json").read_text())
    assert set(report["parts"]) == set(LETTERS)
    for letter in set(LETTERS) - {"a"}:
        for result in report["parts"][letter]["commands"]:
            rows = [row for table in result["tables"] for row in table[2:]]
            assert rows and not any("Error" in row or "ended with" in row for row in rows), (letter, rows)
