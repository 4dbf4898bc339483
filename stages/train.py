"""Trains the model that params.yaml names, and writes it as a folder that needs nothing else."""

from __future__ import annotations

from common import stage

import contextlib
import os
import sys
from pathlib import Path

import torch

from medcode import inputs, io, model_folder, models
from medcode.config import Params
from medcode.layers.medical_code_attention import Edges
from medcode.models.base import Model
from medcode.training import curve, distributed, outcome, reproducibility
from medcode.training.checkpoint import Checkpoints, fingerprint
from medcode.training.loop import Result, Trainer


@stage(inputs=Path, checkpoints=Path, timings=Path, curve=Path, metrics=Path, model=Path)
def main(params: Params, **paths: Path) -> None:
    if params.training.processes > 1 and "WORLD_SIZE" not in os.environ:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={params.training.processes}"]
        os.execv(sys.executable, [sys.executable, *torchrun, *sys.argv])
    reproducibility.prepare(params.training.threads)
    device = distributed.choose_device(params.training.device)
    with distributed.join(device) as world:
        train(params, paths, device, world)


def train(params: Params, paths: dict[str, Path], device: torch.device, world: distributed.World) -> None:
    block = params.models[params.model]
    recipe = block.training[params.recipe]
    config = models.configure(params.model, block.architecture, recipe)
    kind = models.find(params.model)
    needs = {"descriptions": kind.needs_descriptions, "edges": kind.needs_edges}
    data = inputs.load(paths["inputs"], ("train", "dev"), **needs)
    torch.manual_seed(params.seed)
    vectors, heads = torch.from_numpy(data.vectors), data.heads_named(config.heads)
    model = kind(config, len(vectors), vectors, heads, **known_of_labels(kind, data, heads)).to(device)
    settings = {
        "config": config.model_dump(),
        "recipe": recipe.model_dump(),
        "seed": params.seed,
        "training": params.training.model_dump(exclude={"checkpoint_steps"}),
    }
    checkpoints = Checkpoints(paths["checkpoints"] / fingerprint(settings, paths["inputs"], model))

    def on_epoch(history: list[dict[str, float]], seconds: float) -> None:
        curve.write_curve(paths["curve"], history)
        if seconds:
            curve.append_log(paths["timings"], {"model": params.model, "seconds": round(seconds, 2), **history[-1]})
            shown = "  ".join(f"{k} {v:.4f}" for k, v in history[-1].items() if k not in ("epoch", "learning_rate"))
            print(f"epoch {history[-1]['epoch']:>3}  {shown}  {seconds:.1f} s", flush=True)

    with checkpoints.locked() if world.leads else contextlib.nullcontext():
        trainer = Trainer(model, data, recipe, params.training, params.seed, checkpoints, world, on_epoch)
        result = trainer.run()
        if world.leads:
            model.finish({head: torch.from_numpy(data.train_counts(head)) for head in model.heads})
            write(params, paths, model, data, result)
            checkpoints.remove()


def known_of_labels(kind: type[Model], data: inputs.Inputs, heads: dict[str, int]) -> dict[str, dict]:
    known = {}
    if kind.needs_descriptions:
        known["descriptions"] = {head: torch.from_numpy(data.descriptions[head]).long() for head in heads}
    if kind.needs_edges:
        known["edges"] = {
            head: Edges(*torch.from_numpy(pairs), torch.from_numpy(weights))
            for head, (pairs, weights) in data.edges.items()
        }
    return known


def write(params: Params, paths: dict[str, Path], model: Model, data: inputs.Inputs, result: Result) -> None:
    max_tokens = params.models[params.model].training[params.recipe].max_tokens
    thresholds = outcome.tune_thresholds(model, data, max_tokens, params.training.precision)
    labels = {head: data.labels[head] for head in model.heads}
    trained = model_folder.TrainedModel(
        params.model, model, data.vocabulary, labels, thresholds, max_tokens, data.rule, params.label_set
    )
    provenance = {"corpus": params.corpus, "recipe": params.recipe, "seed": params.seed}
    model_folder.save(paths["model"], trained, provenance)
    io.write_metrics(paths["metrics"], outcome.metrics(params, model, result, thresholds))


if __name__ == "__main__":
    main()
