"""DVC as a child process: effects of a signal on DVC, on running stages, and on later stages.

A stand-in for DVC has two of its properties: it ignores SIGINT while a stage runs, and continues after a failed one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from processes import live_processes

from medcode import dvc_runner

STAGE = """
    import pathlib, signal, sys, time

    def save(*_):
        time.sleep(0.3)
        pathlib.Path(sys.argv[1] + ".saved").touch()
        sys.exit(130)

    signal.signal(signal.SIGINT, save)
    pathlib.Path(sys.argv[1] + ".begun").touch()
    time.sleep(float(sys.argv[2]))
"""
STAND_IN = """
    import signal, subprocess, sys, time

    failed = 0
    for stage in sys.argv[2:]:
        process = subprocess.Popen([sys.executable, "stage.py", stage, sys.argv[1]])
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        failed += bool(process.wait())
        signal.signal(signal.SIGINT, before)
        time.sleep(1)
    sys.exit(failed)
"""
MAIN = """
    import signal, sys
    from medcode.dvc_runner import Runner
    from medcode.errors import UserError

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests run under
    commands, jobs = [command.split() for command in sys.argv[2:]], int(sys.argv[1])
    try:
        with Runner([sys.executable, "stand_in.py"]) as dvc:
            dvc.run(commands, jobs)
    except KeyboardInterrupt:
        sys.exit(130)
    except UserError as error:
        sys.exit(str(error))
"""


@pytest.fixture
def start(tmp_path, root):
    """Start a runner of the stand-in; return its process as soon as one stage per job runs."""
    for name, text in {"stage.py": STAGE, "stand_in.py": STAND_IN, "main.py": MAIN}.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    started = []

    def begin(*commands: str, jobs: int = 1) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "main.py", str(jobs), *commands],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root / "src")}, start_new_session=True,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == jobs)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def names(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{suffix}")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
def test_a_signal_lets_the_running_stage_save_and_starts_no_other(start, tmp_path, send, number):
    process = start("30 a b c")
    send(process.pid, number)
    assert process.wait(timeout=30) == 130
    assert names(tmp_path, "begun") == names(tmp_path, "saved") == {"a"}
    assert not live_processes(tmp_path)


def test_a_signal_stops_all_parallel_stages(start, tmp_path):
    process = start("30 a", "30 b", "30 c", jobs=2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert names(tmp_path, "begun") == names(tmp_path, "saved") == {"a", "b"}
    assert not live_processes(tmp_path)


def test_a_signal_between_two_stages_stops_the_run(start, tmp_path):
    process = start("0 a b c")
    wait_for(lambda: not [stage for stage in live_processes(tmp_path) if "stage.py" in stage.cmdline()])
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert "c" not in names(tmp_path, "begun")


def test_a_second_signal_kills(start, tmp_path):
    (tmp_path / "stage.py").write_text("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n")
    with (tmp_path / "stage.py").open("a") as file:
        file.write("import pathlib, sys\npathlib.Path(sys.argv[1] + '.begun').touch()\ntime.sleep(60)\n")
    process = start("60 a b")
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert not live_processes(tmp_path)


def test_no_process_survives_a_killed_runner(start, tmp_path):
    process = start("30 a b")
    process.kill()
    wait_for(lambda: not live_processes(tmp_path))
    assert names(tmp_path, "begun") == {"a"}


def test_a_failed_stage_does_not_stop_others_and_is_reported(start, tmp_path):
    process = start("0 a", "fails b", "0 c")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and "1 of 3 commands of DVC failed" in stderr
    assert names(tmp_path, "begun") == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("content", "stays"), [('{"a": {"read": []}}', True), ('{"a": {"re', False), ("", False), (None, False)]
)
def test_a_truncated_lock_table_is_removed(tmp_path, content, stays):
    file = tmp_path / "rwlock"
    if content is not None:
        file.write_text(content)
    dvc_runner._remove_damaged_lock(file)
    assert file.exists() == stays
