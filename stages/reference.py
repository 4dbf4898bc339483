"""Writes the titles of all codes."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import io
from medcode.codes import reference
from medcode.config import Params


@stage(titles=Path)
def main(params: Params, titles: Path) -> None:
    io.write_table(titles, reference.titles())


if __name__ == "__main__":
    main()
