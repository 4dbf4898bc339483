"""Speed and memory of training: any model, label count, batch, device and precision, on documents of MIMIC's lengths.

    python benchmarks/train.py caml multirescnn laat --label-set full --device cuda --against
    python benchmarks/train.py all --label-set top50 --device cuda --graphs off on --against
    python benchmarks/train.py mt_ram --label-set top50 --device cuda --seeds 10 --graphs on --against

Words and codes are random; lengths are log-normal with the median of MIMIC-III's discharge summaries, and the
vocabulary is as large as caml-mimic's. Steps are those of the Trainer, over the batches of its first epoch, after a
step or two at each length that it pads to. Recipe and options are those of the model's file in configs/models. Hours
are those that all epochs of the recipe would take, on the training notes of MIMIC-III that have codes of the set.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "stages"))
import common  # noqa: F401  sets what the numeric libraries read when they are loaded

import argparse
import copy
import functools
import itertools
import tempfile
import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from rows import peak_mib, print_table
from scipy import sparse
from torch.utils.flop_counter import FlopCounterMode

from medcode import config, models
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.engine import reproducibility
from medcode.engine.batches import Batch
from medcode.engine.distributed import choose_device
from medcode.errors import UserError, report
from medcode.layers import fused_attention
from medcode.layers.code_edges import Edges
from medcode.models.base import Model
from medcode.models.catalog import MIMIC3_LABELS, MIMIC4_LABELS, default_recipe
from medcode.models.inputs import ModelInputs
from medcode.training import multi_seed
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

PARAMS, MODELS = Path("params.yaml"), Path("configs/models")
ROWS, VECTOR, DESCRIPTION, CODES = 51_919, 100, 8, 16
MEDIAN_WORDS, SIGMA = 1_350, 0.55  # mean 1,570; 95 of 100 documents below 3,340

# Notes a second of the authors' implementations, measured on one H200 with torch 2.11, batches as in their recipes:
# those of Edin et al. (2023) in fp16, MT-RAM's own in fp32.
AUTHORS = {
    ("cnn", 8921): 2347, ("caml", 8921): 1078, ("multirescnn", 8921): 132, ("laat", 8921): 57,
    ("cnn", 50): 1979, ("caml", 50): 1407, ("multirescnn", 50): 134, ("laat", 50): 53, ("mt_ram", 50, 38): 132,
}  # fmt: skip
# Matrix products a second by data sheet, without sparsity: bf16, fp32.
PEAK = {"H200": (989e12, 67e12), "H100": (989e12, 67e12), "A100": (312e12, 19.5e12)}
COLUMNS = (
    "model", "labels", "batch, max words", "precision", "graphs", "notes/s", "ms/step", "of it CPU", "peak, MiB",
    "padding", "TFLOP", "of peak", "hours",
)  # fmt: skip
ON_SUBWORDS = "bert_hier", "bert_trun", "plm_icd"  # benchmarks/encoders.py
TRAIN_NOTES = {"top50": 8_066, "full": 47_719}  # of MIMIC-III, with the splits of Mullenbach et al. 2018


@dataclass(frozen=True)
class Row:
    """One model, with or without graphs."""

    model: str
    precision: str
    graphs: str
    options: argparse.Namespace

    def __str__(self) -> str:
        return f"{self.model} | | | {self.precision} | {self.graphs}"


@functools.cache
def synthetic_inputs(heads: tuple[tuple[str, int], ...], max_tokens: int, documents: int) -> Inputs:
    """Return inputs with a split of random words and codes as train and as dev."""
    random = np.random.default_rng(1)
    lengths = np.exp(random.normal(np.log(MEDIAN_WORDS), SIGMA, documents)).astype(np.int64).clip(1, max_tokens)
    return random_inputs(dict(heads), lengths, random)


def random_inputs(heads: dict[str, int], lengths: np.ndarray, random: np.random.Generator) -> Inputs:
    """Return inputs with documents of the given lengths as train and as dev, of random words and codes."""
    documents, ends = len(lengths), lengths.cumsum()
    gold = {
        head: sparse.random_array((documents, labels), density=min(0.5, CODES / labels), rng=random) > 0
        for head, labels in heads.items()
    }
    split = Split(
        documents=[str(number) for number in range(documents)],
        offsets=np.stack([ends - lengths, ends], axis=1),
        targets={
            head: Targets(sparse.csr_matrix(labels, dtype=np.uint8), np.ones(documents, bool))
            for head, labels in gold.items()
        },
    )
    tokens = random.integers(1, ROWS, int(ends[-1]), dtype=np.int32)
    labels = {head: [{"train_documents": int(n)} for n in matrix.sum(axis=0)] for head, matrix in gold.items()}
    return Inputs(tokens, [], np.empty(0), labels, "caml", {"train": split, "dev": split})


class Engine(config.Section):
    """The sections of params.yaml that are read."""

    label_set: config.LabelSet
    training: config.Training


def synthetic_model_inputs(name: str, heads: dict[str, int]) -> ModelInputs:
    """Return a model's inputs: random word vectors, and random descriptions and links if the model needs them."""
    needs, edges = config.models.find(name), None
    descriptions = {head: torch.randint(1, ROWS, (labels, DESCRIPTION)) for head, labels in heads.items()}
    if needs.needs_edges:
        pairs = torch.stack([torch.randint(labels, (20_000,)) for labels in heads.values()]).unique(dim=1)
        pairs_of = zip(heads, (pairs, pairs.flip(0)), strict=True)
        edges = {head: Edges(*numbers, torch.ones(numbers.shape[1])) for head, numbers in pairs_of}
    descriptions = descriptions if needs.needs_descriptions else None
    vectors = torch.randn(ROWS, VECTOR)
    return ModelInputs(heads=heads, vocab_size=ROWS, vectors=vectors, descriptions=descriptions, edges=edges)


