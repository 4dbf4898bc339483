"""MSMN against its formula, in loops over labels and terms, and what its terms are."""

from __future__ import annotations

import numpy as np
import plain
import pytest
import small_models
import torch
from small_models import HEADS, notes, random_gold
from torch import Tensor, nn

from medcode.config.models.msmn import MsmnConfig
from medcode.layers.dropout import share_batch
from medcode.layers.rdrop import rdrop
from medcode.models import Model, msmn
from medcode.models.msmn import Msmn

SIZE, LABELS = 5, 4
NOTES = [plain.note(9), plain.note(1, seed=1), plain.note(30, seed=2)]
OPTIONS = {
    "layers": 1, "hidden": 3, "features": 6, "terms": 3, "term_words": 4, "dropout": 0.0, "embedding": "trained",
}  # fmt: skip
TITLES, SYNONYMS = ["3 4 5 6 7 8", "5", "29 6", ""], [["9 10"], [], ["11", "12 3", "7"], []]
# The words of each label's terms: from the start again, cut to four words and three terms; 0 stands for no word.
TERMS = [
    [[3, 4, 5, 6], [9, 10], [3, 4, 5, 6]],
    [[5], [5], [5]],
    [[29, 6], [11], [12, 3]],
    [[0], [0], [0]],
]


@pytest.fixture(autouse=True)
def short_terms(monkeypatch):
    """Divide terms of one word, two, and four."""
    monkeypatch.setattr(msmn, "SHORT", 1)
    monkeypatch.setattr(msmn, "AT_A_TIME", 2)


def tokenize(texts: list[str]) -> list[np.ndarray]:
    return [np.array([int(word) for word in text.split()], dtype=np.int32) for text in texts]


def build(labels: list[int] | None = None, saved: bool = False, size: int = SIZE, **changes) -> Msmn:
    torch.manual_seed(0)
    labels = list(range(LABELS)) if labels is None else labels
    of_labels = {} if saved else {
        "titles": {"icd": [TITLES[label] for label in labels]},
        "terms": {"icd": [SYNONYMS[label] for label in labels]},
        "tokenize": tokenize,
    }  # fmt: skip
    inputs = plain.inputs({"icd": len(labels)}, size, **of_labels)
    return plain.scramble(Msmn(MsmnConfig(**OPTIONS | changes), inputs).eval()).double()


def read(model: Msmn, words: list[int]) -> Tensor:
    """Return the features of some words, [N, D]."""
    x = plain.vectors(model, words)
    for layer in model.encoder.layers:
        x = plain.read_by_torch(layer, x)
    return model.encoder.output(x)


def read_padded(model: Msmn, words: list[int]) -> Tensor:
    """Likewise of a term, with the states of zero of padding to the longest."""
    states = plain.read_by_torch(model.encoder.layers[0], plain.vectors(model, words))
    return model.encoder.output(torch.cat([states, torch.zeros(4 - len(words), states.shape[1], dtype=x_type(model))]))


def x_type(model: Msmn) -> torch.dtype:
    return model.to_bias.weight.dtype


def by_hand(model: Msmn, words: list[int], read_term=read) -> Tensor:
    h, logits = read(model, words), []
    z, size = torch.tanh(model.matching.projection(h)), model.config.features // model.config.terms
    for terms in TERMS:
        vectors = [read_term(model, term).amax(0) for term in terms[: model.config.terms]]
        contexts = []
        for j, vector in enumerate(vectors):
            query = model.matching.query(vector)
            scores = torch.stack([query @ position[j * size : (j + 1) * size] for position in z]).exp()
            contexts.append(sum(score / scores.sum() * state for score, state in zip(scores, h, strict=True)))
        m, t = torch.stack(contexts).amax(0), torch.stack(vectors).amax(0)
        logits.append(m @ model.to_weight(t) + model.to_bias(t)[0])
    return torch.stack(logits)


@pytest.mark.parametrize(
    "changes",
    [{}, {"layers": 2, "hidden": 2}, {"terms": 1}, {"terms": 2}],
)
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=37)


@pytest.mark.parametrize("changes", [{"term_padding": "included"}, {"match_released_code": True}])
def test_padding_of_terms_may_take_part_in_their_maximum(changes):
    model = build(hidden=2, **changes)  # with a linear layer, whose bias padding has
    plain.agree(model, NOTES, lambda model, words: by_hand(model, words, read_padded), padded=37)


def test_terms_are_title_and_synonyms_from_the_start_again():
    model = build()
    words, places = model.terms["icd"].words, model.terms["icd"].places
    assert [[[word for word in words[row].tolist() if word] or [0] for row in label] for label in places] == TERMS
    assert len(words) == 7  # each once
    assert len(build(match_released_code=True).terms["icd"].words) == 12


@torch.no_grad()
def test_relabeled_codes_have_the_same_logits():
    order = [2, 0, 3, 1]
    batch = plain.batch(NOTES)
    torch.testing.assert_close(build(order)(*batch)["icd"], build()(*batch)["icd"][:, order])


