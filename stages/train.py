"""Trains the model that params.yaml names, with one seed or several, and writes it as a folder of its own."""

from __future__ import annotations

from common import stage

import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import torch

from medcode import config, io, models
from medcode.encoders.pieces import PieceTokenizer
from medcode.engine import distributed, reproducibility
from medcode.training import history, multi_seed, results, setup
from medcode.training.checkpoint import Checkpoints, fingerprint, remove_finished
from medcode.training.label_init import initialise, known_titles, with_title_documents
from medcode.training.trainer import Trainer


class Parameters(config.Run):
    """The sections of params.yaml that this stage reads."""

    subword: config.Subword
    training: config.Training


@stage(
    Parameters,
    model_settings=Path, code=Path, inputs=Path, subword=Path, encoder=Path, pretrained=Path,
    checkpoints=Path, timings=Path, curve=Path, metrics=Path, model=Path,
)  # fmt: skip
def main(params: Parameters, **paths: Path) -> None:
    if params.training.processes > 1 and "WORLD_SIZE" not in os.environ:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={params.training.processes}"]
        os.execv(sys.executable, [sys.executable, *torchrun, *sys.argv])
    reproducibility.prepare(params.training.threads, params.training.kernels)
    device = distributed.choose_device(params.training.device)
    with distributed.join(device) as world:
        train(params, paths, device, world)


def train(params: Parameters, paths: dict[str, Path], device: torch.device, world: distributed.World) -> None:
    chosen = config.load_model(paths["model_settings"], params.model, params.recipe, params.label_set)
    recipe = chosen.recipe
    model_cls = models.find(params.model)
    data, inputs, tokenizer = setup.read(model_cls, chosen.config, paths, titles=recipe.reads_titles)
    # Without an encoder the last three say so and no more.
    read = [paths[name] for name in ("code", "inputs", "subword", "encoder", "pretrained")]
    settings = {
        "config": chosen.config.model_dump(),
        "recipe": recipe.model_dump(),
        "training": params.training.model_dump(exclude={"checkpoint_steps"}),
    }
    pieces = None if tokenizer is None else PieceTokenizer(tokenizer, params.subword.text)
    titles = known_titles(data, chosen.config.heads, pieces) if recipe.reads_titles else {}
    seen = with_title_documents(data, titles) if recipe.title_documents else data
    trainers: list[Trainer] = []
    told = history.Curves(paths["curve"], paths["timings"], params.model, several=params.seeds > 1)
    for seed in params.all_seeds:
        torch.manual_seed(seed)
        model = model_cls(chosen.config, inputs).to(device)
        initialise(model, recipe, data, titles)
        checkpoints = Checkpoints(paths["checkpoints"] / fingerprint(settings | {"seed": seed}, read, model))
        at_work = world, partial(told.on_epoch, seed), trainers[0] if trainers else None, partial(told.on_resume, seed)
        trainers.append(Trainer(model, seen, recipe, params.training, seed, checkpoints, *at_work))
    with contextlib.ExitStack() as locks:
        for trainer in trainers if world.leads else []:
            locks.enter_context(trainer.checkpoints.locked())
        if world.leads:
            remove_finished(paths["checkpoints"], paths["model"])
        trained_seeds = multi_seed.train(trainers)
        if not world.leads:
            return
        trained = [trainer.model for trainer in trainers]
        for model in trained:
            model.on_train_end({head: torch.from_numpy(data.train_counts(head)) for head in model.heads})
        thresholds = results.save(params, chosen, params.training.precision, paths["model"], trained, data, pieces)
        io.write_metrics(paths["metrics"], results.metrics(params, trained[0], trained_seeds, thresholds))
        for trainer in trainers:
            trainer.checkpoints.finish(paths["model"])


if __name__ == "__main__":
    main()
