"""GKI-ICD: the guidelines it writes, and the losses of its training."""

from __future__ import annotations

import itertools

import pytest
import small_models
import torch
import trainers
from small_models import HEADS, notes, random_gold
from torch import Tensor

from medcode.codes.tree import Node
from medcode.layers.rdrop import rdrop
from medcode.models.gki_icd import GkiIcd, GuidelineWriter
from medcode.models.inputs import ModelInputs
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

SEPSIS = (
    Node("chapter", "icd9cm", "001-139", "Infectious and parasitic diseases"),
    Node("block", "icd9cm", "030-041", "Other bacterial diseases"),
    Node("category", "icd9cm", "038", "Septicemia"),
    Node("code", "icd9cm", "038.9", "Unspecified septicemia"),
)
INTUBATION = (
    Node("chapter", "icd9proc", "87-99", "Miscellaneous diagnostic and therapeutic procedures"),
    Node("category", "icd9proc", "96", "Nonoperative intubation and irrigation"),
    Node("code", "icd9proc", "96.0", "Nonoperative intubation of gastrointestinal and respiratory tracts"),
    Node("code", "icd9proc", "96.04", "Insertion of endotracheal tube"),
)
PNEUMONIA = (
    Node("chapter", "icd9cm", "460-519", "Diseases of the respiratory system"),
    Node("block", "icd9cm", "480-488", "Pneumonia and influenza"),
    Node("category", "icd9cm", "486", "Pneumonia, organism unspecified"),
)
PATHS = [SEPSIS, INTUBATION, PNEUMONIA]
TITLES = [path[-1].title for path in PATHS]
WRITTEN = [
    "infectious and parasitic diseases, other bacterial diseases, septicemia, unspecified septicemia",
    "miscellaneous diagnostic and therapeutic procedures, nonoperative intubation and irrigation, insertion of "
    "endotracheal tube",
    "diseases of the respiratory system, pneumonia and influenza, pneumonia, organism unspecified",
]


def texts(writer: GuidelineWriter, labels: list[int], draws: int = 40) -> set[str]:
    torch.manual_seed(0)
    return {writer.write(labels) for _ in range(draws)}


def test_an_expression_is_of_chapter_block_category_and_title():
    writer = GuidelineWriter(TITLES, [[], [], []], PATHS)
    assert [writer.write([label]) for label in range(3)] == WRITTEN  # 486 is its own category: three parts
    assert writer.write([]) == ""


def test_expressions_are_in_random_order_with_points_between():
    writer = GuidelineWriter(TITLES, [[], [], []], PATHS)
    assert texts(writer, [0, 1, 2]) == {". ".join(order) for order in itertools.permutations(WRITTEN)}
    torch.manual_seed(4)
    first = writer.write([0, 1, 2])
    torch.manual_seed(4)
    assert writer.write([0, 1, 2]) == first


def test_synonyms_take_the_place_of_the_title():
    writer = GuidelineWriter(TITLES, [["Sepsis", "Blood poisoning"], [], []], PATHS)
    start = WRITTEN[0].removesuffix("unspecified septicemia")
    assert texts(writer, [0]) == {f"{start}sepsis", f"{start}blood poisoning"}


def test_parts_without_a_title_are_left_out():
    bare = (SEPSIS[0], SEPSIS[2]._replace(title=""), SEPSIS[3]._replace(title=""))
    writer = GuidelineWriter(["", ""], [[], []], [bare, (Node("code", "icdo3", "8140/3", ""),)])
    assert writer.write([0]) == "infectious and parasitic diseases"
    assert texts(writer, [0, 1]) == {"infectious and parasitic diseases"}


def forward(model: GkiIcd, batch: tuple[Tensor, Tensor], gold: dict[str, Tensor], epoch: int = 2):
    torch.manual_seed(7)
    return model.training_forward(*batch, gold, torch.tensor(epoch))


def test_passes_are_of_notes_and_of_guidelines():
    model, batch, gold = small_models.build("gki_icd"), notes([9, 4]), random_gold(2, HEADS)
    output = forward(model, batch, gold)
    assert len(output.logits) == 4
    for logits in output.logits[:2]:
        torch.testing.assert_close(logits, model(*batch))
    torch.manual_seed(7)
    guidelines = model(*model.guidelines(gold))
    for logits in output.logits[2:]:
        torch.testing.assert_close(logits, guidelines)
    assert len(forward(small_models.build("gki_icd", rdrop_weight=0.0), batch, gold).logits) == 2