@torch.no_grad()
def test_a_label_may_be_added_at_prediction():
    batch = plain.batch(NOTES)
    fewer, more = build([0, 1, 3]), build([0, 1, 3, 2])
    weights = {name: value for name, value in fewer.state_dict().items() if not name.startswith("terms.")}
    assert dict(more.named_parameters()).keys() == weights.keys()
    more.load_state_dict(weights, strict=False)
    logits = more(*batch)["icd"]
    torch.testing.assert_close(logits[:, :3], fewer(*batch)["icd"])
    torch.testing.assert_close(logits[0], by_hand(more, NOTES[0])[[0, 1, 3, 2]], rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_equal_terms_and_equal_heads_read_what_one_does():
    model = build()
    layer = model.matching.projection  # 6 to 3 times 2
    layer.weight.copy_(layer.weight[:2].repeat(3, 1))
    layer.bias.copy_(layer.bias[:2].repeat(3))
    h = read(model, NOTES[0])
    term = read(model, [5]).amax(0)
    one = (torch.tanh(layer(h))[:, :2] @ model.matching.query(term)).softmax(0) @ h
    contexts = model.matching(model.matching.keys(h[None]), h[None], None, term.expand(1, 3, -1))
    torch.testing.assert_close(contexts[0, 0], one)


@torch.no_grad()
def test_a_saved_model_brings_its_terms():
    model, loaded = build(), build(saved=True)
    loaded.load_state_dict(model.state_dict())
    batch = plain.batch(NOTES)
    assert torch.equal(loaded(*batch)["icd"], model(*batch)["icd"])


@torch.no_grad()
def test_label_vectors_and_contexts_make_the_logits():
    model = build()
    features, real = model.encode(*plain.batch(NOTES))
    contexts = model.matching(model.matching.keys(features), features, real, model.term_vectors()["icd"])
    bias = model.to_bias(model.term_vectors()["icd"].amax(1)).squeeze(1)
    expected = (contexts * model.label_vectors()["icd"]).sum(2) + bias
    torch.testing.assert_close(model(*plain.batch(NOTES))["icd"], expected)


@torch.no_grad()
def test_attention_is_the_mean_of_the_heads():
    model, h = build(), read(build(), NOTES[0])
    z = torch.tanh(model.matching.projection(h))
    expected = [
        sum((z[:, 2 * j : 2 * j + 2] @ model.matching.query(read(model, term).amax(0))).softmax(0) / 3
            for j, term in enumerate(terms)) for terms in TERMS
    ]  # fmt: skip
    torch.testing.assert_close(
        model.label_attention(*plain.batch(NOTES[:1]))["icd"][0].double(), torch.stack(expected), rtol=1e-5, atol=1e-6
    )


class TestTermsInEvaluation:
    """In evaluation the vectors of terms are those of the weights at hand, and computed once."""

    @pytest.fixture
    def model(self, monkeypatch):
        model = build()
        self.readings = 0
        read_terms = model._read_terms

        def counted():
            self.readings += 1
            return read_terms()

        monkeypatch.setattr(model, "_read_terms", counted)
        return model

    def logits(self, model) -> Tensor:
        with torch.inference_mode():
            return model(*plain.batch(NOTES))["icd"].clone()

    def test_they_are_computed_once(self, model):
        first = self.logits(model)
        assert torch.equal(self.logits(model), first) and self.readings == 1
        with torch.no_grad():
            model.label_vectors()
        assert self.readings == 1
        self.logits(model.eval())
        assert self.readings == 2

    @pytest.mark.parametrize("change", ["in place", "loaded", "double", "optimizer"])
    def test_and_again_after_a_change_of_weights(self, model, change):
        before = self.logits(model)
        if change == "in place":
            with torch.no_grad():
                model.encoder.layers[0].forwards.bias_ih_l0 += 1
        elif change == "loaded":
            model.load_state_dict({name: value * 2 for name, value in model.state_dict().items()
                                   if value.is_floating_point()}, strict=False)  # fmt: skip
        elif change == "double":
            model.float()
        else:
            for parameter in model.train().parameters():
                parameter.grad = torch.ones_like(parameter)
            torch.optim.AdamW(model.parameters(), lr=0.1, fused=True).step()  # leaves no trace in the weights
            model.eval()
        after = self.logits(model)
        assert self.readings == 2
        fresh = build().to(after.dtype)
        fresh.load_state_dict(model.state_dict())
        assert torch.equal(after, self.logits(fresh))
        assert not torch.equal(before.to(after.dtype), after) or change == "double"

    def test_training_and_gradients_of_weights_read_them_anew(self, model):
        self.logits(model)
        model(*plain.batch(NOTES))["icd"].sum().backward()
        assert self.readings == 2 and model.matching.query.weight.grad.abs().sum() > 0
        model.train()(*plain.batch(NOTES))
        assert self.readings == 3

    def test_gradients_of_a_note_pass_through_terms_that_were_kept(self, model):
        self.logits(model)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        tokens, lengths = plain.batch(NOTES)
        vectors = model.embedding(tokens).requires_grad_()
        features = model.encoder(vectors, lengths, nn.Identity())
        model._logits(features, model.real_positions(lengths, tokens.shape[1]), model.term_vectors())[
            "icd"
        ].sum().backward()
        assert self.readings == 1 and vectors.grad.abs().sum() > 0


def forward(model: Model, batch: tuple[Tensor, Tensor], gold: dict[str, Tensor]):
    torch.manual_seed(7)
    return model.training_forward(*batch, gold, torch.tensor(1))


def test_notes_are_read_twice_and_terms_once(monkeypatch):
    batch, gold = notes([9, 4]), random_gold(2, HEADS)
    model = small_models.build("msmn", dropout=0.3).train()
    read_terms, readings = model._read_terms, []
    monkeypatch.setattr(model, "_read_terms", lambda: readings.append(1) or read_terms())
    output = forward(model, batch, gold)
    assert len(output.logits) == 2 and len(readings) == 1
    divergence = sum(rdrop(output.logits[0][head], output.logits[1][head]) for head in HEADS)
    assert (divergence > 0).all()
    torch.testing.assert_close(output.penalties["train_rdrop"], 5 * divergence)
    other = small_models.build("msmn", dropout=0.3, rdrop_weight=2.0, rdrop="bernoulli").train()
    output = forward(other, batch, gold)
    divergence = sum(rdrop(output.logits[0][head], output.logits[1][head], "bernoulli") for head in HEADS)
    torch.testing.assert_close(output.penalties["train_rdrop"], 2 * divergence)


def test_without_a_weight_there_is_one_pass():
    batch, gold = notes([9, 4]), random_gold(2, HEADS)
    output = forward(small_models.build("msmn", rdrop_weight=0.0), batch, gold)
    assert len(output.logits) == 1 and output.penalties == {}


def test_the_same_term_has_the_same_dropout_but_in_the_authors_code():
    for released in (False, True):
        model = small_models.build("msmn", dropout=0.5, match_released_code=released).train()
        first, *_, last = model.term_vectors()["icd"][0]  # four times its title
        assert torch.equal(first, last) != released


@pytest.mark.parametrize(("layers", "varies"), [(1, False), (2, True)])
def test_there_is_dropout_between_layers(layers, varies):
    model, batch = build(layers=layers, layer_dropout=0.5).train(), plain.batch(NOTES)
    torch.manual_seed(3)
    first = model.encode(*batch)[0], model.term_vectors()["icd"]
    second = model.encode(*batch)[0], model.term_vectors()["icd"]
    assert [not torch.equal(x, y) for x, y in zip(first, second, strict=True)] == [varies, varies]


def test_processes_that_share_a_batch_have_the_same_vectors_of_terms():
    model, vectors = small_models.build("msmn", dropout=0.5, layers=2).train(), []
    tokens, lengths = notes([5, 7])
    for rows in ((0, 1, 2), (1, 2, 2)):
        share_batch(model, rows)
        torch.manual_seed(3)
        model.encode(tokens[slice(*rows[:2])], lengths[slice(*rows[:2])])
        vectors.append(model.term_vectors()["icd"])
    assert torch.equal(*vectors)


def test_there_is_dropout_on_what_labels_read():
    model = small_models.build("msmn", dropout=0.5)
    features, terms = model.encode(*notes([5])), model.term_vectors()
    model.train()
    first, second = model._logits(*features, terms)["icd"], model._logits(*features, terms)["icd"]
    assert (first != second).any()


def test_initial_keys_are_xavier_s():
    matching = small_models.build("msmn", hidden=64, features=256, terms=2).matching
    assert matching.projection.weight.abs().max().item() == pytest.approx((6 / 512) ** 0.5, rel=1e-2)
    assert matching.query.weight.abs().max() < 1 / 256**0.5


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a multiple of terms"):
        MsmnConfig(**OPTIONS | {"terms": 4})


@torch.no_grad()
def test_with_tied_keys_and_queries_a_label_begins_with_words_like_those_of_its_terms():
    tied, independent = (build(size=64, hidden=64, features=96, matching_init=init) for init in ("tied", "independent"))
    tied.before_training()
    note = [20, 21, 22, 3, 4, 5, 6, 23, 24, 25, 26, 12, 3, 27, 28, 20, 21]  # terms of the first and of the third label
    for model, begins in ((tied, True), (independent, False)):
        attention = model.label_attention(*plain.batch([note]))["icd"][0]
        assert (attention[0, 3:7].sum() > 2 * 4 / 17) == begins and (attention[2, 11:13].sum() > 2 * 2 / 17) == begins
        its_own, another = (model(*plain.batch([words]))["icd"][0] for words in ([3, 4, 5, 6], [20, 21, 22, 23]))
        assert (its_own[0] > another[0] + 2) == begins
