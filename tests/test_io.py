"""Writing is atomic."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from medcode import io
from medcode.errors import UserError


def test_an_error_during_writing_keeps_only_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    io.write_text(path, "old\n")
    with pytest.raises(RuntimeError), io.atomic_write(path, "w") as file:
        file.write("new")
        raise RuntimeError
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_during_writing_keeps_only_the_old_folder(tmp_path):
    path = tmp_path / "folder"
    with io.atomic_folder(path) as folder:
        io.write_text(folder / "a.txt", "old\n")
    with pytest.raises(RuntimeError), io.atomic_folder(path) as folder:
        io.write_text(folder / "a.txt", "new\n")
        raise RuntimeError
    assert (path / "a.txt").read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_completely(tmp_path):
    path = tmp_path / "folder"
    for name in ("a.txt", "b.txt"):
        with io.atomic_folder(path) as folder:
            io.write_text(folder / name, name)
    assert [file.name for file in path.iterdir()] == ["b.txt"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_is_reported_and_keeps_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.json"
    io.write_json(path, {"old": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(io.os, failing, full)
    with pytest.raises(UserError, match=r"a\.json: could not be written \(No space left on device\); the old file"):
        io.write_json(path, {"new": 1})
    monkeypatch.undo()
    assert io.read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_short_write_is_reported_in_one_line(tmp_path):
    path = tmp_path / "a.npy"
    io.write_array(path, np.arange(3))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(UserError, match=r"a\.npy: could not be written"):
            io.write_array(path, np.zeros(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert io.read_array(path).tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_metrics_are_rounded_and_nan_becomes_null(tmp_path):
    path = tmp_path / "m.json"
    io.write_metrics(path, {"a": 1 / 3, "b": float("nan"), "c": [np.float32(0.5), np.int64(3)], "d": True})
    assert json.loads(path.read_text()) == {"a": 0.333333, "b": None, "c": [0.5, 3], "d": True}


def test_written_tables_and_arrays_are_read_unchanged(tmp_path):
    table = pa.table({"code": ["003.1", "V45.81"], "n": [1, 2]})
    io.write_table(tmp_path / "t.parquet", table)
    assert io.read_table(tmp_path / "t.parquet").equals(table)
    assert io.read_table(tmp_path / "t.parquet", ["n"]).column_names == ["n"]
    io.write_array(tmp_path / "a.npy", np.arange(5))
    assert io.read_array(tmp_path / "a.npy", mapped=True).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (io.read_json, "a.json", b"{", "not valid JSON"),
        (io.read_json, "a.json", b"\xff\xfe", "not valid JSON"),
        (io.read_table, "a.parquet", b"PAR1", "not a parquet table"),
        (io.read_array, "a.npy", b"\x93NUMPY", r"not a \.npy array"),
    ],
)
def test_a_damaged_file_is_reported_in_one_line(tmp_path, read, name, content, message):
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: {message}"):
        read(tmp_path / name)


def test_a_spool_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), io.spool(tmp_path / "new" / "table") as file:
        assert list((tmp_path / "new").iterdir()) == []  # it has no name, so that a crash leaves nothing either
        file.write(b"text")
        file.seek(0)
        assert file.read() == b"text"
        raise ZeroDivisionError
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be written"), io.spool(tmp_path / "file" / "table"):
        pass


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from medcode import io

    path, at = Path(sys.argv[1]), sys.argv[2]

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    if at == "file":
        with io.atomic_write(path) as file:
            file.write(b"half")
            file.flush()
            die()
    if at == "spool":
        io.Path.unlink = die
        with io.spool(path):
            pass
    replace, calls = os.replace, []

    def replace_or_die(*paths):
        if at == f"replace {len(calls)}":
            die()
        calls.append(paths)
        replace(*paths)

    io.os.replace = replace_or_die
    with io.atomic_folder(path) as folder:
        (folder / "b.txt").write_text("new")
        if at == "folder":
            die()
        if at == "remove":
            io.shutil.rmtree = die
"""


