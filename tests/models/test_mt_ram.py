"""MT-RAM against its formula, and the rows of its ablation tables as options of models."""

from __future__ import annotations

import plain
import pytest
import torch
from small_models import file, settings
from torch import Tensor, nn

from medcode import models
from medcode.config import configure
from medcode.models.base import count_parameters
from medcode.models.inputs import ModelInputs

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(5, seed=2)]
HEADS = {"icd": 6, "ccs": 4}
SMALL = {
    "bigru_label_attention": {"hidden": 4},
    "caml": {"filters": 8, "kernel": 4},
    "marn": {"hidden": 4},
    "mt_ram": {"hidden": 4},
    "multirescnn": {"filters": 4, "kernels": [3, 5]},
}


def build(name: str = "mt_ram", heads: dict[str, int] = HEADS, **changes) -> models.Model:
    recipe = settings(name, "quick").recipe.model_copy(update={"dropout": 0.0, "options": {}})
    configured = configure(name, file(name)["options"] | SMALL[name] | {"heads": list(heads)} | changes, recipe)
    torch.manual_seed(0)
    model = models.find(name)(configured, plain.inputs(heads))
    return plain.scramble(model).eval().double()


def states(model: nn.Module, words: list[int]) -> Tensor:
    return plain.read_by_torch(model.recurrent, plain.vectors(model, words))


def encoded(model: nn.Module, words: list[int]) -> Tensor:
    """Return the encoder's features of one note. Encoders are tested with their models."""
    return model.encode(*plain.batch([words]))[0][0]


def assert_scores(model: nn.Module, notes: list[list[int]], expected: dict[str, list[Tensor]], padded: int = 0) -> None:
    logits = model(*plain.batch(notes, padded))
    assert list(logits) == list(expected)
    for head, logits_of_notes in expected.items():
        torch.testing.assert_close(
            logits[head], torch.stack(logits_of_notes), rtol=1e-5, atol=1e-6
        )  # fp32 in norms and softmax


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("combine", ["multiply", "add"])
@pytest.mark.parametrize("name", ["mt_ram", "marn"])
def test_logits_of_both_heads_follow_the_formula(name, combine, training):
    model = build(name, ram_combine=combine).train(training)
    h = plain.recalibrate([states(model, words) for words in NOTES], model.recalibration)
    expected = {head: [plain.caml_attention(features, model.attention[head]) for features in h] for head in HEADS}
    assert_scores(model, NOTES, expected, padded=14)


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_padding_is_read_recalibrated_and_attended_as_in_the_authors_code(training):
    model = build(match_released_code=True).train(training)
    padded = [[*words, *[0] * (12 - len(words))] for words in NOTES]
    h = plain.recalibrate([states(model, words) for words in padded], model.recalibration)
    expected = {head: [plain.caml_attention(features, model.attention[head]) for features in h] for head in HEADS}
    assert_scores(model, NOTES, expected, padded=12)


@torch.no_grad()
@pytest.mark.parametrize("name", ["bigru_label_attention", "caml", "multirescnn"])
def test_heads_share_one_ram_or_have_one_each(name):
    model = build(name, ram=True)
    h = plain.recalibrate([encoded(model, words) for words in NOTES], model.recalibration)
    expected = {head: [plain.caml_attention(features, model.attention[head]) for features in h] for head in HEADS}
    assert_scores(model, NOTES, expected, padded=14)
    model = build(name, ram=True, ram_position="branches")
    expected = {}
    for head, branch in model.attention.items():
        h = plain.recalibrate([encoded(model, words) for words in NOTES], branch.recalibration)
        expected[head] = [plain.caml_attention(features, branch.attention) for features in h]
    assert_scores(model, NOTES, expected, padded=14)


@pytest.mark.parametrize("name", ["bigru_label_attention", "caml", "multirescnn"])
def test_ram_does_not_change_the_other_initial_weights(name):
    without, with_ram = build(name).state_dict(), build(name, ram=True).state_dict()
    assert not any("recalibration" in key for key in without)
    for key, value in without.items():
        if value.dim() > 1:  # the others were sampled again by `scramble`
            assert torch.equal(value, with_ram[key]), key


