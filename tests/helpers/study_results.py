"""A small study with simulated results of trainings."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from medcode import config
from medcode.config import Evaluation
from medcode.evaluation import decisions as decisions_file
from medcode.evaluation.frequency import frequency_table
from medcode.evaluation.measurement import Predictions
from medcode.evaluation.summary import head_metrics
from medcode.io import write_metrics
from medcode.studies.definition.study import Study, load, names

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, Any] = {
    "title": "A tiny study",
    "paper": "mt-ram",
    "tables": ["table3"],
    "corpus": "synthetic-mimic3",
    "seeds": [1, 2],
    "settings": {"recipe": "published", "models.*.recipes.*.epochs": 3},
    "small": {"recipe": "quick", "models.*.recipes.*.max_tokens": 64, "models.cnn.options.filters": 8},
    "rows": {
        "caml": {"title": "CAML", "published": "table3/CAML", "settings": {"model": "caml"}},
        "caml_wide": {"title": "CAML, wider", "settings": {"model": "caml", "models.*.options.filters": 12}},
        "cnn": {"title": "CNN", "settings": {"model": "cnn"}, "small": {"models.*.recipes.*.epochs": 2}},
    },
    "comparisons": [["caml", "caml_wide"], ["caml", "cnn"]],
}
PAPERLESS: dict[str, Any] = {
    "title": "A table of models",
    "tables": {
        "title": "Three models",
        "unit": "fraction",
        "threshold": "tuned",
        "groups": {"icd": {"label_set": "top50", "columns": ["f1_micro", "f1_macro", "map"]}},
    },
    "corpus": "synthetic-mimic3",
    "seeds": [1, 2],
    "settings": {"recipe": "quick"},
    "rows": {
        "caml": {"title": "CAML", "settings": {"model": "caml"}},
        "caml_wide": {"title": "CAML, wider", "settings": {"model": "caml", "models.*.options.filters": 12}},
        "cnn": {"title": "CNN", "settings": {"model": "cnn"}},
    },
    "comparisons": [["caml", "cnn"]],
}
LABELS = [{"system": "icd9cm", "code": str(number)} for number in range(20)]
OPTIONS = Evaluation(
    macro_f1="caml", fixed_threshold=0.5, threshold_grid=100, at=[5, 8, 15], frequency_bins=[50, 200], batch_size=8
)


@functools.cache
def issued(name: str) -> Study:
    """Return a study of the repository, read once."""
    return load(ROOT / "studies", name)


def all_issued() -> list[Study]:
    """Return all studies of the repository."""
    return [issued(name) for name in names(ROOT / "studies")]


@functools.cache
def raw_params() -> dict[str, Any]:
    """Return params.yaml and the files of all models unchecked. They are read once, so do not modify them."""
    return config.read_all(ROOT / "params.yaml", ROOT / "configs/models")


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a YAML file, with the C writer if available: it is several times as fast."""
    path.write_text(yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))


def write_study(root: Path, name: str, content: dict[str, Any], **changes: Any) -> None:
    """Write a study, with changes to some of its keys."""
    (root / name).mkdir(exist_ok=True)
    write_yaml(root / name / "study.yaml", content | changes)


def pretend(study: Study, quality: dict[str, float], seeds: tuple[int, ...] | None = None) -> None:
    """Write simulated results of trainings. The scores of a row are `quality` parts gold codes and the rest noise."""
    random = np.random.default_rng(5)
    gold = (random.random((60, 20)) < np.linspace(0.5, 0.05, 20)).astype(np.uint8)
    counts = np.linspace(400, 5, 20).astype(int)
    documents = [f"adm-{number}" for number in range(60)]
    for row, weight in quality.items():
        for label_set in study.label_sets(row):
            for seed in seeds or study.definition.seeds:
                noise = np.random.default_rng(100 * seed).random(gold.shape)
                scores = (weight * gold + (1 - weight) * noise).astype(np.float32)
                folder = study.run_folder(row, label_set, seed)
                decisions = decisions_file.decide(Predictions(documents, LABELS, gold, scores, counts, 0.5, 0.4))
                decisions_file.write(folder / "predictions.npz", {"icd": decisions})
                write_metrics(folder / "test.json", {"icd": head_metrics(gold, scores, counts, 0.4, OPTIONS)})
                table = frequency_table(gold, scores, counts, 0.4, OPTIONS)
                lines = [",".join(table[0]), *(",".join(map(str, line.values())) for line in table)]
                (folder / "frequency_f1.csv").write_text("\n".join(lines) + "\n")
                trained = {"parameters": {"total": 1234, "trainable": 1234}, "epochs_run": 2, "best_epoch": 1}
                trained["stopped"] = "last epoch" if seed == 1 else "3 epochs without a better f1_micro"
                write_metrics(folder / "train.json", trained)
                times = {1: {"seconds": 2.5, "cpu_seconds": 80.5}, 2: {"seconds": 3.5, "cpu_seconds": 81.5}}
                lines = [json.dumps({"epoch": epoch, **values}) for epoch, values in times.items()]
                (folder / "epochs.jsonl").write_text("\n".join(lines) + "\n")
                environment = {"device": "CPU (test)", "threads": 1, "torch": "2", "python": "3", "commit": "abc123"}
                write_metrics(folder / "environment.json", environment)
                settings = study.root / study.name / "settings" / label_set / row / f"{seed}.json"
                settings.parent.mkdir(parents=True, exist_ok=True)
                row_settings = {"model": row, "recipe": "quick", "seed": seed, "engine": {"threads": 1}}
                settings.write_text(json.dumps({"settings": row_settings, "code": {}}))


def small_root(folder: Path) -> Path:
    """Return a root of studies with the published numbers, the data settings, and the study `tiny`."""
    root = folder / "studies"
    if not root.exists():
        shutil.copytree(ROOT / "studies/published", root / "published")
        shutil.copytree(ROOT / "studies/data", root / "data")
        write_study(root, "tiny", TINY)
    return root


def simulated_study(folder: Path) -> Study:
    """Return the study `tiny` in a folder, with simulated results."""
    study = load(small_root(folder), "tiny")
    pretend(study, {"caml": 0.45, "caml_wide": 0.47, "cnn": 0.3})
    return study


def simulated_paperless_study(folder: Path, name: str = "own", **changes: Any) -> Study:
    """Return a study without a paper in a folder, with simulated results and changes to its definition."""
    root = small_root(folder)
    write_study(root, name, PAPERLESS, **changes)
    study = load(root, name)
    pretend(study, {row: 0.3 + 0.05 * place for place, row in enumerate(study.definition.rows)})
    return study
