"""Trains the model that params.yaml names, with one seed or several, and writes it as a folder of its own."""

from __future__ import annotations

from common import stage

import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import torch

from medcode import io, models
from medcode.config import Params
from medcode.encoders.pieces import PieceTokenizer
from medcode.training import curve, distributed, outcome, reproducibility, side_by_side, start
from medcode.training.checkpoint import Checkpoints, fingerprint
from medcode.training.initialisation import initialise
from medcode.training.loop import Trainer
from medcode.training.titles import known_titles, with_title_documents


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
    read = [paths[name] for name in ("inputs", "subword", "encoder", "pretrained")]  # all but one empty without pieces
    settings = {
        "config": config.model_dump(),
        "recipe": recipe.model_dump(),
        "training": params.training.model_dump(exclude={"checkpoint_steps"}),
    }
    pieces = None if tokenizer is None else PieceTokenizer(tokenizer, params.subword.text)
    titles = known_titles(data, config.heads, pieces) if recipe.reads_titles else {}
    seen = with_title_documents(data, titles) if recipe.title_documents else data
    trainers: list[Trainer] = []
    told = curve.Curves(paths["curve"], paths["timings"], params.model, several=params.seeds > 1)
    for seed in params.all_seeds:
        torch.manual_seed(seed)
        model = start.build(kind, config, basis, data).to(device)
        initialise(model, recipe, data, titles)
        checkpoints = Checkpoints(paths["checkpoints"] / fingerprint(settings | {"seed": seed}, read, model))
        at_work = world, partial(told.on_epoch, seed), trainers[0] if trainers else None
        trainers.append(Trainer(model, seen, recipe, params.training, seed, checkpoints, *at_work))
    with contextlib.ExitStack() as locks:
        for trainer in trainers if world.leads else []:
            locks.enter_context(trainer.checkpoints.locked())
        results = side_by_side.train(trainers)
        if not world.leads:
            return
        trained = [trainer.model for trainer in trainers]
        for model in trained:
            model.finish({head: torch.from_numpy(data.train_counts(head)) for head in model.heads})
        thresholds = outcome.save(params, paths["model"], trained, data, pieces)
        io.write_metrics(paths["metrics"], outcome.metrics(params, trained[0], results, thresholds))
        for trainer in trainers:
            trainer.checkpoints.remove()


if __name__ == "__main__":
    main()
