"""JAMS equals its backbone with the queries of MAT and one head for each system."""

from __future__ import annotations

import math

import numpy as np
import plain
import pytest
import small_models
import torch
from torch import Tensor

from medcode import models
from medcode.config import Recipe, configure
from medcode.errors import UserError
from medcode.layers.code_edges import Edges
from medcode.models.catalog import PUBLISHED_SIZES
from medcode.models.inputs import ModelInputs
from medcode.models.jams import CODES, Jams
from medcode.training import label_init

NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(5, seed=2)]
HEADS = {"icd9": 3, "icd10": 4}
BACKBONES = {
    "caml": {"filters": 4, "kernel": 3},
    "dr_caml": {"filters": 4, "kernel": 3, "description_weight": 1.0, "separate_description_table": False},
    "fusion": {
        "kernels": [3], "filters": 4, "pooling": "soft", "window": 2, "transformer": False, "positions": 0,
        "attention_heads": 1, "feed_forward": 4, "attention": "document", "block_local": False,
    },
    "gatedcnn_nci": {},
    "laat": {"rnn": "lstm", "hidden": 3, "projection": 4},
}  # fmt: skip
OPTIONS = {"backbones": BACKBONES}
DESCRIPTIONS = {
    "icd9": [np.array([3, 4]), np.array([5, 6]), np.array([], dtype=np.int64)],
    "icd10": [np.array([3, 4]), np.array([7]), np.array([8, 9, 10]), np.array([11])],
}
JOINED = [*DESCRIPTIONS["icd9"], *DESCRIPTIONS["icd10"]]