def make_trainers(row: Row) -> list[Trainer]:
    """Make a trainer of the model for each seed, as the stage does, on synthetic inputs."""
    options = row.options
    path = MODELS / f"{row.model}.yaml"
    recipe_name = options.recipe or default_recipe(config.read_yaml(path)["recipes"])
    model_settings = config.load_model(path, row.model, recipe_name, options.label_set)
    changes = {"batch_size": options.batch, "max_tokens": options.max_tokens}
    recipe = model_settings.recipe.model_copy(update={k: v for k, v in changes.items() if v})
    engine = {"precision": row.precision, "kernels": options.kernels, "cuda_graphs": row.graphs == "on"}
    engine |= {"overfit_documents": 0, "limit_batches": 0, "checkpoint_steps": sys.maxsize}
    settings = config.load(Engine, PARAMS).training.model_copy(update=engine)
    sizes = MIMIC3_LABELS[options.label_set] | MIMIC4_LABELS
    heads = {head: sizes[head] for head in model_settings.config.heads}
    reproducibility.prepare(options.threads, options.kernels)
    torch.manual_seed(1)
    model_cls, model_inputs = models.find(row.model), synthetic_model_inputs(row.model, heads)
    inputs = synthetic_inputs(tuple(heads.items()), recipe.max_tokens, options.documents)
    trainers: list[Trainer] = []
    for seed in range(options.seeds):
        model = model_cls(model_settings.config, model_inputs).to(choose_device(options.device))
        first = trainers[0] if trainers else None
        checkpoints = Checkpoints(tempfile.gettempdir())
        trainers.append(Trainer(model, inputs, recipe, settings, seed, checkpoints, share_data_with=first))
    return trainers


def run_steps(trainers: list[Trainer], batches: list[Batch]) -> tuple[float, float]:
    """Wall time and CPU time, in seconds, of steps of all trainers in turns."""
    streams = multi_seed.streams(trainers)
    for trainer in trainers:
        trainer.batches, trainer.state.step_in_epoch = batches, 0
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in batches:
        for trainer, stream in zip(trainers, streams, strict=True):
            with stream:
                trainer.train_step()
    cpu_seconds = time.process_time() - cpu_start
    if trainers[0].device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, cpu_seconds


def show_kernels(trainers: list[Trainer], plan: list[Batch]) -> None:
    """Print the kernels that take most of a GPU's time in some steps."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        run_steps(trainers, plan)
    by_kernel = profiler.key_averages()
    print(by_kernel.table(sort_by="self_cuda_time_total", row_limit=18, max_name_column_width=90), file=sys.stderr)


def flops_of_a_word(model: Model) -> float:
    """FLOP per word in matrix products and convolutions, forward and backward, without recomputation.

    Counted on a CPU, where recurrent networks consist of such products too, with the plain form of label attention.
    """
    twin, words = copy.deepcopy(model).cpu().eval(), 512
    counter, limit = FlopCounterMode(display=False), fused_attention.PLAIN_LABELS
    fused_attention.PLAIN_LABELS = sys.maxsize
    with torch.no_grad(), warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False), counter:
        twin(torch.randint(1, ROWS, (1, words)), torch.tensor([words]))
    fused_attention.PLAIN_LABELS = limit
    return 3 * counter.get_total_flops() / words  # backward makes two products for each of forward's


def device_peak(device: torch.device, precision: str) -> float | None:
    """Peak FLOP per second of the device; None if unknown."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return next((peaks[precision == "fp32"] for card, peaks in PEAK.items() if card in name), None)


