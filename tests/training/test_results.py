"""What training writes beside the weights."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from medcode import models
from medcode.config.recipes import configure
from medcode.inference import saved_model
from medcode.models.inputs import ModelInputs
from medcode.training import results


def test_the_folder_says_how_long_the_notes_of_dev_are(tiny_inputs, recipe, tmp_path):
    dev = tiny_inputs.splits["dev"]
    lengths = np.arange(len(dev)) + 3
    offsets = np.stack([np.zeros_like(lengths), lengths], axis=1)
    data = replace(tiny_inputs, splits=tiny_inputs.splits | {"dev": replace(dev, offsets=offsets)})
    heads = {head: len(labels) for head, labels in data.labels.items()}
    rows = len(data.vocabulary) + 2
    network = models.find("cnn")(
        configure("cnn", {"filters": 4, "kernel": 2}, recipe),
        ModelInputs(heads=heads, vocab_size=rows, vectors=torch.randn(rows, 5)),
    )
    run = SimpleNamespace(model="cnn", label_set="full", corpus="jsonl", encoder="none", seed=1, all_seeds=[1])
    settings = SimpleNamespace(recipe=recipe, recipe_name="quick")
    results.save(run, settings, "fp32", tmp_path / "model", [network], data, None)
    assert saved_model.load(tmp_path / "model").dev_lengths == (3, len(dev) + 2)