def test_label_vectors_share_a_space_only_with_a_shared_ram():
    vectors = build().label_vectors()
    assert {head: tuple(matrix.shape) for head, matrix in vectors.items()} == {"icd": (6, 8), "ccs": (4, 8)}
    assert build(ram_position="branches").label_vectors() == {}


# Rows of the paper's tables as settings: (model, options), and the parameters that the model must have with 50 codes
# and 38 categories. Of CCS categories alone: computed from the published counts.
MTL, RAM = {"heads": ["icd", "ccs"]}, {"ram": True}
ADD = RAM | {"ram_combine": "add"}
TABLE_2 = [
    ("caml", {"heads": ["ccs"]}, 5_247_050 - 12 * 2 * 51),
    ("dr_caml", {"heads": ["ccs"]}, 5_299_650 - 12 * 2 * 51),
    ("multirescnn", {"heads": ["ccs"]}, 6_584_400 - 12 * 2 * 301),
    ("mt_ram", {}, 9_199_776),
]
TABLE_3 = [
    ("caml", {}, 5_247_050),
    ("caml", RAM, 5_269_392),
    ("caml", MTL, 5_250_926),
    ("caml", MTL | RAM, 5_273_268),
    ("multirescnn", {}, 6_584_400),
    ("multirescnn", RAM, 7_380_525),
    ("multirescnn", MTL, 6_607_276),
    ("multirescnn", MTL | RAM, 7_403_401),
    ("bigru_label_attention", {}, 5_975_600),
    ("bigru_label_attention", RAM, 9_154_100),
    ("bigru_label_attention", MTL, 6_021_276),
    ("bigru_label_attention", MTL | RAM, 9_199_776),
]
TABLE_4 = [
    (name, MTL | ram, count)
    for name, count in (("caml", 5_273_268), ("multirescnn", 7_403_401), ("bigru_label_attention", 9_199_776))
    for ram in (RAM, ADD)
]


@pytest.mark.parametrize(("name", "changes", "expected"), [*TABLE_2, *TABLE_3, *TABLE_4])
def test_rows_of_the_ablation_tables_are_settings(name, changes, expected):
    configured = settings(name, "mtram" if "mtram" in file(name)["recipes"] else "published", options=changes).config
    heads = {head: {"icd": 50, "ccs": 38}[head] for head in configured.heads}
    with torch.device("meta"):
        model = models.find(name)(configured, ModelInputs(heads=heads, vocab_size=51_919))
    assert count_parameters(model)["total"] == expected


def test_mt_ram_and_marn_are_settings_of_the_bigru():
    bigru = build("bigru_label_attention", ram=True)
    for name in ("mt_ram", "marn"):
        model = build(name)
        assert {key: value.shape for key, value in model.state_dict().items()} == {
            key: value.shape for key, value in bigru.state_dict().items()
        }
        assert model.config.heads == ["icd", "ccs"]


def test_published_trainings():
    """Recipes follow the paper's table of settings, the authors' commands, and MARN's."""
    for name in ("mt_ram", "bigru_label_attention"):
        recipe = settings(name, "published").recipe
        assert (recipe.optimizer, recipe.learning_rate, recipe.clip_norm) == ("adam", 0.008, 1.0)
        assert (recipe.batch_size, recipe.epochs, recipe.max_tokens) == (16, 50, 2500)
        assert (recipe.loss, recipe.loss_weights) == ("bce", {"icd": 0.7, "ccs": 0.3})
        full = settings(name, "published", "full").recipe
        assert (full.batch_size, full.epochs) == (32, 100)
        for baseline in ("caml", "multirescnn"):
            assert settings(baseline, "mtram").recipe == recipe
    marn = settings("marn", "published").recipe
    assert (marn.optimizer, marn.learning_rate, marn.clip_norm) == ("adamw", 0.001, 1.0)
    assert (marn.batch_size, marn.epochs, marn.max_tokens) == (16, 50, 4000)
    assert (marn.loss, marn.focal_alpha, marn.focal_gamma) == ("focal", 0.999, 2.0)
    assert marn.loss_weights == {"icd": 0.7, "ccs": 0.3}
