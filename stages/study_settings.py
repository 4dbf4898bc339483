"""Settles the params.yaml of each row and seed of a study, and refuses a study that is wrong before anything trains."""

from __future__ import annotations

from common import stage

from pathlib import Path

import yaml

from medcode import config, io
from medcode.config import Params
from medcode.studies import settling, study


@stage(base=Path, changes=Path, study=Path, out=Path)
def main(params: Params, base: Path, changes: Path, out: Path, **paths: Path) -> None:
    chosen = study.load(paths["study"].parent.parent, paths["study"].parent.name)
    raw = settling.for_corpus(config.read_yaml(base), changes, chosen.definition.corpus)
    settling.check_settings(chosen, raw)
    with io.atomic_folder(out) as folder:
        for label_set, rows in chosen.runs().items():
            for row in rows:
                for seed in chosen.definition.seeds:
                    path = folder / label_set / row / f"{seed}.yaml"
                    resolved = settling.settle(raw, chosen, row, label_set, seed)
                    io.write_text(path, yaml.safe_dump(resolved, sort_keys=False))
                    io.write_json(path.with_suffix(".json"), settling.rests_on(path, Path()))


if __name__ == "__main__":
    main()
