"""Write the params.yaml of one fold of a cross-validation: that of the run, with this part of train and dev as dev."""

from __future__ import annotations

from shared import stage

from pathlib import Path

import yaml

from medcode import config, io


@stage(None, folds=int, fold=int, out=Path)
def main(params: Path, folds: int, fold: int, out: Path) -> None:
    raw = config.read_yaml(params)
    split = raw["split"] | {"train_on": "train_dev", "folds": folds, "fold": fold}
    io.write_text(out, yaml.safe_dump(raw | {"split": split}, sort_keys=False))


if __name__ == "__main__":
    main()
