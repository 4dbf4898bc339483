"""Count the parameters of each row of a study at MIMIC-III's sizes, with 50 and with all codes; nothing is trained."""

from __future__ import annotations

from shared import stage

from pathlib import Path

from medcode import config, io
from medcode.config.recipes import model_settings
from medcode.models.catalog import parameters
from medcode.studies.definition import resolve, study

ROWS_OF_VECTORS = 51_919  # of MIMIC-III's vocabulary, PAD and UNK included
LABELS = {"top50": 50, "full": 8_921}


@stage(None, models=Path, changes=Path, study=Path, out=Path)
def main(params: Path, models: Path, changes: Path, out: Path, **paths: Path) -> None:
    loaded_study = study.load(paths["study"].parent.parent, paths["study"].parent.name)
    definition = loaded_study.definition
    raw = resolve.for_corpus(config.read_all(params, models), changes, definition.corpus)
    counts = {}
    for row in definition.rows:
        counts[row] = {}
        for label_set, labels in LABELS.items():
            resolved = resolve.resolve_params(raw, loaded_study, row, label_set, definition.seeds[0])
            file = {key: resolved[key] for key in ("options", "recipes")}
            settings = model_settings(file, paths["study"], resolved["model"], resolved["recipe"], label_set)
            counts[row][label_set] = parameters(settings, {"icd": labels}, label_set, ROWS_OF_VECTORS)
    io.write_json(out, counts)


if __name__ == "__main__":
    main()
