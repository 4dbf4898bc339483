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
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medcode.errors import UserError

METRIC_DECIMALS = 6


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "wb") -> Iterator[IO]:
    """Opens a temporary file that replaces `path` only when the block ends without an error.

    Raises:
        UserError: the file cannot be written (disk full, no permission); an older file at `path` is left as it was.
    """
    path = Path(path)
    temporary = _temporary(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    temporary = _temporary(path)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); the old one is unchanged"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def spool(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a file without a name beside `path`, for what does not fit into memory; it is gone when the block ends.

    It lies on the disk of `path`, never in a folder for temporary files, where restricted text has no place.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    temporary = _temporary(path.with_name(f"{path.name}.spool"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