def files_after_kill(path, at):
    """Run a process that writes a path and kills itself; return the files that it leaves."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path), at], timeout=60)
    assert done.returncode == -signal.SIGKILL
    return sorted(re.sub(r"\d+", "PID", other.name) for other in path.parent.iterdir())


def test_writing_a_file_removes_leftovers_of_killed_processes(tmp_path):
    path = tmp_path / "a.txt"
    for _ in range(3):
        assert files_after_kill(path, "file") == [".a.txt.PID.tmp"]
    io.write_text(path, "whole\n")
    assert list(tmp_path.iterdir()) == [path]


def test_writing_a_folder_removes_leftovers_of_killed_processes(tmp_path):
    path = tmp_path / "folder"
    io.write_empty(path, "nothing yet")
    for at in ("folder", "folder", "replace 0"):
        assert files_after_kill(path, at) == [".folder.PID.tmp", "folder"]
    assert files_after_kill(path, "remove") == [".folder.PID.old", "folder"]
    assert files_after_kill(path, "replace 1") == [".folder.PID.old", ".folder.PID.tmp"]
    io.write_empty(path, "nothing")
    assert list(tmp_path.iterdir()) == [path]
    assert (path / io.EMPTY).read_text() == "nothing\n"


def test_a_folder_moved_away_by_a_killed_process_is_restored(tmp_path):
    path = tmp_path / "folder"
    with io.atomic_folder(path) as folder:
        io.write_text(folder / "a.txt", "old\n")
    assert files_after_kill(path, "replace 1") == [".folder.PID.old", ".folder.PID.tmp"]
    with pytest.raises(RuntimeError), io.atomic_folder(path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "a.txt").read_text() == "old\n"


def test_a_failed_replacement_keeps_the_old_folder(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    io.write_empty(path, "old")
    replace, calls = os.replace, []

    def second_fails(*paths):
        calls.append(paths)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        replace(*paths)

    monkeypatch.setattr(io.os, "replace", second_fails)
    with pytest.raises(UserError, match="the old one is unchanged"), io.atomic_folder(path):
        pass
    assert (path / io.EMPTY).read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exchanged_folder_is_there_at_every_moment(tmp_path):
    """The steps of a writer that is killed are in tests/inference/test_published.py."""
    if sys.platform != "linux":
        pytest.skip("only Linux exchanges two folders in one step")
    path, numbers = tmp_path / "folder", range(200)

    def write() -> None:
        for number in numbers:
            with io.exchanged_folder(path) as folder:
                (folder / "a.txt").write_text(str(number))

    io.write_empty(path, "nothing yet")
    with ThreadPoolExecutor(1) as pool:
        writer, missing, reads = pool.submit(write), 0, 0
        while not writer.done():
            missing, reads = missing + (not path.is_dir()), reads + 1
        writer.result()
    assert (missing, reads > 200, (path / "a.txt").read_text()) == (0, True, str(numbers[-1]))
    assert list(tmp_path.iterdir()) == [path] and list(path.iterdir()) == [path / "a.txt"]


def test_an_exchanged_folder_keeps_the_old_one_in_an_error(tmp_path, monkeypatch):
    path, replace = tmp_path / "folder", os.replace
    io.write_empty(path, "old")
    with pytest.raises(RuntimeError), io.exchanged_folder(path):
        raise RuntimeError

    def fails(source, target):
        if source == path:
            raise OSError(errno.EACCES, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(io, "_exchange", lambda *_: False)
    monkeypatch.setattr(io.os, "replace", fails)
    with (
        pytest.raises(UserError, match=r"folder: could not be written \(Permission denied\)"),
        io.exchanged_folder(path),
    ):
        pass
    assert list(tmp_path.iterdir()) == [path] and (path / io.EMPTY).read_text() == "old\n"


def test_a_folder_that_a_writer_has_moved_aside_is_found(tmp_path):
    path = tmp_path / "fol[d]er"
    assert io.moved_aside(path) is None and io.moved_aside(tmp_path / "none/folder") is None
    io.write_empty(path, "old")
    path.rename(old := tmp_path / ".fol[d]er.123.old")
    assert io.moved_aside(path) == old
    io.write_empty(path, "new")
    assert io.moved_aside(path) is None


def test_spooling_removes_leftovers_of_killed_processes(tmp_path):
    assert files_after_kill(tmp_path / "a.parquet", "spool") == [".a.parquet.spool.PID.tmp"]
    io.write_text(tmp_path / "a.parquet", "of another path")
    assert len(list(tmp_path.iterdir())) == 2
    with io.spool(tmp_path / "a.parquet"):
        assert list(tmp_path.iterdir()) == [tmp_path / "a.parquet"]


def test_files_of_live_processes_and_other_paths_stay(tmp_path):
    path, (live_id, own_id, dead_id) = tmp_path / "a", (os.getppid(), os.getpid(), dead_process())
    stay = [
        f".a.{live_id}.tmp",
        f".a.{live_id}.old",
        f".a.b.{dead_id}.tmp",
        f".b.{dead_id}.tmp",
        f".a.{dead_id}.x",
        f"a.{dead_id}.tmp",
    ]
    go = [f".a.{own_id}.tmp", f".a.{own_id}.old", f".a.{dead_id}.tmp", f".a.{dead_id}.old", f".a.{2**70}.tmp"]
    io.write_text(path, "old")
    for name in stay + go:
        (tmp_path / name).write_text("")
    io.write_text(path, "new")
    assert sorted(other.name for other in tmp_path.iterdir()) == sorted([*stay, "a"])


def dead_process():
    """Return the id of a process that has ended."""
    running = subprocess.Popen(["true"])
    running.wait()
    return running.pid


def test_an_empty_folder_contains_its_reason(tmp_path):
    assert io.is_empty(tmp_path / "absent")
    io.write_empty(tmp_path / "folder", "the reason")
    assert {file.name: file.read_text() for file in (tmp_path / "folder").iterdir()} == {"EMPTY.txt": "the reason\n"}
    assert io.is_empty(tmp_path / "folder")
    io.write_text(tmp_path / "folder/a.txt", "")
    assert not io.is_empty(tmp_path / "folder")


def test_rows_become_columns_in_the_order_of_the_schema():
    schema = pa.schema([("code", pa.string()), ("weight", pa.int8())])
    assert io.table_of([("a", 1), ("b", None)], schema).to_pydict() == {"code": ["a", "b"], "weight": [1, None]}
    assert io.table_of([], schema).schema == schema
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        io.table_of([("a", 1), ("b",)], schema)
