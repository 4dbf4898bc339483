"""Every model beside CAML: trains each for the same number of epochs, and prints what it reached as a Markdown table.

    dvc repro inputs
    python benchmarks/zoo.py --epochs 5 --share 0.75

Each model is trained by its own recipe `quick`, but for the number of epochs, with params.yaml's corpus, label set and
seed; the epoch with the best dev criterion counts. Thresholds are tuned on dev. `share` is dev micro F1 over CAML's;
where a model's lies below --share, its name is printed and the exit code is 1. A model that was measured with the same
settings, code and inputs is not trained again, and one that was stopped goes on.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import operator
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from medcode import config, io, models

ROOT = Path(__file__).resolve().parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
BASELINE = "caml"
METRICS = {
    "micro F1": ("tuned", "f1", "micro"),
    "macro F1": ("tuned", "f1", "macro"),
    "AUC": ("auc", "macro"),
    "P@5": ("ranking", "precision_at_5"),
    "MAP": ("ranking", "map"),
}


def main() -> None:
    """Trains, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=models.names(), choices=models.names(), metavar="MODEL")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.75, help="of CAML's dev micro F1 that every model must pass")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--inputs", type=Path, default=ROOT / "data/inputs")
    parser.add_argument("--out", type=Path, default=ROOT / "logs/zoo")
    arguments = parser.parse_args()
    names = list(dict.fromkeys([BASELINE, *arguments.models]))
    results = {name: measured(name, arguments) for name in names}
    print(table(results))
    reached = shares(results)
    below = [f"{name} ({reached[name]:.2f})" for name in names if reached[name] <= arguments.share]
    if below:
        sys.exit(f"not above {arguments.share:g} of {BASELINE}'s dev micro F1: {', '.join(below)}")


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Parameters, seconds per epoch, and dev and test metrics of a model; trains it where they are not there yet."""
    settings = settings_of(name, arguments)
    made_of = fingerprint(name, settings, arguments.inputs)
    folder = arguments.out / f"{name}-{made_of}"
    result = folder / "result.json"
    if not result.exists():
        io.write_text(folder / "params.yaml", yaml.safe_dump(settings, sort_keys=False))
        train(folder, arguments.inputs)
        trained = io.read_json(folder / "train.json")
        epochs = [json.loads(line)["seconds"] for line in (folder / "timings.jsonl").read_text().splitlines()]
        found = {"parameters": trained["parameters"]["total"], "seconds": statistics.median(epochs)}
        found["dev"] = evaluate(folder, with_dev_as_test(folder, arguments.inputs), "dev")
        io.write_json(result, found | {"test": evaluate(folder, arguments.inputs, "test")})
    return io.read_json(result)


def settings_of(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """params.yaml with one model, its recipe `quick`, and the budget."""
    settings = config.read_yaml(arguments.params)
    settings |= {"model": name, "recipe": "quick", "models": {name: settings["models"][name]}}
    settings["models"][name]["training"]["quick"] |= {"epochs": arguments.epochs, "patience": None}
    return settings


def fingerprint(name: str, settings: dict[str, Any], inputs: Path) -> str:
    """Identifies a training and its measurement: their parameters, code and inputs, as dvc.yaml lists them."""
    stages = [STAGES["train"], STAGES["evaluate"]]
    sections = {key.split(".")[0] for stage in stages for key in stage["params"]}
    digest = hashlib.sha256(json.dumps([settings[key] for key in sorted(sections)]).encode())
    named = {dep.replace("${model}", name) for stage in stages for dep in stage["deps"]}
    sources = [ROOT / dep for dep in named if dep.startswith(("src/", "stages/"))]
    files = [file for path in sources for file in ([path] if path.is_file() else path.rglob("*.py"))]
    for path in [*sorted(files), *sorted(path for path in inputs.rglob("*") if path.is_file())]:
        with open(path, "rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def train(folder: Path, inputs: Path) -> None:
    """Runs the stage `train` with all that it writes in the model's folder."""
    written = {"checkpoints": "checkpoints", "timings": "timings.jsonl", "model": "model", "metrics": "train.json"}
    run("train", folder, inputs, written | {"curve": "learning_curve.csv"})


def evaluate(folder: Path, inputs: Path, split: str) -> dict[str, float]:
    """Runs the stage `evaluate`; returns the metrics of the table."""
    run("evaluate", folder, inputs, {"model": "model", "metrics": f"{split}.json", "frequency": f"{split}.csv"})
    values = io.read_json(folder / f"{split}.json")["icd"]
    return {name: functools.reduce(operator.getitem, keys, values) for name, keys in METRICS.items()}


def with_dev_as_test(folder: Path, inputs: Path) -> Path:
    """The same inputs, by links, with dev in the place of test, so that dev is measured as test is."""
    links = folder / "inputs-dev"
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    for path in inputs.resolve().iterdir():
        (links / path.name).symlink_to(path.with_name("dev") if path.name == "test" else path)
    return links


def run(stage: str, folder: Path, inputs: Path, paths: dict[str, str]) -> None:
    """Runs a stage's script; ends with its exit code where it fails."""
    named = {"params": folder / "params.yaml", "inputs": inputs} | {key: folder / path for key, path in paths.items()}
    options = [text for name, path in named.items() for text in (f"--{name}", str(path))]
    done = subprocess.run([sys.executable, ROOT / "stages" / f"{stage}.py", *options], stdout=sys.stderr, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def shares(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Dev micro F1 of each model over CAML's."""
    return {name: row["dev"]["micro F1"] / results[BASELINE]["dev"]["micro F1"] for name, row in results.items()}


def table(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown table, with dev / test in one cell, best on dev first."""
    rows = [["model", "parameters", *METRICS, "s/epoch", "share"], ["---"] * (len(METRICS) + 4)]
    for name, share in sorted(shares(results).items(), key=lambda item: -item[1]):
        row = results[name]
        cells = [f"{row['dev'][metric]:.3f} / {row['test'][metric]:.3f}" for metric in METRICS]
        rows.append([name, f"{row['parameters']:,}", *cells, f"{row['seconds']:.0f}", f"{share:.2f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