TO_ICD10 = torch.tensor([[1.0, 0.5, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
TO_ICD9 = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


def edges() -> dict[str, Edges]:
    matrices = {"icd9": TO_ICD10, "icd10": TO_ICD9}
    return {head: Edges(*matrix.nonzero(as_tuple=True), matrix[matrix > 0]) for head, matrix in matrices.items()}


def build(recipe: Recipe, backbone: str = "caml", **label_inputs) -> Jams:
    still = recipe.model_copy(update={"dropout": 0.0})
    config = configure("jams", OPTIONS | {"backbone": backbone}, still)
    torch.manual_seed(0)
    model = Jams(config, plain.inputs(HEADS, edges=edges(), **label_inputs)).eval().double()
    for weights in (*model.codes.tables.values(), model.backbone.attention[CODES].output.weight):
        weights.data.mul_(30)  # so that wrong label vectors change logits by more than rounding
    return model


def queries(model: Jams) -> dict[str, Tensor]:
    """Compute u' and v' by the paper's formula and a matrix of all pairs."""
    u, v, a = model.codes.tables["icd9"], model.codes.tables["icd10"], model.codes.vector.squeeze(1)
    return {
        "icd9": plain.medical_codes(u, v, a, TO_ICD10.double()),
        "icd10": plain.medical_codes(v, u, a, TO_ICD9.double()),
    }


def rows(model: Jams, head: str) -> tuple[Tensor, Tensor]:
    """Return the output vectors and biases of a head."""
    place = slice(0, 3) if head == "icd9" else slice(3, 7)
    output = model.backbone.attention[CODES].output
    return output.weight[place], output.bias[place]


@pytest.mark.parametrize("head", HEADS)
def test_with_caml_logits_follow_camls_formula_with_the_queries_of_mat(recipe, head):
    def by_hand(model: Jams, words: list[int]) -> Tensor:
        layer = model.backbone.convolution
        h = torch.tanh(plain.convolve(plain.vectors(model.backbone, words), layer.weight, layer.bias, left=1, right=1))
        return plain.attend(h, queries(model)[head], *rows(model, head))

    plain.agree(build(recipe), NOTES, by_hand, head, padded=12)


@pytest.mark.parametrize("head", HEADS)
def test_with_laat_both_systems_share_one_projection(recipe, head):
    def by_hand(model: Jams, words: list[int]) -> Tensor:
        h = plain.read_by_torch(model.backbone.recurrent, plain.vectors(model.backbone, words))
        keys = torch.tanh(h @ model.backbone.attention[CODES].projection.weight.T)
        return plain.attend(h, queries(model)[head], *rows(model, head), keys)

    model = build(recipe, "laat")
    plain.agree(model, NOTES, by_hand, head, padded=12)
    assert sum("projection" in name for name, _ in model.named_parameters()) == 1


def test_output_vectors_are_initialized_as_for_a_single_system(recipe):
    config = configure("jams", OPTIONS | {"backbone": "caml"}, recipe)
    model = Jams(config, ModelInputs(heads={"icd9": 2_000, "icd10": 20}, vocab_size=plain.WORDS))
    for weights, labels in zip(
        model.backbone.attention[CODES].output.weight.split([2_000, 20]), (2_000, 20), strict=True
    ):
        bound = (6 / (4 + labels)) ** 0.5
        assert 0.8 * bound < weights.abs().max() <= bound


def test_symmetric_edges_include_both_directions(recipe):
    config = configure("jams", OPTIONS | {"backbone": "caml", "symmetric": True}, recipe)
    model = Jams(config, ModelInputs(heads=HEADS, vocab_size=plain.WORDS, edges=edges()))
    symmetric = torch.maximum(TO_ICD10, TO_ICD9.T)
    for head, matrix in (("icd9", symmetric), ("icd10", symmetric.T)):
        actual, head_edges = torch.zeros_like(matrix), model.codes.edges(head)
        actual[head_edges.attending, head_edges.attended] = head_edges.weight
        assert torch.equal(actual, matrix)


def test_a_backbone_with_descriptions_regularizes_the_output_vectors_of_both_systems(recipe):
    words = {"icd9": torch.tensor([[3, 4], [5, 0], [0, 0]]), "icd10": torch.tensor([[3], [4], [5], [6]])}
    model = build(recipe, "dr_caml", descriptions=words)
    gold = {"icd9": torch.tensor([[1.0, 0, 1]]).double(), "icd10": torch.tensor([[0.0, 1, 0, 0]]).double()}
    weight = model.backbone.attention[CODES].output.weight
    described = model.backbone._describe(CODES, torch.tensor([0, 4]))  # the third code has no description
    expected = (weight[[0, 4]] - described).square().mean(1).sum()
    torch.testing.assert_close(model.regularization(gold), expected[None])
    model.before_evaluation({"icd9": torch.tensor([1, 1, 1]), "icd10": torch.tensor([1, 0, 1, 1])})
    torch.testing.assert_close(weight[4], described[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "lat"}, "backbone: there is no block backbones.lat; did you mean 'laat'?"),
        ({"backbone": "gatedcnn_nci"}, "backbone: gatedcnn_nci has no label attention of its own"),
        ({"backbone": "jams", "backbones": {"jams": {}}}, "backbone: jams has no label attention of its own"),
        ({"backbone": "bert", "backbones": {"bert": {}}}, "backbone: bert has no label attention of its own"),
        ({"backbone": "caml", "backbones": {"caml": {"filters": 0, "kernel": 3}}}, "backbones.caml.filters: "),
        (
            {"backbone": "caml", "backbones": {"caml": {"filters": 4, "kernel": 3, "faithful": True}}},
            "backbones.caml.faithful: renamed; write match_released_code",
        ),
        ({"backbone": "caml", "heads": ["icd9"]}, "heads: "),
    ],
)
def test_an_unsuitable_backbone_is_refused(recipe, changes, message):
    with pytest.raises(UserError) as refused:
        configure("jams", OPTIONS | changes, recipe, "jams.yaml")
    (line,) = refused.value.args
    assert line.startswith(("jams.yaml: options: " + message, "jams.yaml: options." + message))


def test_an_attention_without_a_query_for_each_label_is_refused(recipe):
    with pytest.raises(UserError, match=r"options.backbones.fusion: its attention has no query for each label"):
        build(recipe, "fusion")


def test_two_heads_of_one_name_are_refused(recipe):
    config = configure("jams", OPTIONS | {"backbone": "caml"}, recipe)
    with pytest.raises(UserError, match=r"heads: two different heads are joined, found icd9"):
        Jams(config, ModelInputs(heads={"icd9": 3}, vocab_size=plain.WORDS))


def test_every_backbone_and_recipe_in_the_file_can_be_built():
    content = small_models.file("jams")
    for backbone in content["options"]["backbones"]:
        for recipe in content["recipes"]:
            config = small_models.settings("jams", recipe, "full", {"backbone": backbone}).config
            size = config.published_encoder
            text = {"encoder": PUBLISHED_SIZES[size]} if size else {"vocab_size": 40}
            with torch.device("meta"):
                built = Jams(config, ModelInputs(heads=HEADS, **text))
            assert {head: len(table) for head, table in built.codes.tables.items()} == HEADS


@pytest.mark.parametrize("backbone", ["caml", "laat"])
def test_label_vectors_are_those_of_the_backbone_alone(recipe, backbone):
    model = build(recipe, backbone).float()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    alone = models.find(backbone)(model.config.backbone_config, plain.inputs({CODES: 7}))
    alone.load_state_dict(
        {key.removeprefix("backbone."): value for key, value in before.items() if key.startswith("backbone.")},
        strict=False,
    )
    label_init.start_from_descriptions(model, DESCRIPTIONS)
    label_init.start_from_descriptions(alone, {CODES: JOINED})
    described = torch.tensor([len(words) > 0 for words in JOINED])
    vectors = torch.cat([model.codes.tables[head] for head in HEADS])
    torch.testing.assert_close(vectors[described], alone.attention[CODES].queries.weight[described])
    torch.testing.assert_close(vectors[2], before["codes.tables.icd9"][2])
    output = f"backbone.attention.{CODES}.output.weight"
    torch.testing.assert_close(model.state_dict()[output][described], alone.attention[CODES].output.weight[described])
    assert torch.equal(model.state_dict()[output][2], before[output][2])


def test_biases_of_each_system_are_its_log_odds(recipe):
    model = build(recipe)
    label_init.start_from_frequencies(model, "icd10", np.array([0, 5, 10, 5]), 10)
    label_init.start_from_frequencies(model, "icd9", np.array([5, 10, 0]), 10)
    rare, even, frequent = math.log(0.5 / 10.5), 0.0, math.log(10.5 / 0.5)
    expected = torch.tensor([even, frequent, rare, rare, even, frequent, even], dtype=torch.double)
    torch.testing.assert_close(model.backbone.attention[CODES].output.bias.detach(), expected)
