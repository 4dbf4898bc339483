"""Training steps on one core of a CPU: ours beside those of a plain twin (`twins.py`), in turns in one process.

    python benchmarks/cpu_steps.py                                      # all models on words, 50 labels
    python benchmarks/cpu_steps.py caml cnn --labels 8921 --released

Ours are the Trainer's, whole, with the published recipe; the twin gets the same batches as tensors. Every model takes
batches of equal lengths, and batches of MIMIC's lengths, scaled so that as large a share is cut as at 2,500 words; both
sides read these as the Trainer pads them. Time is CPU time of the process. A round is one step of each, and the ratio
is the median over the rounds of the twin's time by ours, then its quartiles. With --released padding is not masked, as
in the authors' code, and both compute the same function; without, ours masks it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "stages"))
import common  # noqa: F401  sets what the numeric libraries read when they are loaded

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rows import print_table
from torch import Tensor
from train import MEDIAN_WORDS, MODELS, PARAMS, SIGMA, Engine, random_inputs, synthetic_model_inputs
from twin_step import TwinStep
from twins import TWINS

from medcode import config, models
from medcode.config.recipes import model_settings
from medcode.engine import reproducibility
from medcode.models.base import Model, count_parameters
from medcode.models.catalog import MIMIC3_LABELS, default_recipe
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

PUBLISHED_CUT = 2_500  # words of a note that most recipes read
LENGTHS = "equal", "padded"
COLUMNS = "model", "labels", "lengths", "ours, notes per CPU s", "twin, notes per CPU s", "ratio", "quartiles"


@dataclass(frozen=True)
class Row:
    """One model on batches of one kind of lengths; `changes` are options of the model."""

    model: str
    lengths: str
    options: argparse.Namespace
    changes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.model} | {self.options.labels} | {self.lengths}"


def make_pair(row: Row) -> tuple[Trainer, TwinStep]:
    """Make a trainer of our model, and the step of its twin.

    Raises:
        ValueError: with `released`, their parameters do not count the same.
    """
    options, content = row.options, config.read_yaml(MODELS / f"{row.model}.yaml")
    content["options"] |= dict(row.changes) | {"match_released_code": options.released}
    label_set = "top50" if options.labels <= 50 else "full"
    settings = model_settings(content, f"{row.model}.yaml", row.model, default_recipe(content["recipes"]), label_set)
    recipe = settings.recipe.model_copy(update={"batch_size": options.batch, "max_tokens": options.words})
    sizes = MIMIC3_LABELS[label_set] | {"icd": options.labels}
    heads = {head: sizes[head] for head in settings.config.heads}
    reproducibility.prepare(threads=1)
    torch.manual_seed(1)
    inputs = synthetic_model_inputs(row.model, heads)
    model = models.find(row.model)(settings.config, inputs)
    twin = TWINS[row.model](settings.config, inputs)
    check_parameters(model, twin, released=options.released)
    engine = {"precision": "fp32", "overfit_documents": 0, "limit_batches": 0, "checkpoint_steps": sys.maxsize}
    training = config.load(Engine, PARAMS).training.model_copy(update=engine)
    random = np.random.default_rng(1)
    data = random_inputs(heads, document_lengths(row, random), random)
    trainer = Trainer(model, data, recipe, training, 1, Checkpoints(tempfile.gettempdir()))
    return trainer, TwinStep(twin, recipe, trainer.stepper.loss_weights)


def check_parameters(model: Model, twin: torch.nn.Module, *, released: bool) -> None:
    """Check that a model and its twin have as many parameters, in all and trainable.

    Our DR-CAML reads descriptions with the word vectors of the notes; only `released` gives it the twin's other table.

    Raises:
        ValueError: they have not.
    """
    ours, theirs = count_parameters(model), count_parameters(twin)
    if ours != theirs and (released or type(model).__name__ != "DrCaml"):
        raise ValueError(f"{type(model).__name__} has parameters {ours}, its twin {theirs}")


def document_lengths(row: Row, random: np.random.Generator) -> np.ndarray:
    """Return the words of each document, [n]: two batches for every round, to choose from."""
    words, count = row.options.words, 2 * row.options.batch * (row.options.rounds + 1)
    if row.lengths == "equal":
        return np.full(count, words)
    median = MEDIAN_WORDS * words / PUBLISHED_CUT
    return np.exp(random.normal(np.log(median), SIGMA, count)).astype(np.int64).clip(1, words)


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the CPU time that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def twin_batch(trainer: Trainer, step: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return words, lengths and gold labels of a batch of the trainer."""
    batch, notes, targets = trainer.batches[step], trainer.device_data.train_notes, trainer.device_data.train_targets
    documents = torch.from_numpy(batch.documents)
    gold = {head: labels.rows(documents) for head, labels in targets.items()}
    return *notes.gather(documents, batch.length), gold


def twin_round(step: TwinStep, batch: tuple[Tensor, Tensor, dict[str, Tensor]]) -> float:
    """Return the CPU time of a step of the twin, without the determinism that our engine asks torch for."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    seconds = cpu_seconds(lambda: step(*batch))
    torch.set_deterministic_debug_mode(mode)
    return seconds


def run_rounds(trainer: Trainer, step: TwinStep, rounds: int) -> np.ndarray:
    """Return the CPU seconds of a step of ours and of the twin in each round, [rounds, 2], after one of each."""
    seconds = []
    full = [batch for batch in trainer.batches if len(batch.documents) == trainer.recipe.batch_size]
    trainer.batches = full[: rounds + 1]
    for number in range(rounds + 1):
        batch = twin_batch(trainer, number)
        turns = [(0, lambda: cpu_seconds(trainer.train_step)), (1, lambda batch=batch: twin_round(step, batch))]
        times = {side: turn() for side, turn in (turns if number % 2 else turns[::-1])}
        seconds.append([times[0], times[1]])
    return np.array(seconds[1:])


def measure(row: Row) -> list[str]:
    """Measure a row of the table."""
    trainer, step = make_pair(row)
    seconds = run_rounds(trainer, step, row.options.rounds)
    low, ratio, high = np.quantile(seconds[:, 1] / seconds[:, 0], (0.25, 0.5, 0.75))
    notes = row.options.batch / np.median(seconds, axis=0)
    labels = " + ".join(f"{number:,}" for number in trainer.model.heads.values())
    rates = [f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}" for rate in notes]
    return [row.model, labels, row.lengths, *rates, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}"]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="model", help=f"(default: all) of {', '.join(TWINS)}")
    parser.add_argument("--labels", type=int, default=50, help="of ICD codes (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="notes of a step (default: %(default)s)")
    parser.add_argument("--words", type=int, default=512, help="that notes are cut to (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="(default: %(default)s)")
    parser.add_argument("--lengths", choices=LENGTHS, nargs="+", default=LENGTHS)
    parser.add_argument("--released", action="store_true", help="ours with match_released_code: true")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.models) - set(TWINS)):
        parser.error(f"no twin of {', '.join(unknown)}")
    return options


def table_rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows of the table."""
    names = options.models or sorted(TWINS)
    return [Row(name, lengths, options) for name, lengths in itertools.product(names, options.lengths)]


def main() -> None:
    """Print a table in Markdown."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that measure
    print_table(COLUMNS, table_rows(parse()), measure, "cpu")


if __name__ == "__main__":
    main()
