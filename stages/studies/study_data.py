"""Write the params.yaml by which the studies prepare a corpus, and its published lists of admissions."""

from __future__ import annotations

from shared import stage

import shutil
from pathlib import Path

import yaml

from medcode import config, io
from medcode.config.checking import check_run
from medcode.errors import UserError
from medcode.reruns.stages import choice, code_of, project
from medcode.studies.definition import resolve


@stage(None, models=Path, changes=Path, corpus=str, lists=Path, out=Path)
def main(params: Path, models: Path, changes: Path, corpus: str, lists: Path, out: Path) -> None:
    resolved = resolve.for_corpus(config.read_yaml(params), changes, corpus)
    published = lists / resolved["split"]["published"]
    if not published.is_dir():
        raise UserError(
            f"{published}: no such folder, but {changes} wants these lists for {corpus}; "
            f"get them with make splits NAME={published.name} FROM=folder"
        )
    source = resolved["corpus"]
    with io.atomic_folder(out) as folder:
        io.write_text(folder / "params.yaml", yaml.safe_dump(resolved, sort_keys=False))
        _, model_settings = check_run(folder / "params.yaml", models)
        for encoder in resolved.get("encoders", {}):
            with_encoder = resolved | {"encoder": encoder}
            io.write_text(folder / f"{encoder}.yaml", yaml.safe_dump(with_encoder, sort_keys=False))
            content = {"encoders": {encoder: resolved["encoders"][encoder]}}
            io.write_text(folder / "sections" / f"encoder-{encoder}.yaml", yaml.safe_dump(content))
        shutil.copytree(published, folder / "published")
        # One file per section, so that a stage reruns only for the sections that it depends on.
        for key, section in resolved.items():
            content = {source: section[source]} if key == "corpora" else section
            io.write_text(folder / "sections" / f"{key}.yaml", yaml.safe_dump({key: content}, sort_keys=False))
        # The code of a stage includes the reader of this corpus, which is found by name. Data stages import no model.
        stages = Path(__file__).parents[1]
        code = project(stages.parent)
        io.write_json(folder / "code" / "needs.json", {"terms": True, "tree": True})  # the studies' models share it
        for path in sorted(stages.rglob("*.py")):
            io.write_json(
                folder / "code" / path.with_suffix(".json").name,
                code_of(code, [path.stem], choice(source, *model_settings)),
            )


if __name__ == "__main__":
    main()
