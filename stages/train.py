"""Train the model that params.yaml names, with one seed or several, and write it as a self-contained folder."""

from __future__ import annotations

from common import stage

import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import torch

from medcode import config, io, models
from medcode.dataset.arrays import Inputs
from medcode.encoders.subwords import SubwordTokenizer
from medcode.engine import distributed, reproducibility, torchrun
from medcode.training import at_once, multi_seed, results, setup
from medcode.training.at_once import AtOnce
from medcode.training.checkpoint import Checkpoints, fingerprint, remove_finished
from medcode.training.curriculum import Curriculum
from medcode.training.history import HistoryWriter
from medcode.training.label_init import initialize, label_descriptions, with_description_documents
from medcode.training.state import Result
from medcode.training.trainer import Trainer


class Parameters(config.Run):
    """The sections of params.yaml that this stage reads."""

    subword: config.Subword
    training: config.Training


@stage(
    Parameters,
    model_settings=Path, code=Path, inputs=Path, knowledge=Path, sentences=Path, subword=Path,
    encoder=Path, pretrained=Path, checkpoints=Path, timings=Path, curve=Path, metrics=Path, model=Path,
)  # fmt: skip
def main(params: Parameters, **paths: Path) -> None:
    if torchrun.is_needed(params.training):
        os.execv(sys.executable, torchrun.command(params.training, sys.argv, os.environ))
    reproducibility.prepare(params.training.threads, params.training.kernels)
    device = distributed.choose_device(params.training.device)
    with distributed.join(device) as context, contextlib.ExitStack() as locks:
        settings = config.load_model(paths["model_settings"], params.model, None, params.label_set)
        data, trainers, tokenizer = prepare(params, settings, paths, device, context)
        if context.is_main:
            for trainer in trainers:
                locks.enter_context(trainer.checkpoints.locked())
            remove_finished(paths["checkpoints"], paths["model"])
        train = at_once.train if settings.config.fits_at_once else multi_seed.train
        training_results = train(trainers)
        if context.is_main:
            save(params, settings, paths, data, trainers, training_results, tokenizer)


def prepare(
    params: Parameters,
    settings: config.ModelSettings,
    paths: dict[str, Path],
    device: torch.device,
    context: distributed.DistributedContext,
) -> tuple[Inputs, list[Trainer] | list[AtOnce], SubwordTokenizer | None]:
    """Read the data, and make a trainer for each seed."""
    model_cls, recipe = models.find(params.model), settings.recipe
    data, inputs, tokenizer = setup.read(settings.config, recipe, paths, params.subword.text)
    setup.check_monitor(settings, inputs.heads)
    descriptions = label_descriptions(data, settings.config.heads, tokenizer) if recipe.reads_descriptions else {}
    train_data = with_description_documents(data, descriptions) if recipe.description_documents else data
    # Without an encoder the last three have no other content than that; nor has knowledge, where none is needed.
    files = [paths[name] for name in ("code", "inputs", "knowledge", "sentences", "subword", "encoder", "pretrained")]
    content = {
        "config": settings.config.model_dump(),
        "recipe": recipe.model_dump(),
        "training": params.training.model_dump(exclude={"checkpoint_steps", "nodes", "processes"}),
    }
    writer = HistoryWriter(paths["curve"], paths["timings"], params.model, several=params.seeds > 1)
    trainer_cls = AtOnce if settings.config.fits_at_once else Trainer
    trainers: list = []
    levels = {}
    if recipe.curriculum is not None:
        levels = {"curriculum": Curriculum(recipe.curriculum.epochs, inputs.tree)}
    for seed in params.all_seeds:
        torch.manual_seed(seed)
        model = model_cls(settings.config, inputs).to(device)
        initialize(model, recipe, data, descriptions)
        checkpoints = Checkpoints(paths["checkpoints"] / fingerprint(content | {"seed": seed}, files, model))
        trainers.append(
            trainer_cls(
                model=model,
                data=train_data,
                recipe=recipe,
                engine=params.training,
                seed=seed,
                checkpoints=checkpoints,
                context=context,
                on_epoch=partial(writer.on_epoch, seed),
                on_resume=partial(writer.on_resume, seed),
                share_data_with=trainers[0] if trainers else None,
                **levels,
            )
        )
    return data, trainers, tokenizer


def save(
    params: Parameters,
    settings: config.ModelSettings,
    paths: dict[str, Path],
    data: Inputs,
    trainers: list[Trainer] | list[AtOnce],
    training_results: list[Result],
    tokenizer: SubwordTokenizer | None,
) -> None:
    """Write the models and metrics/train.json, and mark the checkpoints as finished."""
    networks = [trainer.model for trainer in trainers]
    thresholds = results.save(params, settings, params.training.precision, paths["model"], networks, data, tokenizer)
    io.write_metrics(
        paths["metrics"], results.metrics(params, settings.recipe_name, networks[0], training_results, thresholds)
    )
    for trainer in trainers:
        trainer.checkpoints.finish(paths["model"])


if __name__ == "__main__":
    main()
