"""Notes a second and peak memory of training a model on an encoder, on any device.

Run as `python benchmarks/encoders.py` from the root of the repository, for instance
`python benchmarks/encoders.py --model plm_icd --size roberta-base-pm --pieces 3070 --batch 16 --device cuda`. Weights
and notes are random, which changes nothing of the time. --folder takes an encoder of your own, --options options of
the model's file, such as chunk=256.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch
import yaml

from medcode import config, models
from medcode.config.recipes import model_settings
from medcode.encoders import folder
from medcode.encoders.outline import Encoder
from medcode.models.base import Basis, Model, count_parameters
from medcode.models.catalogue import PUBLISHED_SIZES
from medcode.training import distributed
from medcode.training.optimisation import head_losses, make_optimiser
from medcode.training.precision import autocast


def build(arguments: argparse.Namespace, encoder: Encoder) -> tuple[Model, config.Recipe]:
    """The model with its published recipe, on its device."""
    path = Path(f"configs/models/{arguments.model}.yaml")
    content = config.read_yaml(path)
    for option in arguments.options:
        key, value = option.split("=", 1)
        content["options"][key] = yaml.safe_load(value)
    label_set = "top50" if arguments.labels <= 50 else "full"
    chosen = model_settings(content, path, arguments.model, "published", label_set)
    model = models.find(arguments.model).build(chosen.config, Basis(encoder=encoder), {"icd": arguments.labels})
    if arguments.checkpointing:
        model.save_memory()
    return model.to(arguments.device).train(), chosen.recipe


def step(model: Model, recipe: config.Recipe, optimiser: torch.optim.Optimizer, arguments: argparse.Namespace) -> None:
    """One update of the weights, on notes that all have the longest length."""
    whole, at_once, device = arguments.batch, arguments.micro_batch or arguments.batch, arguments.device
    optimiser.zero_grad(set_to_none=True)
    for start in range(0, whole, at_once):
        notes = min(at_once, whole - start)
        tokens = torch.randint(1000, 2000, (notes, arguments.pieces), device=device)
        lengths = torch.full((notes,), arguments.pieces, device=device)
        gold = {"icd": (torch.rand(notes, arguments.labels, device=device) < 0.01).float()}
        with autocast(device, arguments.precision):
            logits = model(tokens, lengths)
        (head_losses(logits, gold, recipe)["icd"].sum() / whole).backward()
    optimiser.step()
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak(device: torch.device) -> float:
    """Peak memory so far, GiB: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Reads the options, trains for some steps and prints a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bert_hier", choices=("bert_hier", "bert_trun", "plm_icd"))
    parser.add_argument("--size", default="bert-base-uncased", choices=sorted(PUBLISHED_SIZES), help="of the encoder")
    parser.add_argument("--folder", type=Path, help="data/encoder, instead of --size")
    parser.add_argument("--options", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--pieces", type=int, default=510, help="of a note")
    parser.add_argument("--batch", type=int, default=8, help="notes")
    parser.add_argument("--micro-batch", type=int, default=0, help="notes at a time; 0: all")
    parser.add_argument("--checkpointing", action="store_true", help="compute activations twice")
    parser.add_argument("--steps", type=int, default=5, help="after a first one that is not timed")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.device = distributed.choose_device(arguments.device)
    encoder = folder.read(arguments.folder) if arguments.folder else PUBLISHED_SIZES[arguments.size]
    model, recipe = build(arguments, encoder)
    optimiser = make_optimiser(model, recipe, model.layers_above())
    step(model, recipe, optimiser, arguments)
    started = time.perf_counter()
    for _ in range(arguments.steps):
        step(model, recipe, optimiser, arguments)
    seconds = (time.perf_counter() - started) / arguments.steps
    print(
        f"{arguments.model} on {arguments.folder or arguments.size}, {count_parameters(model)['total']:,} parameters, "
        f"{arguments.batch} notes of {arguments.pieces} pieces, {arguments.labels} labels, {arguments.device}: "
        f"{seconds:.2f} s a step, {arguments.batch / seconds:.2f} notes/s, peak {peak(arguments.device):.2f} GiB"
    )


if __name__ == "__main__":
    main()
