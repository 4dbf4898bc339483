"""MSATT-KG against its formula, in loops over positions, labels and nodes."""

from __future__ import annotations

import numpy as np
import plain
import pytest
import torch
from torch import Tensor, nn

from medcode.codes.tree import Node
from medcode.models.msatt_kg import MsattKg, MsattKgConfig, MultiScaleEncoder, above_zero

SIZE, LABELS, FILTERS = 5, 4, 6
NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), plain.note(14, seed=3)]
OPTIONS = {"blocks": 3, "kernel": 3, "filters": FILTERS, "graph_steps": 2, "dropout": 0.0, "embedding": "trained"}
TITLES = ["3 4", "5", "29 29", "7 8 9 10"]  # 29 is unknown
# Words of the nodes in the order in which the paths name them; the third code has those of its category.
WORDS = [[1], [11, 12], [3, 4], [5], [13], [13], [7, 8, 9, 10]]
PARENTS, LEAVES = [None, 0, 1, 1, 0, 4, 4], [2, 3, 5, 6]


def tokenize(texts: list[str]) -> list[np.ndarray]:
    return [np.array([int(word) for word in text.split()], dtype=np.int32) for text in texts]


def path(label: int) -> tuple[Node, ...]:
    category = label // 2
    return (
        Node("chapter", "icd9cm", "001-139", "1"),
        Node("category", "icd9cm", f"00{category}", ["11 12", "13"][category]),
        Node("code", "icd9cm", f"00{category}.{label}", TITLES[label]),
    )


def build(seed: int = 0, order: list[int] | None = None, saved: bool = False, **changes) -> MsattKg:
    torch.manual_seed(seed)
    order = list(range(LABELS)) if order is None else order
    of_labels = {} if saved else {"tree": {"icd": [path(label) for label in order]}, "tokenize": tokenize}
    config = MsattKgConfig(**OPTIONS | changes)
    return plain.scramble(MsattKg(config, plain.inputs({"icd": LABELS}, SIZE, **of_labels)).eval()).double()


def encode(encoder: MultiScaleEncoder, x: Tensor) -> Tensor:
    states = [x]
    for block in encoder.blocks:
        states.append(plain.same(torch.cat(states, dim=1), block).relu())
    rows = []
    for position in zip(*states[1:], strict=True):
        weights = torch.softmax(encoder.scales(torch.stack([features.sum() for features in position])), 0)
        rows.append(sum(weight * features for weight, features in zip(weights, position, strict=True)))
    return torch.stack(rows)


def title(model: MsattKg, words: list[int]) -> Tensor:
    x = plain.vectors(model, words)
    if model.config.titles == "mean":
        return model.titles.linear(x.mean(0))
    return plain.same(x, model.titles.convolution).relu().max(0).values


def nodes(model: MsattKg) -> tuple[list[Tensor], list[Tensor]]:
    titles = [title(model, words) for words in WORDS]
    states = titles
    for step in model.attention["icd"].steps:
        after = []
        for node, state in enumerate(states):
            new = step.itself(state)
            if PARENTS[node] is not None:
                new = new + step.from_parents(states[PARENTS[node]])
            children = [states[other] for other, parent in enumerate(PARENTS) if parent == node]
            if children:
                new = new + step.from_children(torch.stack(children).mean(0))
            after.append(new.relu())
        states = after
    return titles, states


def by_hand(model: MsattKg, words: list[int]) -> Tensor:
    h, (titles, states) = encode(model.encoder, plain.vectors(model, words)), nodes(model)
    logits = []
    for leaf in LEAVES:
        context = torch.softmax(h @ titles[leaf], 0) @ h
        read = model.attention["icd"].output(context)
        read = read.relu() if model.config.output_activation == "relu" else read
        logits.append(read @ torch.cat([titles[leaf], states[leaf]]))
    return torch.stack(logits)


@pytest.mark.parametrize(
    "changes", [{}, {"titles": "mean"}, {"graph_steps": 1}, {"blocks": 1, "kernel": 5}, {"output_activation": "relu"}]
)
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=37)


@torch.no_grad()
def test_a_feature_reads_as_many_words_as_the_blocks_reach():
    """Four blocks of kernel 5 reach 8 words to each side."""
    encoder = MultiScaleEncoder(SIZE, FILTERS, 5, 4).double()
    x = torch.randn(1, SIZE, 30, dtype=torch.float64)
    before = encoder(x, None)[0, 15]
    for away, reached in ((9, False), (8, True)):
        changed = x.clone()
        changed[0, :, 15 + away] += 1
        assert torch.equal(encoder(changed, None)[0, 15], before) != reached


