"""Reading and writing files so that a crash never leaves half of one.

Every writer works on a temporary name in the same folder, syncs, and replaces. Files are opened by Python itself,
never by a library's own C code, so that an audit hook sees every file that a stage touches.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medcode.errors import UserError

METRIC_DECIMALS = 6
EMPTY = "EMPTY.txt"  # the only file of a folder that is left empty on purpose


def _beside(path: Path, ending: str) -> Path:
    """A hidden name in the same folder, of this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")


def _sweep(path: Path) -> None:
    """Removes what killed processes left of writing this very path.

    What a live process has there stays: it may be writing. A process that was killed between the two steps of replacing
    a folder left none at `path`; its `.old` is then the only one known to be whole, and becomes `path` again.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.(tmp|old)")
    left = [(other, name.fullmatch(other.name)) for other in path.parent.iterdir()]
    dead = [(other, match[2]) for other, match in left if match and not _lives(int(match[1]))]
    moved = [other for other, ending in dead if ending == "old"]
    if moved and not path.exists():
        with contextlib.suppress(FileNotFoundError):  # another process was first
            os.replace(max(moved, key=lambda other: other.stat().st_ctime_ns), path)
    for other, _ in dead:
        if other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                other.unlink()


def _lives(process: int) -> bool:
    """Whether another process has this number; a name with that of this process is from before it began."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "wb") -> Iterator[IO]:
    """Opens a temporary file that replaces `path` only when the block ends without an error.

    Raises:
        UserError: the file cannot be written (disk full, no permission); an older file at `path` is left as it was.
    """
    path = Path(path)
    temporary = _beside(path, "tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with open(temporary, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); the old file is unchanged"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `path` only when the block ends without an error.

    Raises:
        UserError: a file in it cannot be written; an older folder at `path` is left as it was.
    """
    path = Path(path)
    temporary = _beside(path, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary.mkdir()
        yield temporary
        _put(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); the old one is unchanged"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(folder: Path, path: Path) -> None:
    """Moves a folder to `path`, in place of what is there.

    A folder cannot replace one that is not empty, so the old one steps aside first. Killed in between, a process leaves
    no `path`, the old folder as `.old` and the new one, whole, as `.tmp`. Nothing tells that `.tmp` from one half
    written, so the next writer of `path` puts the old one back before it begins. DVC misses its output, and runs the
    stage again.
    """
    old = _beside(path, "old")
    replaces = path.exists()
    if replaces:
        os.replace(path, old)
    try:
        os.replace(folder, path)
    except OSError:
        if replaces:
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def spool(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a file without a name beside `path`, for what does not fit into memory; it is gone when the block ends.

    It lies on the disk of `path`, never in a folder for temporary files, where restricted text has no place.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    spooled = path.with_name(f"{path.name}.spool")
    temporary = _beside(spooled, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(spooled)
        file = open(temporary, "w+b")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"{path}: could not be written ({error.strerror or error})") from error
    with file:
        temporary.unlink()
        try:
            yield file
        except OSError as error:
            if error.filename is not None:  # about another file
                raise
            raise UserError(f"{path}: could not be written ({error.strerror or error})") from error


def write_empty(path: str | os.PathLike, reason: str) -> None:
    """Writes a folder that holds nothing but one line that says why; DVC warns of folders without a file.

    Args:
        path: the folder.
        reason: the line, the same in every run.
    """
    with atomic_folder(path) as folder:
        write_text(folder / EMPTY, f"{reason}\n")


def is_empty(path: str | os.PathLike) -> bool:
    """Whether a folder was left empty on purpose, or is absent."""
    path = Path(path)
    return not path.is_dir() or all(entry.name == EMPTY for entry in path.iterdir())


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes text as UTF-8 with LF line ends."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes indented JSON, keys in the order given; a non-finite number becomes null (JSON has none)."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_metrics(path: str | os.PathLike, metrics: Any) -> None:
    """Writes metrics as JSON, floats rounded to 6 decimals so that diffs show what matters."""
    write_json(path, _rounded(metrics))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _rounded(value: Any) -> Any:
    value = _finite(value)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, METRIC_DECIMALS) if isinstance(value, float) else value


def write_csv(path: str | os.PathLike, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    """Writes a table of few rows as text, floats to six digits; without rows, the names of the columns alone."""
    with atomic_write(path, "w") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def write_table(path: str | os.PathLike, table: pa.Table) -> None:
    """Writes a parquet table (zstd)."""
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd")


def write_batches(path: str | os.PathLike, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Writes a parquet table (zstd) batch by batch, each a row group, so that only one is in memory."""
    with atomic_write(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_table(path: str | os.PathLike, columns: list[str] | None = None) -> pa.Table:
    """Reads a parquet table.

    Raises:
        UserError: the file is missing, damaged, or lacks a column.
    """
    try:
        with open(path, "rb") as file:
            return pq.read_table(file, columns=columns)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet table ({error})") from error


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Writes a .npy file."""
    with atomic_write(path) as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: str | os.PathLike, *, mapped: bool = False) -> np.ndarray:
    """Reads a .npy file, memory-mapped read-only on request.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not a .npy array ({error})") from error


def read_lines(path: str | os.PathLike) -> list[str]:
    """Reads a UTF-8 file of one item a line."""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            return file.read().split("\n")[:-1]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
