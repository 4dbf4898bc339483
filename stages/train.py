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
from medcode.encoders.pieces import PieceTokenizer
from medcode.models.base import Model
from medcode.training import curve, distributed, outcome, reproducibility, start
from medcode.training.checkpoint import Checkpoints, fingerprint
from medcode.training.initialisation import initialise
from medcode.training.loop import Result, Trainer
from medcode.training.titles import with_title_documents


@stage(
    inputs=Path, subword=Path, encoder=Path, pretrained=Path,
    checkpoints=Path, timings=Path, curve=Path, metrics=Path, model=Path,
)  # fmt: skip
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
    data, basis, tokenizer = start.read(kind, config, paths, titles=recipe.reads_titles)
    torch.manual_seed(params.seed)
    model = start.build(kind, config, basis, data).to(device)
    initialise(model, recipe, data)
    seen = with_title_documents(data, model.heads) if recipe.title_documents else data
    settings = {
        "config": config.model_dump(),
        "recipe": recipe.model_dump(),
        "seed": params.seed,
        "training": params.training.model_dump(exclude={"checkpoint_steps"}),
    }
    read = [paths[name] for name in ("inputs", "subword", "encoder", "pretrained")]  # all but one empty without pieces
    checkpoints = Checkpoints(paths["checkpoints"] / fingerprint(settings, read, model))

    def on_epoch(history: list[dict[str, float]], seconds: float) -> None:
        curve.write_curve(paths["curve"], history)
        if seconds:
            curve.append_log(paths["timings"], {"model": params.model, "seconds": round(seconds, 2), **history[-1]})
            shown = "  ".join(f"{k} {v:.4f}" for k, v in history[-1].items() if k not in ("epoch", "learning_rate"))
            print(f"epoch {history[-1]['epoch']:>3}  {shown}  {seconds:.1f} s", flush=True)

    with checkpoints.locked() if world.leads else contextlib.nullcontext():
        trainer = Trainer(model, seen, recipe, params.training, params.seed, checkpoints, world, on_epoch)
        result = trainer.run()
        if world.leads:
            model.finish({head: torch.from_numpy(data.train_counts(head)) for head in model.heads})
            write(params, paths, model, data, result, tokenizer)
            checkpoints.remove()


def write(
    params: Params, paths: dict[str, Path], model: Model, data: inputs.Inputs, result: Result, tokenizer: str | None
) -> None:
    max_tokens = params.models[params.model].training[params.recipe].max_tokens
    thresholds = outcome.tune_thresholds(model, data, max_tokens, params.training.precision)
    labels = {head: data.labels[head] for head in model.heads}
    pieces = None if tokenizer is None else PieceTokenizer(tokenizer, params.subword.text)
    trained = model_folder.TrainedModel(
        params.model, model, data.vocabulary, labels, thresholds, max_tokens, data.rule, params.label_set, pieces
    )
    provenance = {name: getattr(params, name) for name in ("corpus", "encoder", "recipe", "seed")}
    model_folder.save(paths["model"], trained, provenance)
    io.write_metrics(paths["metrics"], outcome.metrics(params, model, result, thresholds))


if __name__ == "__main__":
    main()
