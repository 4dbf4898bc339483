"""Small models and notes that they read, for tests of prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import plain_encoder
import torch
from small_models import ROWS, build, uses_subwords

from medcode import io, models
from medcode.config import Recipe, configure
from medcode.encoders.subwords import SubwordTokenizer
from medcode.inference import saved_model
from medcode.inference.published import Parts, publish
from medcode.models.inputs import ModelInputs

WORDS = ["abdomen", "chest", "chills", "cough", "fever", "pain", "pneumonia", "sepsis"]
VOCABULARY = [f"word{number}" for number in range(ROWS - 2)]
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


def parts(folder: Path, recipe: Recipe, seed: int = 0, **changes) -> Parts:
    """Write such a model and what belongs to it, as the workflow does, and return where that is."""
    model = folder / "trained"
    saved_model.save(model, trained(recipe, seed, **changes), {"seed": seed, "corpus": "mimic3", "recipe": "quick"})
    for name in ("open", "calibration"):
        io.write_empty(folder / name, "nothing to do")
    facts = {"model": "caml", "label_set": saved_model.label_set(model), "corpus": "mimic3", "recipe": "quick"}
    measured = {"tuned": {"f1": {"micro": 0.5}, "macro_f1": {"caml": 0.5}}, "ranking": {"map": 0.5}}
    io.write_json(folder / "train.json", facts | {"parameters": {"total": 100}})
    io.write_json(folder / "test.json", {"icd": measured | {"counts": {"labels": len(CODES)}}})
    io.write_json(folder / "baseline.json", {})
    files = (folder / f"{name}.json" for name in ("train", "test", "baseline"))
    return Parts(model, folder / "open", folder / "calibration", *files)


def published(folder: Path, recipe: Recipe, seed: int = 0, **changes) -> Path:
    """Publish such a model, and return its folder."""
    publish(parts(folder.with_name("parts"), recipe, seed, **changes), folder)
    return folder


def note(number: int) -> str:
    """Return a note of 1 to 40 words, another one for each number."""
    generator = torch.Generator().manual_seed(number)
    length = int(torch.randint(1, 41, (), generator=generator))
    words = [WORDS[n] for n in torch.randint(len(WORDS), (length,), generator=generator).tolist()]
    return f"{' '.join(words)}. Visit {number}: unknown{number}"


def sentences(n: int, longest: int = 90) -> list[str]:
    """Return notes of several sentences, in which one word of ten is unknown."""
    random = np.random.default_rng(n)
    lengths = random.integers(1, longest, n)
    return [
        " ".join(f"Word{k}." if k % 7 == 0 else f"word{k}" for k in random.integers(0, ROWS + 3, length))
        for length in lengths
    ]


def any_model(name: str, **changes) -> saved_model.TrainedModel:
    """Return a model of the registry, untrained and small, that reads these words."""
    model = build(name)
    labels = {
        head: [{"system": "icd9cm", "code": str(y), "description": ""} for y in range(n)]
        for head, n in model.heads.items()
    }
    tokenizer = None
    if uses_subwords(name):
        tokenizer = SubwordTokenizer(plain_encoder.tokenizer(VOCABULARY), "raw")
    thresholds = dict.fromkeys(labels, 0.5)
    trained = saved_model.TrainedModel(name, model, VOCABULARY, labels, thresholds, 60, "caml", "top50", tokenizer)
    return replace(trained, **changes)
