"""The folder of a trained model is self-contained; damaged folders are refused in one line."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load, save

from medcode import models
from medcode.config import configure
from medcode.errors import UserError
from medcode.inference import saved_model
from medcode.models.inputs import ModelInputs

HEADS = {"icd": 3}
WITHOUT_KERNEL = {"filters": 4, "dropout": 0.2, "embedding": "trained"}


@pytest.fixture
def folder(recipe, tmp_path):
    config = configure("cnn", {"filters": 4, "kernel": 2}, recipe)
    trained = saved_model.TrainedModel(
        name="cnn",
        model=models.find("cnn")(config, ModelInputs(heads=HEADS, vocab_size=6, vectors=torch.randn(6, 5))),
        vocabulary=["a", "b", "c", "d"],
        labels={
            "icd": [{"system": "icd9cm", "code": str(y), "description": "", "train_documents": 1} for y in range(3)]
        },
        thresholds={"icd": 0.3},
        max_tokens=7,
        rule="caml",
        label_set="full",
    )
    saved_model.save(tmp_path / "model", trained, {"seed": 1})
    return tmp_path / "model"


def edit(folder, **changes) -> None:
    metadata = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(metadata | changes))


def test_a_saved_model_is_sufficient_for_prediction(folder):
    loaded = saved_model.load(folder)
    assert (loaded.name, loaded.max_tokens, loaded.rule, loaded.label_set) == ("cnn", 7, "caml", "full")
    assert loaded.thresholds == {"icd": 0.3}
    assert not loaded.model.training
    assert sorted(file.name for file in folder.iterdir()) == [
        "labels.json", "model.json", "vocabulary.txt", "weights.safetensors",
    ]  # fmt: skip


def test_option_names_of_older_versions_are_accepted(folder):
    options = json.loads((folder / "model.json").read_text())["config"]
    assert options.pop("match_released_code") is False
    edit(folder, config=options | {"faithful": True})
    assert saved_model.load(folder).model.config.match_released_code is True


def test_labels_of_older_versions_may_have_titles(folder):
    path = folder / "labels.json"
    labels = saved_model.load(folder).labels
    path.write_text(path.read_text().replace('"description"', '"title"'))
    assert saved_model.load(folder).labels == labels


def test_models_of_further_seeds_are_subfolders(folder):
    assert saved_model.of_all_seeds(folder) == {1: folder}
    for seed in (10, 2):
        shutil.copytree(folder, saved_model.of_seed(folder, seed), ignore=shutil.ignore_patterns("seeds"))
    folders = saved_model.of_all_seeds(folder)
    assert list(folders) == [1, 2, 10]
    assert folders[1] == folder and saved_model.load(folders[10]).name == "cnn"


def test_the_models_of_all_seeds_have_the_thresholds_of_their_mean(folder):
    assert [trained.thresholds for trained in saved_model.load_all(folder)] == [{"icd": 0.3}]
    shutil.copytree(folder, saved_model.of_seed(folder, 2), ignore=shutil.ignore_patterns("seeds"))
    with pytest.raises(UserError, match=r"holds the models of several seeds, but no ensemble\.json; train it again"):
        list(saved_model.load_all(folder))
    saved_model.save_ensemble(folder, {"icd": 0.6})
    assert [trained.thresholds for trained in saved_model.load_all(folder)] == [{"icd": 0.6}] * 2
    assert saved_model.load(folder).thresholds == {"icd": 0.3}


def test_a_folder_without_a_seed_is_refused_in_one_line(folder):
    edit(folder, provenance={})
    with pytest.raises(UserError, match=r"model.json: damaged, provenance.seed: missing; train it again"):
        saved_model.of_all_seeds(folder)


def cut(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def flip(folder):
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)


def shorten_vocabulary(folder):
    (folder / "vocabulary.txt").write_text("a\nb\n")


def as_folder(path):
    path.unlink()
    path.mkdir()


def edit_label(folder, key, value):
    path = folder / "labels.json"
    labels = json.loads(path.read_text())
    labels["icd"][1][key] = value
    path.write_text(json.dumps(labels))


def rewrite(folder, change):
    """Change all weights, and record their digest."""
    path = folder / "weights.safetensors"
    path.write_bytes(save({name: change(tensor) for name, tensor in load(path.read_bytes()).items()}))
    edit(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), "holds no trained model"),
        (lambda folder: (folder / "model.json").write_text("{"), r"model\.json: not valid JSON"),
        (lambda folder: (folder / "model.json").write_text("[]"), "written in format None, this version reads 1"),
        (lambda folder: edit(folder, format=2), "written in format 2, this version reads 1"),
        (lambda folder: edit(folder, name="cmal"), "there is no 'cmal'; did you mean 'caml'"),
        (lambda folder: edit(folder, config=WITHOUT_KERNEL), r"model\.json: config\.kernel: missing"),
        (lambda folder: (folder / "model.json").write_text('{"format": 1}'), r"damaged, name: missing"),
        (lambda folder: (folder / "weights.safetensors").unlink(), r"weights\.safetensors: cannot be read"),
        (lambda folder: (folder / "labels.json").unlink(), r"labels\.json: no such file"),
        (cut, r"weights\.safetensors: damaged"),
        (flip, r"weights\.safetensors: damaged"),
        (shorten_vocabulary, r"weights do not fit vocabulary\.txt"),
        *(
            (lambda folder, value=value: edit(folder, thresholds=value), r"model\.json: damaged, thresholds")
            for value in (
                None,
                [],
                0.3,
                {"icd": None},
                {"icd": float("nan")},
                {"icd": 7},
                {"icd": "0.3"},
                {"icd": True},
                {"ccs": 0.3},
                {},
            )
        ),
        *(
            (lambda folder, value=value: edit(folder, max_tokens=value), r"model\.json: damaged, max_tokens")
            for value in (-5, 0, 7.5, "7", None, 10**9)
        ),
        (
            lambda folder: edit(folder, rule="camel"),
            r"damaged, rule: Input should be 'caml', 'diagnoses', 'edin' or 'laat'",
        ),
        (lambda folder: edit(folder, unit="words"), r"damaged, unit"),
        (lambda folder: edit(folder, name=3), r"damaged, name"),
        (lambda folder: edit(folder, config=[]), r"damaged, config"),
        (lambda folder: edit(folder, embedding_size=-5), r"damaged, embedding_size"),
        (lambda folder: edit(folder, embedding_size=6), r"weights do not fit vocabulary\.txt"),
        (lambda folder: edit(folder, weights_sha256=None), r"damaged, weights_sha256"),
        (lambda folder: edit(folder, provenance={"seed": "one"}), r"damaged, provenance\.seed"),
        (lambda folder: edit(folder, encoder={"config": {}, "specials": 3}), r"damaged, encoder\.specials"),
        (lambda folder: (folder / "model.json").write_text("[" * 100_000), r"model\.json: not valid JSON"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), r"model\.json: not valid JSON"),
        (lambda folder: as_folder(folder / "labels.json"), r"labels\.json: cannot be read \(Is a directory\)"),
        (lambda folder: as_folder(folder / "model.json"), r"model\.json: cannot be read \(Is a directory\)"),
        (lambda folder: as_folder(folder / "vocabulary.txt"), r"vocabulary\.txt: cannot be read \(Is a directory\)"),
        (lambda folder: as_folder(folder / "weights.safetensors"), r"weights\.safetensors: cannot be read"),
        (lambda folder: (folder / "vocabulary.txt").write_bytes(b"a\n\xff\nc\nd\n"), r"vocabulary\.txt: not UTF-8"),
        (lambda folder: (folder / "vocabulary.txt").write_text("a\nb\na\nd\n"), "a word stands in two lines"),
        *(
            (
                lambda folder, value=value: (folder / "labels.json").write_text(json.dumps(value)),
                r"labels\.json: damaged",
            )
            for value in (None, [], {"icd": []}, {"icd": [3]}, {"icd": "abc"}, {"icd": [{"system": "icd9cm"}]})
        ),
        *(
            (
                lambda folder, key=key, value=value: edit_label(folder, key, value),
                rf"labels\.json: damaged, icd\.1\.{key}",
            )
            for key, value in (("description", None), ("code", 4), ("system", ""), ("train_documents", -1))
        ),
        (lambda folder: edit_label(folder, "code", "0"), "damaged, icd: a code stands there twice"),
        (lambda folder: rewrite(folder, lambda tensor: tensor.half()), "weights do not fit"),
        (lambda folder: rewrite(folder, lambda tensor: tensor.to(torch.int64)), "weights do not fit"),
        (lambda folder: rewrite(folder, lambda tensor: tensor * torch.nan), "weights that are no numbers"),
        (lambda folder: rewrite(folder, lambda tensor: tensor / 0), "weights that are no numbers"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message) as mistake:
        saved_model.load(folder)
    assert "\n" not in str(mistake.value)


@pytest.mark.parametrize(
    "value", [None, [], {"thresholds": None}, {"thresholds": {"icd": 7}}, {"thresholds": {"x": 0.5}}]
)
def test_damaged_thresholds_of_the_mean_are_refused_in_one_line(folder, value):
    shutil.copytree(folder, saved_model.of_seed(folder, 2), ignore=shutil.ignore_patterns("seeds"))
    (folder / "ensemble.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"ensemble\.json: damaged"):
        list(saved_model.load_all(folder))


def test_a_damaged_tokenizer_is_refused_in_one_line(folder):
    edit(
        folder,
        encoder={"config": {"model_type": "bert"}, "specials": {"pad": 0, "begin": 1, "end": 2}},
        text="words",
    )
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json: damaged") as mistake:
        saved_model.load(folder)
    assert "\n" not in str(mistake.value)


def test_saved_weights_are_the_same_bytes_every_time(folder, tmp_path):
    again = tmp_path / "again"
    saved_model.save(again, saved_model.load(folder), {"seed": 1})
    first, second = ({file.name: file.read_bytes() for file in path.iterdir()} for path in (folder, again))
    assert "weights.safetensors" in first and second == first