def test_without_dropout_a_note_that_is_its_guideline_has_no_penalty(monkeypatch):
    model, batch, gold = small_models.build("gki_icd"), notes([9, 4]), random_gold(2, HEADS)
    monkeypatch.setattr(model, "guidelines", lambda gold: batch)
    output = forward(model, batch, gold)
    for logits in output.logits:
        torch.testing.assert_close(logits, model(*batch))
    assert output.penalties.keys() == {"train_similarity", "train_rdrop"}
    for penalty in output.penalties.values():
        torch.testing.assert_close(penalty, torch.zeros(2), rtol=0, atol=1e-5)


def test_penalties_have_their_weights_and_rdrop_begins_in_the_second_epoch():
    batch, gold = notes([9, 4]), random_gold(2, HEADS)
    changes = {"dropout": 0.3, "redraw": False}
    model = small_models.build("gki_icd", similarity_weight=1.0, rdrop_weight=1.0, **changes).train()
    once = forward(model, batch, gold)
    model = small_models.build("gki_icd", similarity_weight=2.0, rdrop_weight=3.0, **changes).train()
    output = forward(model, batch, gold)
    divergence = sum(rdrop(output.logits[0][head], output.logits[1][head]) for head in HEADS)
    torch.testing.assert_close(output.penalties["train_rdrop"], 3 * divergence)
    torch.testing.assert_close(output.penalties["train_similarity"], 2 * once.penalties["train_similarity"])
    first = forward(model, batch, gold, epoch=1)
    assert (first.penalties["train_rdrop"] == 0).all() and len(first.logits) == 4
    without = small_models.build("gki_icd", similarity_weight=0.0)
    assert forward(without, batch, gold).penalties.keys() == {"train_rdrop"}


@pytest.mark.parametrize("redraw", [True, False])
def test_the_second_pass_may_have_another_guideline(redraw):
    model, batch, gold = small_models.build("gki_icd", redraw=redraw), notes([9, 4]), random_gold(2, HEADS)
    *_, first, second = forward(model, batch, gold).logits
    assert torch.equal(first["icd"], second["icd"]) != redraw


def test_guidelines_are_of_the_gold_labels_alone(monkeypatch):
    model = small_models.build("gki_icd")
    asked = []
    monkeypatch.setattr(model._writer, "write", lambda labels: asked.append(labels) or "x " * len(labels))
    gold = {head: torch.zeros(3, labels) for head, labels in HEADS.items()}
    gold["icd"][0, 2] = gold["category"][0, 1] = gold["icd"][1, 0] = 1
    tokens, lengths = model.guidelines(gold)
    assert asked == [[2, HEADS["icd"] + 1], [0], []]
    assert lengths.tolist() == [2, 1, 0] and tokens.shape == (3, 2)
    assert model.guidelines({head: x * 0 for head, x in gold.items()})[0].shape == (3, 1)


def test_a_saved_model_predicts_but_does_not_train():
    model = small_models.build("gki_icd")
    inputs = ModelInputs(heads=HEADS, encoder=small_models.encoder(model.config))
    rebuilt = GkiIcd(model.config, inputs).eval()
    rebuilt.load_state_dict(model.state_dict())
    batch = notes([9, 4])
    torch.testing.assert_close(rebuilt(*batch), model(*batch))
    with pytest.raises(ValueError, match="without the titles, terms and tree"):
        forward(rebuilt, batch, random_gold(2, HEADS))


@torch.no_grad()
def test_in_the_authors_code_padding_has_features_of_zero():
    model, batch = small_models.build("gki_icd", match_released_code=True), notes([9, 4])
    features, real = model.encode(*batch)
    assert real is None and (features[1, 6:] == 0).all() and (features[1, :6] != 0).any(1).all()


def test_initial_weights_are_those_of_the_authors():
    model = small_models.build("gki_icd", heads={"icd": 300, "category": 3}, queries="random")
    attention = model.attention["icd"]
    for layer in (attention.queries, attention.output):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert (attention.value.bias == 0).all() and (attention.output.bias == 0).all()


def test_it_learns_and_a_resumed_training_ends_in_the_same_weights(tiny_inputs, recipe, engine, tmp_path):
    short = recipe.model_copy(update={"epochs": 3, "learning_rate": 0.003})

    def trainer(folder: str) -> Trainer:
        model = small_models.build("gki_icd", heads=tiny_inputs.heads, dropout=0.1, redraw=True)
        return Trainer(model, tiny_inputs, short, engine, 1, Checkpoints(tmp_path / folder))

    whole = trainer("whole")
    curve = trainers.run_alone(whole).history
    assert curve[0]["train_rdrop"] == 0 < curve[1]["train_rdrop"]
    assert curve[-1]["train_loss"] < curve[0]["train_loss"] and curve[-1]["train_similarity"] > 0
    for number, _ in enumerate(trainers.steps(trainer("stopped"))):
        if number == 14:  # in the second epoch
            break
    resumed = trainer("stopped")
    trainers.run_alone(resumed)
    trainers.assert_same(resumed.model.state_dict(), whole.model.state_dict())
