"""Atomic reading and writing of files: a crash never leaves a partial file.

Every writer uses a temporary name in the same folder, syncs, and replaces. Python itself opens all files, never the C
code of a library, so that an audit hook sees every file that a stage touches.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import glob
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medcode.errors import UserError

METRIC_DECIMALS = 6
EMPTY = "EMPTY.txt"  # the only file of a deliberately empty folder
_THIS_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def _temporary_path(path: Path, ending: str) -> Path:
    """Return a hidden path in the same folder, unique to this process."""
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` that killed processes left.

    Files of a running process stay: it may be writing. A process killed between the two steps of replacing a folder
    leaves nothing at `path`. Its `.old` folder is then the only complete one, and is moved back to `path`.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.(tmp|old)")
    leftovers = [(entry, name.fullmatch(entry.name)) for entry in path.parent.iterdir()]
    orphans = [(entry, match[2]) for entry, match in leftovers if match and not _is_running(int(match[1]))]
    old_folders = [entry for entry, ending in orphans if ending == "old"]
    if old_folders and not path.exists():
        with contextlib.suppress(FileNotFoundError):  # another process has moved it already
            os.replace(max(old_folders, key=lambda entry: entry.stat().st_ctime_ns), path)
    for entry, _ in orphans:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.unlink()


def _is_running(process: int) -> bool:
    """Whether another process has this id. A file with our own id is left from an earlier process."""
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
    """Open a temporary file that replaces `path` only when the block ends without an error.

    Raises:
        UserError: the file cannot be written (disk full, no permission); an existing file at `path` is unchanged.
    """
    path = Path(path)
    temporary = _temporary_path(path, "tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
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
    """Yield a temporary folder that replaces `path` only when the block ends without an error.

    Raises:
        UserError: a file in it cannot be written; an existing folder at `path` is unchanged.
    """
    path = Path(path)
    temporary = _temporary_path(path, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        temporary.mkdir()
        yield temporary
        _replace_folder(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); the old one is unchanged"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(folder: Path, path: Path) -> None:
    """Move a folder to `path`, replacing an existing file or folder.

    A folder cannot replace a non-empty one, so the old one is renamed first. A process killed in between leaves no
    `path`, the old folder as `.old` and the complete new one as `.tmp`. That `.tmp` cannot be told from an incomplete
    one, so the next writer of `path` restores the old folder before it begins. DVC misses its output, and runs the
    stage again.
    """
    old = _temporary_path(path, "old")
    existed = path.exists()
    if existed:
        os.replace(path, old)
    try:
        os.replace(folder, path)
    except OSError:
        if existed:
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def exchanged_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder as `atomic_folder`, for a folder that is in use: there is one at `path` at every moment.

    Linux exchanges the old folder and the new one in one step. Where the system or the file system cannot (macOS, some
    network drives), two renames follow each other as in `atomic_folder`; between them `moved_aside` finds the old one.

    Raises:
        UserError: a file in it cannot be written; an existing folder at `path` is unchanged.
    """
    path = Path(path)
    new = path.with_name(f".{path.name}.new.tmp")
    with atomic_folder(new) as folder:
        yield folder
    try:
        _remove_leftovers(path)
        if not _exchange(new, path):
            _replace_folder(new, path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); the old one is unchanged"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange what is at two paths in one step, and return whether that was done: both must exist, on Linux."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system, or an old library
        return False
    return rename(_THIS_FOLDER, os.fsencode(first), _THIS_FOLDER, os.fsencode(second), _EXCHANGE) == 0


def moved_aside(path: str | os.PathLike) -> Path | None:
    """Return the old folder of `path` if its writer, maybe killed since, has not put the new one there; else None."""
    path = Path(path)
    return None if path.exists() else max(path.parent.glob(f".{glob.escape(path.name)}.*.old"), default=None)


@contextlib.contextmanager
def spool(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open an unnamed temporary file next to `path`, for data that does not fit into memory.

    The file is deleted when the block ends. It lies on the disk of `path`, never in a shared folder for temporary
    files, where restricted text must not be.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    spooled = path.with_name(f"{path.name}.spool")
    temporary = _temporary_path(spooled, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(spooled)
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
    """Write a folder whose only file gives the reason for its being empty; DVC warns of folders without a file.

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
    """Write text as UTF-8 with LF line endings."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write indented JSON in the order of the keys; a non-finite number becomes null (JSON has none)."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_metrics(path: str | os.PathLike, metrics: Any) -> None:
    """Write metrics as JSON, floats rounded to 6 decimals to keep diffs small."""
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
    """Write a small table as CSV, floats with six significant digits; the header is written even without rows."""
    with atomic_write(path, "w") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def unreadable(path: str | os.PathLike, error: OSError) -> UserError:
    """Return the error to raise for a file that cannot be opened, a folder for instance."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: no such file")
    return UserError(f"{path}: cannot be read ({error.strerror or error})")


def table_of(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table with the columns of the schema, in its order."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def write_table(path: str | os.PathLike, table: pa.Table) -> None:
    """Write a parquet table (zstd)."""
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd")


def write_batches(path: str | os.PathLike, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write a parquet table (zstd), one row group per batch, with one batch in memory at a time."""
    with atomic_write(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_table(path: str | os.PathLike, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet table.

    Raises:
        UserError: the file is missing, damaged, or lacks a column.
    """
    try:
        with open(path, "rb") as file:
            return pq.read_table(file, columns=columns)
    except OSError as error:
        raise unreadable(path, error) from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet table ({error})") from error


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write a .npy file."""
    with atomic_write(path) as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: str | os.PathLike, *, mapped: bool = False) -> np.ndarray:
    """Read a .npy file, memory-mapped read-only on request.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not a .npy array ({error})") from error


def read_lines(path: str | os.PathLike) -> list[str]:
    """Read a UTF-8 file with one item per line.

    Raises:
        UserError: the file is missing, or not UTF-8.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            return file.read().split("\n")[:-1]
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
