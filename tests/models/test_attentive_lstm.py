"""The attentive LSTM against its formula, word by word and phrase by phrase."""

from __future__ import annotations

import plain
import pytest
import torch
from torch import Tensor, nn

from medcode.models.attentive_lstm import (
    ALPHABET,
    N_CHARACTERS,
    UNKNOWN,
    AttentiveLstm,
    AttentiveLstmConfig,
    find_phrases,
)
from medcode.text.tokenization import PHRASE_END

LABELS, HIDDEN = 4, 5
OPTIONS = {
    "character_size": 3, "hidden": HIDDEN, "characters": 6, "words": 4, "phrases": 3, "dropout": 0.0,
    "embedding": "trained",
}  # fmt: skip
VOCABULARY = [PHRASE_END, *(f"word{chr(97 + number)}{number}" for number in range(plain.WORDS - 4)), "chloë☃s"]
END, UNKNOWN_WORD = 1, plain.WORDS - 1
TITLES = ["wordb1 worda0", "Gout, 2", "", "wordc2 wordc2 wordd3 worde4 wordf5"]
NOTES = [
    [5, 6, 7],
    [5, 6, END, 7],
    [END, END, 5, END, END, 9, 10, 11, 12, 13, END, UNKNOWN_WORD, END, 20, 21, END],  # too many words and phrases
    [END],
]


def build(seed: int = 0, saved: bool = False, titles: list[str] = TITLES, **changes) -> AttentiveLstm:
    torch.manual_seed(seed)
    of_training = {} if saved else {"titles": {"icd": titles}, "vocabulary": VOCABULARY}
    inputs = plain.inputs({"icd": len(titles)}, 5, **of_training)
    return AttentiveLstm(AttentiveLstmConfig(**OPTIONS | changes), inputs).eval().double()


def numbers(word: str) -> list[int]:
    """The characters of a word, of which six are read."""
    return [ALPHABET.index(character) + 2 if character in ALPHABET else UNKNOWN for character in word][:6]


def last_state(network: nn.Module, x: list[Tensor]) -> Tensor:
    """An LSTM step by step."""
    layer = network.forwards
    h = c = torch.zeros(HIDDEN, dtype=torch.float64)
    for vector in x:
        gates = layer.weight_ih_l0 @ vector + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    return h


def phrase_vector(encoder: nn.Module, words: list[list[int]]) -> Tensor:
    table = encoder.characters.weight
    return last_state(encoder.phrase, [last_state(encoder.word, [table[n] for n in word]) for word in words[:4]])


def phrases_of(words: list[int]) -> list[list[list[int]]]:
    """The first three runs of words between ends of phrases, each word as its characters."""
    found: list[list[list[int]]] = [[]]
    for word in words:
        if word == END:
            found.append([])
        else:
            found[-1].append([UNKNOWN] if word == UNKNOWN_WORD else numbers(VOCABULARY[word - 1]))
    return [phrase for phrase in found if phrase][:3]


TITLE_WORDS = [["wordb1", "worda0"], ["gout"], [], ["wordc2", "wordc2", "wordd3", "worde4"]]


def by_hand(model: AttentiveLstm, words: list[int]) -> Tensor:
    g = [phrase_vector(model.notes, phrase) for phrase in phrases_of(words)]
    g = g or [torch.zeros(HIDDEN, dtype=torch.float64)]
    logits = []
    for label, title in enumerate(TITLE_WORDS):
        t = phrase_vector(model.titles, [numbers(word) for word in title])
        scores = torch.stack([phrase @ t for phrase in g])
        if model.config.selection == "hard":
            f = g[int(scores.argmax())]
        else:
            f = sum(a * phrase for a, phrase in zip(scores.softmax(0), g, strict=True))
        output = model.output["icd"]
        logits.append(output.weight[label] @ torch.cat([f, t]) + output.bias[label])
    return torch.stack(logits)


@pytest.mark.parametrize("changes", [{}, {"selection": "hard"}])
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=23)


def test_the_alphabet_has_one_number_for_each_of_a_hundred_characters():
    assert len(ALPHABET) == len(set(ALPHABET)) == N_CHARACTERS - 2 == 98
    assert ALPHABET.lower() == ALPHABET and PHRASE_END not in ALPHABET