def format_number(value: float) -> str:
    """Format a number with three significant digits, or with all digits before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def measure(row: Row) -> list[str]:
    """Train one model for some steps."""
    options = row.options
    initial_mib = peak_mib(options.device, reset=True)
    try:
        trainers = make_trainers(row)
    except UserError as error:
        sys.exit(report(error))
    trainer = trainers[0]
    plan = trainer.epoch_batches(0)
    lengths = list({batch.length: batch for batch in plan}.values())
    run_steps(trainers, lengths * (2 if row.graphs == "on" else 1))  # the second step of a length is captured
    plan = plan[: options.steps]
    seconds, cpu_seconds = run_steps(trainers, plan)
    peak = peak_mib(options.device) - (0 if options.device == "cuda" else initial_mib)
    if options.profile and options.device == "cuda":
        print(f"{row.model}, {len(plan[:5])} steps:", file=sys.stderr)
        show_kernels(trainers, plan[:5])
    notes, padded = sum(len(batch.documents) for batch in plan), sum(len(b.documents) * b.length for b in plan)
    notes *= options.seeds
    words = sum(int(trainer.lengths[batch.documents].sum()) for batch in plan)
    operations = flops_of_a_word(trainer.model) * padded * options.seeds
    rate, recipe, labels = device_peak(trainer.device, row.precision), trainer.recipe, trainer.model.heads.values()
    cells = [row.model, " + ".join(f"{number:,}" for number in labels), f"{recipe.batch_size}, {recipe.max_tokens}"]
    cells += [row.precision, row.graphs]
    cells += map(format_number, (notes / seconds, 1000 * seconds / len(plan), 1000 * cpu_seconds / len(plan), peak))
    cells += [f"{1 - words / padded:.1%}", format_number(operations / len(plan) / 1e12)]
    cells.append(f"{operations / seconds / rate:.1%}" if rate else "unknown")
    cells.append(
        format_number(TRAIN_NOTES[options.label_set] * options.seeds * recipe.epochs / (notes / seconds) / 3600)
    )
    if options.against:
        authors = AUTHORS.get((row.model, *labels))
        cells += [f"{authors:,}", format_number(notes / seconds / authors)] if authors else ["unknown"] * 2
    return cells


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = [name for name in models.names() if name not in (*ON_SUBWORDS, "linear")]  # linear takes no steps
    parser.add_argument("models", nargs="+", help=f"all, or some of {', '.join(words)}")
    parser.add_argument(
        "--label-set", choices=TRAIN_NOTES, default="top50", help="MIMIC-III's (of two heads MIMIC-IV's)"
    )
    parser.add_argument("--recipe", help="(default: the published one)")
    for name in ("--batch", "--max-tokens"):
        parser.add_argument(name, type=int, help="(default: the recipe's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), nargs="+", default=["auto"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--documents", type=int, default=4000, help="of the corpus (default: %(default)s)")
    parser.add_argument("--kernels", choices=("auto", "plain", "fused"), default="auto", help="training.kernels")
    parser.add_argument("--seeds", type=int, default=1, help="models that train side by side; notes/s are of all")
    parser.add_argument("--graphs", choices=("off", "on"), nargs="+", default=["off"], help="training.cuda_graphs")
    parser.add_argument("--against", action="store_true", help="beside the authors' code on one H200")
    parser.add_argument("--profile", action="store_true", help="also what a GPU spends its time on")
    options = parser.parse_args()
    names = words if options.models == ["all"] else options.models
    rows = [Row(name, *how, options) for name in names for how in itertools.product(options.precision, options.graphs)]
    columns = [*COLUMNS, *(("authors, notes/s", "times as fast") if options.against else ())]
    print_table(columns, rows, measure, options.device)


if __name__ == "__main__":
    main()
