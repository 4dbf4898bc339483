"""Settles how the studies prepare a corpus: its params.yaml, and the published lists of admissions that it follows."""

from __future__ import annotations

from common import stage

import shutil
from pathlib import Path

import yaml

from medcode import config, io
from medcode.config import Params
from medcode.errors import UserError
from medcode.studies import settling


@stage(base=Path, changes=Path, corpus=str, lists=Path, out=Path)
def main(params: Params, base: Path, changes: Path, corpus: str, lists: Path, out: Path) -> None:
    resolved = settling.for_corpus(config.read_yaml(base), changes, corpus)
    published = lists / resolved["split"]["published"]
    if not published.is_dir():
        raise UserError(
            f"{published}: no such folder, but {changes} wants these lists for {corpus}; "
            f"get them with make splits NAME={published.name} FROM=folder"
        )
    with io.atomic_folder(out) as folder:
        io.write_text(folder / "params.yaml", yaml.safe_dump(resolved, sort_keys=False))
        config.load(folder / "params.yaml")
        for encoder in resolved.get("encoders", {}):
            chosen = resolved | {"encoder": encoder}
            io.write_text(folder / f"{encoder}.yaml", yaml.safe_dump(chosen, sort_keys=False))
            own = {"encoders": {encoder: resolved["encoders"][encoder]}}
            io.write_text(folder / "sections" / f"encoder-{encoder}.yaml", yaml.safe_dump(own))
        shutil.copytree(published, folder / "published")
        # One file a section, so that a stage runs again for the sections that it depends on.
        for key, section in resolved.items():
            own = {corpus: section[corpus]} if key == "corpora" else section
            io.write_text(folder / "sections" / f"{key}.yaml", yaml.safe_dump({key: own}, sort_keys=False))


if __name__ == "__main__":
    main()