@torch.no_grad()
def test_the_attention_over_one_scale_is_the_identity():
    encoder, x = MultiScaleEncoder(SIZE, FILTERS, 3, 1).double(), torch.randn(2, SIZE, 7, dtype=torch.float64)
    torch.testing.assert_close(encoder(x, None), encoder.blocks[0](x).relu().transpose(1, 2))


@torch.no_grad()
@pytest.mark.parametrize(
    ("target", "values"), [("raw", {2.6: 3, 0.4: 1, -5.0: 1, 90.0: 4}), ("log", {np.log1p(2.6): 3, 0.2: 1, 9.0: 4})]
)
def test_as_many_of_the_best_codes_are_predicted_as_the_note_is_said_to_have(target, values):
    model, notes = build(decision="top_t", count_target=target), plain.batch(NOTES)
    scores = build()(*notes)["icd"]
    for value, expected in values.items():
        nn.init.zeros_(model.counters["icd"].weight)
        nn.init.constant_(model.counters["icd"].bias, value)
        logits = model(*notes)["icd"]
        assert ((logits > 0).sum(1) == expected).all()
        assert torch.equal(logits.argsort(1), scores.argsort(1))
        assert torch.equal(model.train()(*notes)["icd"], scores)  # training learns from the logits as they are
        model.eval()


def test_shifted_logits_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert above_zero(logits, torch.tensor([1, 3])).tolist() == [[0.5, -1.5, -0.5], [3.0, 1.0, 2.0]]


@torch.no_grad()
@pytest.mark.parametrize("target", ["log", "raw"])
def test_training_adds_the_squared_error_of_the_number_of_codes(target):
    model, notes = build(count_target=target, count_weight=0.5), plain.batch(NOTES, 37)
    gold = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
    output = model.training_forward(*notes, {"icd": gold}, torch.tensor(1))
    expected = []
    for words, number in zip(NOTES, gold.sum(1).tolist(), strict=True):
        highest = encode(model.encoder, plain.vectors(model, words)).max(0).values
        value = np.log1p(number) if target == "log" else number
        expected.append(0.5 * (model.counters["icd"](highest).item() - value) ** 2)
    assert output.penalties["train_count_loss"].tolist() == pytest.approx(expected, rel=1e-5)
    (logits,) = output.logits
    torch.testing.assert_close(logits["icd"], model(*notes)["icd"])


@torch.no_grad()
def test_relabeled_codes_have_relabeled_logits():
    order = [2, 0, 3, 1]
    model, other, notes = build(), build(order=order), plain.batch(NOTES)
    other.load_state_dict(
        {key: value for key, value in model.state_dict().items() if key in dict(other.named_parameters())}, strict=False
    )
    torch.testing.assert_close(other(*notes)["icd"], model(*notes)["icd"][:, order])


@torch.no_grad()
def test_a_saved_model_needs_no_tree():
    model, saved, notes = build(), build(seed=1, saved=True), plain.batch(NOTES)
    saved.load_state_dict(model.state_dict())
    assert torch.equal(saved(*notes)["icd"], model(*notes)["icd"])


@torch.no_grad()
@pytest.mark.parametrize("titles", ["convolution", "mean"])
def test_a_label_may_begin_to_attend_to_the_word_of_its_title(titles):
    """The title of label 1 is word 5. Other words have orthogonal vectors."""
    first = []
    for seed in range(5):
        model = build(seed, titles=titles, filters=512, blocks=2, convolution_init="tied")
        for layer in (*model.encoder.blocks, model.titles.linear if titles == "mean" else model.titles.convolution):
            nn.init.zeros_(layer.bias)
        for number, word in enumerate((5, 20, 21, 22)):
            model.embedding.table.weight[word] = torch.eye(SIZE)[number]
        first.append(model.label_attention(*plain.batch([[20, 21, 5, 22]]))["icd"][0, 1].argmax().item())
    assert first == [2] * 5


def test_no_weight_belongs_to_a_label():
    shapes = [value.shape for value in build().attention["icd"].parameters()]
    assert not any(LABELS in shape for shape in shapes)
