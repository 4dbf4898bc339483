"""Compare all models with CAML: train each for the same number of epochs, and print a Markdown table of metrics.

    dvc repro
    python benchmarks/zoo.py --epochs 3 --share 0.5

Each model is trained by its recipe `quick`, except for the number of epochs, with params.yaml's corpus, label set and
seed; the epoch with the best dev monitor counts. Thresholds are tuned on dev. `share` is dev micro F1 over CAML's. If
that of a model is not above --share, its name is printed and the exit code is 1. A model that was measured with the
same settings, code and inputs is not trained again; a training that was stopped is resumed.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import operator
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from medcode import config, io, models
from medcode.reruns.closure import Project
from medcode.reruns.stages import project
from medcode.studies.definition import resolve

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
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=models.names(), metavar="MODEL", help="default: all on words")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.5, help="of CAML's dev micro F1 that every model must pass")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--files", type=Path, default=ROOT / "configs/models", help="the folder of the models' files")
    parser.add_argument("--inputs", type=Path, default=ROOT / "data/inputs")
    parser.add_argument("--out", type=Path, default=ROOT / "logs/zoo")
    arguments = parser.parse_args()
    names = arguments.models or [name for name in models.names() if on_words(name, arguments)]
    results = {name: measure(name, arguments) for name in dict.fromkeys([BASELINE, *names])}
    print(table(results))
    below = [f"{name} ({share:.2f})" for name, share in shares(results).items() if share <= arguments.share]
    if below:
        sys.exit(f"not above {arguments.share:g} of {BASELINE}'s dev micro F1: {', '.join(below)}")


def on_words(name: str, arguments: argparse.Namespace) -> bool:
    """Whether a model reads words and predicts the codes of a label set in one head."""
    options = config.load_model(arguments.files / f"{name}.yaml", name, "quick", "full").config
    return "icd" in options.heads and not options.uses_subwords


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Parameters, seconds per epoch, and dev and test metrics of a model, which is trained if they are not on disk."""
    file = config.read_yaml(arguments.files / f"{name}.yaml")
    recipe = file["recipes"]["quick"] | {"epochs": arguments.epochs, "patience": None}
    settings = config.read_yaml(arguments.params) | {"model": name, "recipe": "quick", "encoder": "none"}
    settings |= {"options": file["options"], "recipes": {"quick": recipe}}
    path, code = arguments.out / f"{name}.yaml", project(ROOT)
    io.write_text(path, yaml.safe_dump(settings, sort_keys=False))
    folder = arguments.out / f"{name}-{fingerprint(path, code, arguments.inputs)}"
    result = folder / "result.json"
    if not result.exists():
        io.write_text(folder / "params.yaml", path.read_text())
        io.write_json(folder / "code.json", resolve.training_code(path, code))
        run("train", folder, settings, arguments.inputs)
        epochs = [json.loads(line)["seconds"] for line in (folder / "train.jsonl").read_text().splitlines()]
        total = io.read_json(folder / "train.json")["parameters"]["total"]
        values = {"parameters": total, "seconds": statistics.median(epochs)}
        for split, inputs in (("dev", with_dev_as_test(folder, arguments.inputs)), ("test", arguments.inputs)):
            run("evaluate", folder, settings, inputs)
            metrics = io.read_json(folder / "test.json")["icd"]
            values[split] = {name: value_at(metrics, keys) for name, keys in METRICS.items()}
        io.write_json(result, values)
    return io.read_json(result)


def fingerprint(settings: Path, code: Project, inputs: Path) -> str:
    """Identify a training and its measurement: their parameters, code and inputs."""
    digest = hashlib.sha256(json.dumps(resolve.run_fingerprint(settings, code), sort_keys=True).encode())
    for path in sorted(path for path in inputs.rglob("*") if path.is_file()):
        with open(path, "rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def fill_in(text: str, settings: dict[str, Any]) -> str:
    """Replace ${...} by parameters, as DVC does."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(value_at(settings, match[1].split("."))), text)


def value_at(values: dict[str, Any], keys: Sequence[str]) -> Any:
    """Return the value at a path of keys in nested mappings."""
    return functools.reduce(operator.getitem, keys, values)


def with_dev_as_test(folder: Path, inputs: Path) -> Path:
    """Link to the inputs with dev in place of test, so that dev can be evaluated as test."""
    links = folder / "inputs-dev"
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    for path in inputs.resolve().iterdir():
        (links / path.name).symlink_to(path.with_name("dev") if path.name == "test" else path)
    return links


def run(stage: str, folder: Path, settings: dict[str, Any], inputs: Path) -> None:
    """Run a stage as dvc.yaml does, but with outputs in the folder. Exit with its exit code if it fails."""
    script, *options = shlex.split(fill_in(STAGES[stage]["cmd"], settings))[1:]
    pairs = zip(options[::2], options[1::2], strict=True)
    overrides = {"--params": folder / "params.yaml", "--inputs": inputs, "--model": folder / "model"}
    if stage == "train":
        overrides |= {"--model-settings": folder / "params.yaml", "--code": folder / "code.json"}
    deps = {fill_in(path, settings) for path in STAGES[stage]["deps"]}
    paths = {name: ROOT / path if path in deps else folder / Path(path).name for name, path in pairs} | overrides
    command = [sys.executable, ROOT / script, *(str(argument) for pair in paths.items() for argument in pair)]
    if code := subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        sys.exit(code)


def shares(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Dev micro F1 of each model over CAML's."""
    return {name: row["dev"]["micro F1"] / results[BASELINE]["dev"]["micro F1"] for name, row in results.items()}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table, with dev / test in one cell, best on dev first."""
    rows = [["model", "parameters", *METRICS, "s/epoch", "share"], ["---"] * (len(METRICS) + 4)]
    for name, share in sorted(shares(results).items(), key=lambda item: -item[1]):
        row = results[name]
        cells = [f"{row['dev'][metric]:.3f} / {row['test'][metric]:.3f}" for metric in METRICS]
        rows.append([name, f"{row['parameters']:,}", *cells, f"{row['seconds']:.0f}", f"{share:.2f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
