"""Notes per second and peak memory of training a model on an encoder, on any device.

Run as `python benchmarks/encoders.py` from the root of the repository, for instance
`python benchmarks/encoders.py plm_icd --size roberta-base-pm --subwords 3070 --batch 16 --device cuda`. Weights
and notes are random, which does not change the time. --folder takes your own encoder, --options takes options of the
model's file, such as chunk=256.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "stages"))
import common  # noqa: F401  sets what the numeric libraries read when they are loaded

import argparse
import time
from dataclasses import replace

import torch
import yaml
from rows import clock, peak_mib, print_table

from medcode import config, models
from medcode.config.recipes import model_settings
from medcode.encoders import folder
from medcode.engine import distributed, reproducibility
from medcode.engine.precision import autocast
from medcode.models.base import Model, count_parameters
from medcode.models.catalog import PUBLISHED_SIZES
from medcode.models.inputs import ModelInputs
from medcode.training.losses import head_losses
from medcode.training.optimizer import make_optimizer

COLUMNS = (
    "model", "encoder", "parameters", "labels", "notes x subwords", "at once", "precision", "s/step", "notes/s",
    "peak, MiB",
)  # fmt: skip


def build(
    name: str, checkpointing: bool, arguments: argparse.Namespace, device: torch.device
) -> tuple[Model, config.Recipe]:
    """Build the model on its device, with its published recipe."""
    path = Path(f"configs/models/{name}.yaml")
    content = config.read_yaml(path)
    for option in arguments.options:
        key, value = option.split("=", 1)
        content["options"][key] = yaml.safe_load(value)
    label_set = "top50" if arguments.labels <= 50 else "full"
    settings = model_settings(content, path, name, "published", label_set)
    encoder = folder.read(arguments.folder) if arguments.folder else PUBLISHED_SIZES[arguments.size]
    if arguments.tiny:
        sizes = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}
        encoder = replace(encoder, config=encoder.config | sizes)
    inputs = ModelInputs(heads={"icd": arguments.labels}, encoder=encoder)
    with device:
        model = models.find(name)(settings.config, inputs)
    if checkpointing:
        model.enable_gradient_checkpointing()
    return model.train(), settings.recipe


def step(model: Model, recipe: config.Recipe, optimizer: torch.optim.Optimizer, arguments: argparse.Namespace) -> None:
    """Update the weights once, with notes of the maximum length."""
    batch, at_once, device = arguments.batch, arguments.micro_batch or arguments.batch, next(model.parameters()).device
    optimizer.zero_grad(set_to_none=True)
    for start in range(0, batch, at_once):
        notes = min(at_once, batch - start)
        tokens = torch.randint(1000, 2000, (notes, arguments.subwords), device=device)
        lengths = torch.full((notes,), arguments.subwords, device=device)
        gold = {"icd": (torch.rand(notes, arguments.labels, device=device) < 0.01).float()}
        with autocast(device, arguments.precision):
            logits = model(tokens, lengths)
        (head_losses(logits, gold, recipe)["icd"].sum() / batch).backward()
    optimizer.step()


def measure(row: tuple[str, str, argparse.Namespace]) -> list[str]:
    """Seconds per step after a warm-up step, notes per second, and peak memory."""
    name, checkpointing, arguments = row
    reproducibility.prepare(arguments.threads)
    device = distributed.choose_device(arguments.device)
    initial_mib = peak_mib(arguments.device, reset=True)
    model, recipe = build(name, checkpointing == "on", arguments, device)
    optimizer = make_optimizer(model, recipe, model.layer_depths())
    step(model, recipe, optimizer, arguments)
    clock(arguments.device)
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step(model, recipe, optimizer, arguments)
    clock(arguments.device)
    seconds = (time.perf_counter() - start) / arguments.steps
    peak = peak_mib(arguments.device) - (0 if arguments.device == "cuda" else initial_mib)
    at_once = f"{arguments.micro_batch or arguments.batch}{', checkpointing' if checkpointing == 'on' else ''}"
    cells = [name, str(arguments.folder or arguments.size), f"{count_parameters(model)['total']:,}"]
    cells += [f"{arguments.labels:,}", f"{arguments.batch} x {arguments.subwords}", at_once, arguments.precision]
    return [*cells, f"{seconds:.3f}", f"{arguments.batch / seconds:.1f}", f"{peak:,.0f}"]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=("bert_hier", "bert_trun", "plm_icd"))
    parser.add_argument("--size", default="bert-base-uncased", choices=sorted(PUBLISHED_SIZES), help="of the encoder")
    parser.add_argument("--folder", type=Path, help="data/encoder, instead of --size")
    parser.add_argument("--options", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--subwords", type=int, default=510, help="of a note")
    parser.add_argument("--batch", type=int, default=8, help="notes")
    parser.add_argument("--micro-batch", type=int, default=0, help="notes at a time; 0: all")
    parser.add_argument(
        "--checkpointing", choices=("off", "on"), nargs="+", default=["off"], help="compute activations twice"
    )
    parser.add_argument("--steps", type=int, default=5, help="after a first one that is not timed")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--tiny", action="store_true", help="an encoder of one small layer, to try the benchmark itself"
    )
    arguments = parser.parse_args()
    rows = [(name, how, arguments) for name in arguments.models for how in arguments.checkpointing]
    print_table(COLUMNS, rows, measure, arguments.device)


if __name__ == "__main__":
    main()
