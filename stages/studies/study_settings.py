"""Write the params.yaml of each row and seed of a study, and report errors of the study before anything trains."""

from __future__ import annotations

from shared import stage

from pathlib import Path

import yaml

from medcode import config, io
from medcode.reruns.stages import project
from medcode.studies.definition import resolve, study


@stage(None, models=Path, changes=Path, study=Path, out=Path)
def main(params: Path, models: Path, changes: Path, out: Path, **paths: Path) -> None:
    loaded_study = study.load(paths["study"].parent.parent, paths["study"].parent.name)
    raw = resolve.for_corpus(config.read_all(params, models), changes, loaded_study.definition.corpus)
    resolve.check_settings(loaded_study, raw)
    code = project(Path(__file__).parents[2])
    with io.atomic_folder(out) as folder:
        if any(ensemble.open for ensemble in loaded_study.definition.ensembles.values()):
            io.write_json(folder / resolve.OPEN_FILE, resolve.open_fingerprint(raw))
        for label_set, rows in loaded_study.runs().items():
            for row in rows:
                for seed in loaded_study.definition.seeds:
                    path = folder / label_set / row / f"{seed}.yaml"
                    resolved = resolve.resolve_params(raw, loaded_study, row, label_set, seed)
                    io.write_text(path, yaml.safe_dump(resolved, sort_keys=False))
                    io.write_json(path.with_suffix(".json"), resolve.run_fingerprint(path, code))
                    io.write_json(path.with_suffix(".train.json"), resolve.training_code(path, code))
                    if loaded_study.definition.evidence:
                        io.write_json(path.with_suffix(".explain.json"), resolve.evidence_fingerprint(path, code))


if __name__ == "__main__":
    main()
