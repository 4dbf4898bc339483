"""Publish the trained model: copy it, with what belongs to it, to the folder that predictions read, in one step."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode.inference.published import Parts, publish


@stage(None, model=Path, open=Path, calibration=Path, train=Path, test=Path, baseline=Path, out=Path)
def main(params: Path, out: Path, **parts: Path) -> None:
    publish(Parts(**parts), out)


if __name__ == "__main__":
    main()
