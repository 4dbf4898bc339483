"""C-MemNN against its formula, in loops over slots and hops."""

from __future__ import annotations

import numpy as np
import plain
import pytest
import torch
from torch import Tensor, nn

from medcode.codes.tree import Node
from medcode.models.c_memnn import CMemNN, CMemNNConfig

SIZE, LABELS, SLOT = 5, 4, 7
NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2), [20, 21]]
OPTIONS = {
    "hops": 3, "text_size": "corpus", "title_size": 6, "slot_size": SLOT, "gate_size": 3, "stop_words": "kept",
    "dropout": 0.0, "embedding": "trained",
}  # fmt: skip
TITLES, TERMS, CATEGORIES = ["3 4", "5", "29 6", "7 8"], [[], ["9 10", "11"], [], ["3"]], ["12 13", ""]  # 29 is unknown
# Words of the page of each label: title, synonyms, block and category; of the last note no page has a word.
PAGES = [[3, 4, 14, 12, 13], [5, 9, 10, 11, 14, 12, 13], [6, 14], [7, 8, 3, 14]]
WORDS_OF_TITLES = [[3, 4], [5], [6], [7, 8]]


def tokenize(texts: list[str]) -> list[np.ndarray]:
    return [np.array([int(word) if word.isdigit() else 29 for word in text.split()], dtype=np.int32) for text in texts]


def path(label: int) -> tuple[Node, ...]:
    return (
        Node("chapter", "icd9cm", "001-139", "1"),
        Node("block", "icd9cm", "001-009", "14"),
        Node("category", "icd9cm", f"00{label // 2}", CATEGORIES[label // 2]),
        Node("code", "icd9cm", f"00{label // 2}.{label}", TITLES[label]),
    )


def build(seed: int = 0, order: list[int] | None = None, saved: bool = False, **changes) -> CMemNN:
    torch.manual_seed(seed)
    order = list(range(LABELS)) if order is None else order
    of_labels = {} if saved else {
        "titles": {"icd": [TITLES[label] for label in order]},
        "terms": {"icd": [TERMS[label] for label in order]},
        "tree": {"icd": [path(label) for label in order]},
        "tokenize": tokenize,
    }  # fmt: skip
    config = CMemNNConfig(**OPTIONS | changes)
    return plain.scramble(CMemNN(config, plain.inputs({"icd": LABELS}, SIZE, **of_labels)).eval()).double()


def mean(table: nn.Embedding, words: list[int]) -> Tensor:
    return sum(table.weight[word] for word in words) / len(words) ** 0.5


def shared(words: list[int], label: int) -> bool:
    return bool(set(words) & set(PAGES[label]))


def by_hand(model: CMemNN, words: list[int]) -> Tensor:
    config, gate = model.config, model.addressing
    u = model.from_note(mean(model.embedding.table, words))
    states, condensed = [u], u
    for hop in range(config.hops):
        scores = []
        for label, page in enumerate(PAGES):
            m = model.from_page(mean(model.pages, page))
            if config.addressing == "softmax":
                score = u @ m
            else:
                hidden = gate.hidden(torch.cat([u, m]))
                score = gate.score(hidden.tanh())[0]
            read = config.retrieval == "all" or shared(words, label)
            scores.append(score if read else torch.tensor(-torch.inf, dtype=score.dtype))
        scores = torch.stack(scores)
        a = scores.sigmoid() if config.addressing == "gated" else scores.softmax(0).nan_to_num(0)
        u = u + sum(
            a[label] * model.from_title(mean(model.titles, title)) for label, title in enumerate(WORDS_OF_TITLES)
        )
        states.append(u)
        if config.state == "condensed":
            condensed = torch.cat([u, model.condense[hop](condensed)])
    if config.state == "averaged":
        condensed = sum(state / 2**age for age, state in enumerate(reversed(states)))
    return model.output["icd"](u if config.state == "last" else condensed)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hops": 1},
        {"state": "averaged"},
        {"state": "last"},
        {"addressing": "softmax"},
        {"retrieval": "all"},
    ],
)
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=37)


def test_a_page_is_title_synonyms_block_and_category_without_unknown_words():
    memory = build().memory["icd"]
    assert [[word for word in row if word] for row in memory.pages.tolist()] == PAGES
    assert [[word for word in row if word] for row in memory.titles.tolist()] == WORDS_OF_TITLES


@torch.no_grad()
def test_relabeled_codes_have_the_same_logits():
    order = [2, 0, 3, 1]
    model, relabeled = build(), build(order=order)
    weights = model.state_dict()
    for name in ("output.icd.weight", "output.icd.bias"):
        weights[name] = weights[name][order]
    for name in ("memory.icd.pages", "memory.icd.titles"):
        weights[name] = relabeled.state_dict()[name]
    relabeled.load_state_dict(weights)
    notes = plain.batch(NOTES)
    torch.testing.assert_close(relabeled(*notes)["icd"], model(*notes)["icd"][:, order])


