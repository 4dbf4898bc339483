"""Compare learning curves on a GPU with those on a CPU: the same model, weights, batches and seed.

    python benchmarks/curves.py caml multirescnn [--inputs data/inputs] [--epochs 3] [--steps 40]

Needs the inputs that `dvc repro` makes. Dropout is 0, because a GPU samples other random numbers. In fp32 the losses of
an epoch agree within a thousandth; in bf16 within a hundredth, and dev micro F1 within 0.02. Exits with 1 if they do
not.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "stages"))
import common  # noqa: F401  sets what the numeric libraries read when they are loaded

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator

import torch

from medcode import config, models
from medcode.dataset import arrays
from medcode.dataset.embedding_table import embedding_table
from medcode.engine import reproducibility
from medcode.engine.distributed import choose_device
from medcode.layers import fused_attention
from medcode.models.inputs import ModelInputs
from medcode.training import multi_seed
from medcode.training.checkpoint import Checkpoints
from medcode.training.state import Row
from medcode.training.trainer import Trainer

PARAMS, MODELS = Path("params.yaml"), Path("configs/models")
# Runs that are compared with fp32 on the CPU: precision, CUDA graphs, whether label attention streams, and the
# tolerances of losses (relative) and micro F1.
RUNS = {
    "fp32": ("fp32", False, False, 1e-3, 0.005),
    "bf16": ("bf16", False, False, 1e-2, 0.02),
    "bf16, label attention streams, graphs": ("bf16", True, True, 1e-2, 0.02),
}


class Engine(config.Section):
    """The sections of params.yaml that are read."""

    label_set: config.LabelSet
    training: config.Training


def train(
    name: str, data: arrays.Inputs, options: argparse.Namespace, device: str, run: tuple
) -> tuple[list[Row], float]:
    """Return the learning curve of one training, and its duration in seconds."""
    precision, graphs, streams, *_ = run
    parameters = config.load(Engine, PARAMS)
    model_settings = config.load_model(MODELS / f"{name}.yaml", name, "quick", parameters.label_set)
    recipe = model_settings.recipe.model_copy(update={"dropout": 0.0, "epochs": options.epochs, "patience": None})
    changes = {
        "precision": precision,
        "cuda_graphs": graphs,
        "limit_batches": options.steps,
        "threads": options.threads,
    }
    settings = parameters.training.model_copy(update=changes | {"checkpoint_steps": 10_000, "overfit_documents": 0})
    reproducibility.prepare(options.threads)
    torch.manual_seed(1)
    vectors = torch.from_numpy(embedding_table(data.vectors, recipe.embedding_init))
    without_dropout = model_settings.config.model_copy(update={"dropout": 0.0})
    heads = data.heads_named(model_settings.config.heads)
    model = models.find(name)(without_dropout, ModelInputs(heads=heads, vocab_size=len(vectors), vectors=vectors))
    with tempfile.TemporaryDirectory() as folder, label_attention_streams(streams):
        start = time.perf_counter()
        trainer = Trainer(model.to(choose_device(device)), data, recipe, settings, 1, Checkpoints(Path(folder)))
        return multi_seed.train([trainer])[0].history, time.perf_counter() - start


@contextlib.contextmanager
def label_attention_streams(streams: bool) -> Iterator[None]:
    """Use `fused_attention` for any number of labels, if `streams`."""
    limit = fused_attention.PLAIN_LABELS
    fused_attention.PLAIN_LABELS = 0 if streams else limit
    yield
    fused_attention.PLAIN_LABELS = limit


def compare(name: str, cpu_rows: list[Row], device_rows: list[Row], run: tuple, label: str) -> bool:
    """Print a row for each epoch. Return whether all are within the tolerance."""
    *_, loss_tolerance, f1_tolerance = run
    agree = True
    for cpu, gpu in zip(cpu_rows, device_rows, strict=True):
        losses = max(abs(gpu[key] / cpu[key] - 1) for key in ("train_loss", "dev_loss"))
        f1 = abs(gpu["f1_micro"] - cpu["f1_micro"])
        within = losses <= loss_tolerance and f1 <= f1_tolerance
        agree &= within
        cells = [
            name,
            label,
            f"{cpu['epoch']:.0f}",
            f"{cpu['dev_loss']:.5f}",
            f"{gpu['dev_loss']:.5f}",
            f"{losses:.1e}",
        ]
        cells += [f"{cpu['f1_micro']:.4f}", f"{gpu['f1_micro']:.4f}", "yes" if within else "NO"]
        print(f"| {' | '.join(cells)} |", flush=True)
    return agree


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--inputs", type=Path, default=Path("data/inputs"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="what is compared with the CPU")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40, help="of an epoch")
    parser.add_argument("--threads", type=int, default=8, help="of the CPU")
    options = parser.parse_args()
    if not options.inputs.is_dir():
        sys.exit(f"error: {options.inputs}: there are no inputs; `make repro` writes them")
    data, agree, seconds = arrays.load(options.inputs, ("train", "dev")), True, []
    columns = "model | on the device | epoch | dev loss, CPU | dev loss | losses differ by | F1, CPU | F1 | within"
    print(f"| {columns} |\n|{'---|' * (columns.count('|') + 1)}", flush=True)
    for name in options.models:
        cpu_rows, duration = train(name, data, options, "cpu", RUNS["fp32"])
        seconds.append(f"{name}: CPU {duration:.1f}")
        for label, run in RUNS.items():
            device_rows, duration = train(name, data, options, options.device, run)
            seconds.append(f"{label} {duration:.1f}")
            agree &= compare(name, cpu_rows, device_rows, run, label)
    print(f"\nSeconds of {options.epochs} epochs of {options.steps} steps: {'; '.join(seconds)}")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
