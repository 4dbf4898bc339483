"""A trained model as a self-contained folder: weights, vocabulary, codes, descriptions, thresholds, settings.

A model on subwords has its tokenizer in place of the vocabulary. With several seeds, the folder is the model of the
first, and holds those of the others in subfolders, and the thresholds of the mean of their probabilities.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from medcode import io, models
from medcode.config import build
from medcode.config.recipes import Unit
from medcode.config.section import with_current_keys
from medcode.errors import UserError
from medcode.inference.folder_schema import LABELS, METADATA, THRESHOLDS, TRAIN_AGAIN, Metadata, checked
from medcode.models.base import Model
from medcode.models.inputs import ModelInputs
from medcode.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from medcode.encoders.subwords import SubwordTokenizer

FORMAT = 1
FURTHER_SEEDS, ENSEMBLE = "seeds", "ensemble.json"


@dataclass(frozen=True)
class TrainedModel:
    """A model with its vocabulary, labels and thresholds.

    Attributes:
        name: of the model, as in params.yaml.
        model: with its trained weights.
        vocabulary: the words; empty for a model on subwords.
        labels: records {system, code, description, train_documents} by head, in the order of the logits.
        thresholds: by head, the tuned probability above which a code is predicted.
        max_tokens: notes are truncated to so many tokens.
        rule: the rule by which text is tokenized into words.
        label_set: the name of the label set it was trained on.
        tokenizer: the subword tokenizer; None for a model on words.
        unit: what it reads: whole documents, or their sentences one by one, which are cut after `max_tokens`.
        dev_lengths: tokens of the shortest and of the longest note of dev; None where a folder does not say.
    """

    name: str
    model: Model
    vocabulary: list[str]
    labels: dict[str, list[dict[str, Any]]]
    thresholds: dict[str, float]
    max_tokens: int
    rule: str
    label_set: str
    tokenizer: SubwordTokenizer | None = None
    unit: Unit = "documents"
    dev_lengths: tuple[int, int] | None = None


def save(folder: str | os.PathLike, trained: TrainedModel, provenance: dict[str, Any]) -> None:
    """Write the folder, atomically.

    Args:
        provenance: facts about the training (recipe, seed, corpus), of which only the seed is read back.
    """
    weights = save_tensors({name: t.detach().cpu().contiguous() for name, t in trained.model.state_dict().items()})
    with io.atomic_folder(folder) as target:
        with io.atomic_write(target / "weights.safetensors") as file:
            file.write(weights)
        if trained.tokenizer is None:
            io.write_text(target / "vocabulary.txt", "".join(f"{word}\n" for word in trained.vocabulary))
        else:
            io.write_text(target / "tokenizer.json", trained.tokenizer.definition)
        io.write_json(target / "labels.json", trained.labels)
        metadata = {
            "format": FORMAT,
            "name": trained.name,
            "config": trained.model.config.model_dump(),
            "label_set": trained.label_set,
            "max_tokens": trained.max_tokens,
            "rule": trained.rule,
            "thresholds": trained.thresholds,
            **({} if trained.tokenizer is None else {"text": trained.tokenizer.text}),
            **({} if trained.unit == "documents" else {"unit": trained.unit}),
            **({} if trained.dev_lengths is None else {"dev_lengths": trained.dev_lengths}),
            **trained.model.rebuild_metadata(),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "provenance": {**provenance, "torch": torch.__version__},
        }
        io.write_json(target / "model.json", metadata)


def save_ensemble(folder: Path, thresholds: dict[str, float]) -> None:
    """Write the thresholds of the mean of the probabilities of all seeds, by head, into the folder of the first."""
    io.write_json(folder / ENSEMBLE, {"thresholds": thresholds})


def of_seed(folder: Path, seed: int) -> Path:
    """Return the folder of the model of a further seed, within the folder of the first."""
    return folder / FURTHER_SEEDS / str(seed)


def further_seeds(folder: Path) -> dict[int, Path]:
    """Return the folders of the seeds after the first."""
    seeds = sorted(int(path.name) for path in (folder / FURTHER_SEEDS).glob("*") if path.name.isdecimal())
    return {seed: of_seed(folder, seed) for seed in seeds}


def of_all_seeds(folder: str | os.PathLike) -> dict[int, Path]:
    """Return the folders of all seeds that were trained together, that of the first seed first.

    Raises:
        UserError: there is no trained model.
    """
    folder = Path(folder)
    return {_metadata(folder).provenance.seed: folder} | further_seeds(folder)


def describe(folder: str | os.PathLike) -> Metadata:
    """Return what model.json says, without reading the weights.

    Raises:
        UserError: there is no trained model, or it is damaged.
    """
    return _metadata(Path(folder))


def label_set(folder: str | os.PathLike) -> str:
    """Return the name of the label set that a model was trained on.

    Raises:
        UserError: there is no trained model, or it is damaged.
    """
    return _metadata(Path(folder)).label_set


def digests(folder: str | os.PathLike) -> list[str]:
    """Return the digest of the weights of each seed, that of the first seed first.

    Raises:
        UserError: there is no trained model, or it is damaged.
    """
    return [_metadata(of_seed).weights_sha256 for of_seed in of_all_seeds(folder).values()]


def load(folder: str | os.PathLike) -> TrainedModel:
    """Read a trained model, in evaluation mode on the CPU.

    Raises:
        UserError: the folder is missing, incomplete, damaged, or written by another version.
    """
    folder = Path(folder)
    return _build(folder, _metadata(folder))


def load_all(folder: str | os.PathLike) -> Iterator[TrainedModel]:
    """Read the models of all seeds one after another, each with the thresholds of the mean of their probabilities.

    Raises:
        UserError: as for `load`; or the thresholds of the mean are missing.
    """
    folder = Path(folder)
    if not (further := further_seeds(folder)):
        yield load(folder)
        return
    if not (folder / ENSEMBLE).exists():
        raise UserError(f"{folder}: holds the models of several seeds, but no {ENSEMBLE}; {TRAIN_AGAIN}")
    values = io.read_json(folder / ENSEMBLE)
    thresholds = values.get("thresholds") if isinstance(values, dict) else None
    thresholds = checked(THRESHOLDS, thresholds, folder / ENSEMBLE)
    for path in (folder, *further.values()):
        trained = load(path)
        _check_heads(thresholds, trained.labels, folder / ENSEMBLE)
        yield replace(trained, thresholds=thresholds)


def _metadata(folder: Path) -> Metadata:
    if not (folder / "model.json").exists():
        raise UserError(f"{folder}: holds no trained model (no model.json); {TRAIN_AGAIN}")
    metadata = io.read_json(folder / "model.json")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        version = metadata.get("format") if isinstance(metadata, dict) else None
        raise UserError(
            f"{folder / 'model.json'}: written in format {version}, this version reads {FORMAT}; {TRAIN_AGAIN}"
        )
    return checked(METADATA, metadata, folder / "model.json")


def _build(folder: Path, metadata: Metadata) -> TrainedModel:
    model_cls = models.find(metadata.name)
    raw = with_current_keys(model_cls.Config, metadata.config)
    config = build(model_cls.Config, raw, folder / "model.json", "config")
    labels = _labels(folder)
    _check_heads(metadata.thresholds, labels, folder / "model.json")
    heads = {head: len(records) for head, records in labels.items()}
    vocabulary, tokenizer, inputs = _inputs(folder, metadata, heads)
    text_file = "vocabulary.txt" if tokenizer is None else "tokenizer.json"
    misfit = UserError(f"{folder}: weights do not fit {text_file}, labels.json or model.json; {TRAIN_AGAIN}")
    try:
        model = model_cls(config, inputs)
        weights = load_tensors(_weights(folder, metadata.weights_sha256))
        if any(weights[name].dtype != tensor.dtype for name, tensor in model.state_dict().items()):
            raise misfit
        model.load_state_dict(weights)
    except (RuntimeError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise misfit from error
    if any(tensor.is_floating_point() and not tensor.isfinite().all() for tensor in weights.values()):
        raise UserError(
            f"{folder / 'weights.safetensors'}: weights that are no numbers (NaN or infinite); {TRAIN_AGAIN}"
        )
    return TrainedModel(
        name=metadata.name,
        model=model.eval(),
        vocabulary=vocabulary,
        labels=labels,
        thresholds=metadata.thresholds,
        max_tokens=metadata.max_tokens,
        rule=metadata.rule,
        label_set=metadata.label_set,
        tokenizer=tokenizer,
        unit=metadata.unit,
        dev_lengths=None if metadata.dev_lengths is None else (metadata.dev_lengths[0], metadata.dev_lengths[1]),
    )


def _labels(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the labels. Folders of older versions call the description of a code its title."""
    values = io.read_json(folder / "labels.json")
    for of_head in values.values() if isinstance(values, dict) else ():
        for label in of_head if isinstance(of_head, list) else ():
            if isinstance(label, dict) and "title" in label:
                label["description"] = label.pop("title")
    labels = checked(LABELS, values, folder / "labels.json")
    for head, of_head in labels.items():
        if len({(label.system, label.code) for label in of_head}) < len(of_head):
            raise UserError(f"{folder / 'labels.json'}: damaged, {head}: a code stands there twice; {TRAIN_AGAIN}")
    return {head: [label.model_dump() for label in of_head] for head, of_head in labels.items()}