@torch.no_grad()
def test_a_saved_model_brings_its_pages():
    model, loaded = build(), build(seed=1, saved=True)
    loaded.load_state_dict(model.state_dict())
    notes = plain.batch(NOTES)
    assert torch.equal(loaded(*notes)["icd"], model(*notes)["icd"])


@torch.no_grad()
def test_older_states_reach_the_output_through_the_condensed_part_alone():
    model = build()
    for layer in model.condense:
        nn.init.zeros_(layer.weight)
    last = build(state="last")
    last.load_state_dict({**{k: v for k, v in model.state_dict().items() if k in last.state_dict()},
                          "output.icd.weight": model.output["icd"].weight[:, :SLOT]})  # fmt: skip
    notes = plain.batch(NOTES)
    torch.testing.assert_close(model(*notes)["icd"], last(*notes)["icd"])


@torch.no_grad()
def test_a_closed_gate_leaves_the_note_alone():
    model, notes = build(state="last"), plain.batch(NOTES)
    nn.init.constant_(model.addressing.score.bias, -1e4)
    alone = model.output["icd"](torch.stack([model.from_note(mean(model.embedding.table, words)) for words in NOTES]))
    torch.testing.assert_close(model(*notes)["icd"], alone)


@torch.no_grad()
def test_without_what_is_read_the_averaged_state_is_a_multiple_of_the_note():
    """1 + 1/2 + 1/4 + 1/8 times the note after three hops."""
    model, notes = build(state="averaged"), plain.batch([[20, 21]])  # no page shares a word with it
    note = model.from_note(mean(model.embedding.table, [20, 21]))
    torch.testing.assert_close(model(*notes)["icd"][0], model.output["icd"](1.875 * note))


@torch.no_grad()
def test_an_open_gate_of_one_slot_adds_its_value():
    model = build(state="last", hops=1)
    nn.init.constant_(model.addressing.score.bias, 1e4)
    expected = model.from_note(mean(model.embedding.table, [5, 20])) + model.from_title(mean(model.titles, [5]))
    torch.testing.assert_close(model(*plain.batch([[5, 20]]))["icd"][0], model.output["icd"](expected))


@torch.no_grad()
def test_the_loss_of_the_addressing_is_over_the_slots_that_are_read():
    model, words = build(addressing_weight=0.5), [3, 5, 20]  # read: the first, the second and the fourth
    gold = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    output = model.training_forward(*plain.batch([words]), {"icd": gold}, torch.tensor(1))
    weights = [reading.sigmoid() for reading in model.read(plain.batch([words])[0])["icd"].scores]
    losses = [-(a[0, 0].log() + (1 - a[0, 1]).log() + (1 - a[0, 3]).log()) / 3 for a in weights]
    torch.testing.assert_close(
        output.penalties["train_addressing_loss"][0].double(), 0.5 * sum(losses) / 3, rtol=1e-5, atol=0
    )


@torch.no_grad()
def test_the_softmax_loss_is_the_mean_cross_entropy_of_gold_slots():
    model, words = build(addressing="softmax", hops=1), [3, 5, 20]
    gold = torch.tensor([[1.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    output = model.training_forward(*plain.batch([words]), {"icd": gold}, torch.tensor(1))
    logs = model.read(plain.batch([words])[0])["icd"].scores[0][0, [0, 1, 3]].log_softmax(0)
    expected = -(logs[0] + logs[1]) / 2
    torch.testing.assert_close(output.penalties["train_addressing_loss"][0].double(), expected, rtol=1e-5, atol=0)


@torch.no_grad()
def test_stop_words_are_left_out_of_notes_and_pages():
    def with_the(texts: list[str]) -> list[np.ndarray]:
        return [np.array([{"the": 3}.get(word, 29) for word in text.split()], dtype=np.int32) for text in texts]

    inputs = plain.inputs({"icd": LABELS}, SIZE, titles={"icd": ["the"] * 4}, terms={"icd": [[]] * 4},
                          tree={"icd": [path(label) for label in range(4)]}, tokenize=with_the)  # fmt: skip
    model = CMemNN(CMemNNConfig(**OPTIONS | {"stop_words": "removed"}), inputs).eval()
    assert model.ignored.nonzero().tolist() == [[3]]  # the other stop words are unknown, and stay
    with_it, without = (model(*plain.batch([words]))["icd"] for words in ([3, 8, 3], [8]))
    torch.testing.assert_close(with_it, without)
