"""DR-CAML: CAML's logits, and a loss that regularizes output vectors toward descriptions."""

from __future__ import annotations

import plain
import pytest
import torch

from medcode.models.caml import Caml, CamlConfig
from medcode.models.dr_caml import DrCaml, DrCamlConfig

SIZE, FILTERS, LABELS, WEIGHT = 5, 4, 4, 3.0
DESCRIPTIONS = torch.tensor([[3, 4, 9, 2, 8], [7, 0, 0, 0, 0], [0, 0, 0, 0, 0], [5, 6, 1, 0, 0]])
GOLD = torch.tensor([[1.0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]])
PLAIN = {"dropout": 0.0, "embedding": "trained", "mask_padding": True}


def build(kernel: int = 4, descriptions: torch.Tensor | None = DESCRIPTIONS, **changes) -> DrCaml:
    options = PLAIN | {"description_weight": WEIGHT, "separate_description_table": False} | changes
    torch.manual_seed(0)
    config = DrCamlConfig(filters=FILTERS, kernel=kernel, **options)
    words = None if descriptions is None else {"icd": descriptions}
    return DrCaml(config, plain.inputs({"icd": LABELS}, SIZE, descriptions=words)).eval().double()


def describe(model: DrCaml, words: list[int]) -> torch.Tensor:
    encoder = model.description_encoder
    table, around = model.description_table or model.embedding.table, model.config.kernel // 2
    layer = encoder.convolution
    features = plain.convolve(table.weight[torch.tensor(words)], layer.weight, layer.bias, left=around, right=around)
    return encoder.output.weight @ torch.tanh(features).max(0).values + encoder.output.bias


def distance(model: DrCaml, label: int, words: list[int]) -> torch.Tensor:
    return (model.attention["icd"].output.weight[label] - describe(model, words)).square().mean()


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("separate", [False, True])
def test_the_penalty_sums_the_distances_of_codes_from_their_descriptions(kernel, separate):
    model = build(kernel, separate_description_table=separate)
    if separate:
        model.description_table.weight[1:] += 0.3
    near = {label: distance(model, label, [w for w in DESCRIPTIONS[label].tolist() if w]) for label in (0, 1, 3)}
    expected = [WEIGHT * (near[0] + near[1]), 0.0, WEIGHT * (near[1] + near[3])]
    assert model.regularization({"icd": GOLD}).tolist() == pytest.approx([float(x) for x in expected])


@torch.no_grad()
def test_padding_of_descriptions_enters_the_maximum_in_the_authors_code():
    model = build(match_released_code=True)
    one_word = {1: 7, 2: plain.WORDS - 1}  # the unknown word describes label 2
    with_pads = [distance(model, 0, [3, 4, 9, 2, 8])]
    with_pads += [distance(model, label, [word, 0, 0, 0, 0]) for label, word in one_word.items()]
    shorter = [distance(model, 1, [7, 0, 0]), distance(model, 3, [5, 6, 1])]
    expected = [WEIGHT * float(sum(with_pads)), 0.0, WEIGHT * float(sum(shorter))]
    assert model.regularization({"icd": GOLD}).tolist() == pytest.approx(expected)


@torch.no_grad()
def test_logits_equal_camls():
    model = build(10)
    torch.manual_seed(0)
    options = PLAIN
    caml = Caml(CamlConfig(filters=FILTERS, kernel=10, **options), plain.inputs({"icd": LABELS}, SIZE)).eval().double()
    caml.load_state_dict({name: model.state_dict()[name] for name in caml.state_dict()})
    notes = plain.batch([plain.note(12), plain.note(3, seed=1)])
    assert torch.equal(model(*notes)["icd"], caml(*notes)["icd"])
    assert torch.equal(model.label_attention(*notes)["icd"], caml.label_attention(*notes)["icd"])


@torch.no_grad()
@pytest.mark.parametrize("released", [False, True])
def test_codes_without_training_documents_get_the_vectors_of_their_descriptions_and_no_bias(released):
    model = build(match_released_code=released)
    output = model.attention["icd"].output
    before, bias = output.weight.clone(), output.bias.clone()
    model.before_evaluation({"icd": torch.tensor([0, 5, 0, 2])})
    torch.testing.assert_close(output.weight[0], describe(model, DESCRIPTIONS[0].tolist()))
    assert torch.equal(output.weight[[1, 3]], before[[1, 3]])
    # Label 2 was never seen either, but nothing describes it; the authors' code takes the unknown word.
    expected = describe(model, [plain.WORDS - 1, 0, 0, 0, 0]) if released else before[2]
    torch.testing.assert_close(output.weight[2], expected)
    assert output.bias.tolist() == [0, bias[1], 0, bias[3]] and bias.all()


def test_the_description_table_is_a_separately_trained_copy():
    model = build(separate_description_table=True)
    assert torch.equal(model.description_table.weight, model.embedding.table.weight)
    model.regularization({"icd": GOLD.double()}).sum().backward()
    assert model.description_table.weight.grad.any() and model.embedding.table.weight.grad is None


def test_it_predicts_without_descriptions_but_cannot_be_trained():
    model = build(descriptions=None)
    assert model(*plain.batch([plain.note(4)]))["icd"].shape == (1, LABELS)
    with pytest.raises(ValueError, match="built without the descriptions"):
        model.regularization({"icd": GOLD})
