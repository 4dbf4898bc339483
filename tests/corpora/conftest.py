"""Small hand-written tables in the publishers' formats."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_csv() -> Callable[..., Path]:
    """Return a function that writes a table as MIMIC does: texts quoted, gzipped if the name ends in .gz."""

    def write(path: Path, header: str, rows: list[list]) -> Path:
        buffer = io.StringIO()
        writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(header.split())
        writer.writerows(rows)
        content = buffer.getvalue().encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path

    return write