@pytest.mark.parametrize("selection", ["soft", "hard"])
@torch.no_grad()
def test_one_phrase_has_all_the_attention(selection):
    model = build(selection=selection)
    phrases, real = model.encode(plain.batch([[5, 6, 7, END]], padded=6)[0])
    assert real[0].tolist() == [True, False, False]
    expected = phrase_vector(model.notes, phrases_of([5, 6, 7])[0]).expand(LABELS, -1)
    for titles in (model._titles("icd"), -model._titles("icd")):
        torch.testing.assert_close(model._select(phrases, real, titles)[0], expected)


@pytest.mark.parametrize("selection", ["soft", "hard"])
@torch.no_grad()
def test_the_order_of_phrases_does_not_matter(selection):
    model = build(selection=selection)
    one, other = model(*plain.batch([[5, 6, END, 7, END, 8, 9], [8, 9, END, 5, 6, END, 7]]))["icd"]
    chosen = [0, 1, 3] if selection == "hard" else list(range(LABELS))  # one has no title, to which all are alike
    torch.testing.assert_close(one[chosen], other[chosen], rtol=1e-6, atol=1e-7)


@torch.no_grad()
def test_with_equal_encoders_a_phrase_that_is_a_title_is_nearest_to_it_in_direction():
    model = build()
    model.titles.load_state_dict(model.notes.state_dict())
    phrases, _ = model.encode(plain.batch([[3, 2, END, 4, 5, END, 9]])[0])  # wordb1 worda0; others
    title = model._titles("icd")[0]
    torch.testing.assert_close(phrases[0, 0], title)
    assert nn.functional.cosine_similarity(phrases[0], title.unsqueeze(0)).argmax() == 0


@torch.no_grad()
def test_a_saved_model_brings_the_spelling_of_words_and_titles():
    model, loaded = build(), build(seed=1, saved=True)
    loaded.load_state_dict(model.state_dict())
    notes = plain.batch(NOTES)
    assert torch.equal(loaded(*notes)["icd"], model(*notes)["icd"])


@torch.no_grad()
def test_a_code_may_be_added_without_a_change_of_the_others():
    model, larger = build(), build(titles=[*TITLES, "gout of wordx23"])
    weights = model.state_dict() | larger.words_of_titles.state_dict(prefix="words_of_titles.")
    for name in ("output.icd.weight", "output.icd.bias"):
        weights[name] = torch.cat([weights[name], larger.state_dict()[name][-1:]])
    larger.load_state_dict(weights)
    notes = plain.batch(NOTES)
    torch.testing.assert_close(larger(*notes)["icd"][:, :LABELS], model(*notes)["icd"])


@pytest.mark.parametrize(
    ("part", "shapes"), [("dropout", [(2, 4, 5), (2, 2, 5)]), ("title_dropout", [(4, 4, 5), (4, 5)])]
)
@torch.no_grad()
def test_words_and_phrases_of_notes_and_of_titles_are_dropped(part, shapes):
    model, notes = build(dropout=0.5), plain.batch(NOTES[:2])
    logits, dropout = model(*notes)["icd"], getattr(model, part)
    assert dropout.p == 0.5
    for number in range(2):
        seen = []

        def drop(module, arguments, output, number=number, seen=seen):
            seen.append(tuple(output.shape))
            return output * (len(seen) - 1 != number)

        handle = dropout.register_forward_hook(drop)
        assert not torch.allclose(model(*notes)["icd"], logits)
        assert seen == shapes
        handle.remove()


def test_the_first_phrases_and_their_first_words_are_found():
    is_word = torch.tensor([[1, 1, 0, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1, 0, 1]]).bool()
    positions, lengths = find_phrases(is_word, phrases=3, words=2)
    assert lengths.tolist() == [[2, 2, 1], [0, 0, 0], [1, 1, 1]]
    assert positions[0].tolist() == [[0, 1], [3, 4], [7, 0]]
    assert positions[2, :, 0].tolist() == [17, 19, 21]
    positions, lengths = find_phrases(is_word[:1, :1], phrases=3, words=2)
    assert (positions.tolist(), lengths.tolist()) == ([[[0]]], [[1]])