def _check_heads(thresholds: dict[str, float], labels: dict[str, list[dict[str, Any]]], path: Path) -> None:
    if thresholds.keys() != labels.keys():
        raise UserError(
            f"{path}: damaged, thresholds: expected those of {', '.join(labels)}, the heads of labels.json, found "
            f"{', '.join(thresholds) or 'none'}; {TRAIN_AGAIN}"
        )


def _inputs(
    folder: Path, metadata: Metadata, heads: dict[str, int]
) -> tuple[list[str], SubwordTokenizer | None, ModelInputs]:
    """Return the vocabulary or subword tokenizer, and the inputs of the model's constructor, without weights."""
    if metadata.encoder is not None:
        from medcode.encoders.outline import Encoder
        from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer

        inputs = ModelInputs(heads=heads, encoder=Encoder.from_metadata(metadata.encoder.model_dump()))
        try:
            return [], SubwordTokenizer(read_tokenizer(folder), metadata.text or "words"), inputs
        except UserError:
            raise
        except Exception as error:  # tokenizers has no narrower one
            raise UserError(f"{folder / 'tokenizer.json'}: damaged ({error}); {TRAIN_AGAIN}") from error
    vocabulary = io.read_lines(folder / "vocabulary.txt")
    if len(set(vocabulary)) < len(vocabulary):
        raise UserError(f"{folder / 'vocabulary.txt'}: damaged, a word stands in two lines; {TRAIN_AGAIN}")
    size = Vocabulary(vocabulary).n_rows
    if metadata.features is not None:
        return vocabulary, None, ModelInputs(heads=heads, vocab_size=size, features=metadata.features)
    vectors = torch.empty(size, metadata.embedding_size or 0)
    return vocabulary, None, ModelInputs(heads=heads, vocab_size=size, vectors=vectors)


def _weights(folder: Path, digest: str) -> bytes:
    try:
        with open(folder / "weights.safetensors", "rb") as file:
            weights = file.read()
    except OSError as error:
        raise UserError(
            f"{folder / 'weights.safetensors'}: cannot be read ({error.strerror}); {TRAIN_AGAIN}"
        ) from error
    if hashlib.sha256(weights).hexdigest() != digest:
        raise UserError(
            f"{folder / 'weights.safetensors'}: damaged (its digest is not the recorded one); {TRAIN_AGAIN}"
        )
    return weights
