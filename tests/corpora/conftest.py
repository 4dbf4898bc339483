"""Small tables in the publishers' formats, made by hand."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_csv() -> Callable[..., Path]:
    """Gives a function that writes a table as MIMIC does, every text in quotes; .gz when the name says so."""

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
