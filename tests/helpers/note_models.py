"""Folders of small models that read a few words, for tests of prediction."""

from __future__ import annotations

from pathlib import Path

import torch

from medcode import models
from medcode.config import Recipe, configure
from medcode.inference import saved_model
from medcode.models.base import ModelInputs

WORDS = ["abdomen", "chest", "chills", "cough", "fever", "pain", "pneumonia", "sepsis"]
CODES = ("486", "038.9", "V45.81", "780.6", "786.2")


def trained(recipe: Recipe, seed: int = 0, **changes) -> saved_model.TrainedModel:
    """Return an untrained CAML with eight words and five codes, by whose scores notes differ."""
    torch.manual_seed(seed)
    config = configure("caml", {"filters": 4, "kernel": 2}, recipe)
    inputs = ModelInputs(heads={"icd": len(CODES)}, vocab_size=len(WORDS) + 2, vectors=torch.randn(len(WORDS) + 2, 5))
    network = models.find("caml")(config, inputs)
    with torch.no_grad():
        network.attention["icd"].output.weight.mul_(9)
    labels = [
        {"system": "icd9cm", "code": code, "description": f"Description of {code}", "train_documents": 3}
        for code in CODES
    ]
    fields = {"max_tokens": 50, "rule": "caml", "label_set": "top50"} | changes
    return saved_model.TrainedModel("caml", network.eval(), WORDS, {"icd": labels}, {"icd": 0.5}, **fields)


def saved(folder: Path, recipe: Recipe, seed: int = 0, **changes) -> Path:
    """Write such a model, and return its folder."""
    saved_model.save(folder, trained(recipe, seed, **changes), {"seed": seed})
    return folder


def note(number: int) -> str:
    """Return a note of 1 to 40 words, another one for each number."""
    generator = torch.Generator().manual_seed(number)
    length = int(torch.randint(1, 41, (), generator=generator))
    words = [WORDS[n] for n in torch.randint(len(WORDS), (length,), generator=generator).tolist()]
    return f"{' '.join(words)}. Visit {number}: unknown{number}"
