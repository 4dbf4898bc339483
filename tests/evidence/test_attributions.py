"""The contract of attributions, for every model and method."""

from __future__ import annotations

import pytest
import torch
from small_models import HEADS, SIZE, build, every_model, every_variant, notes

from medcode.errors import UserError
from medcode.evidence.attributions import (
    METHODS,
    attribute,
    default_method,
    exact,
    gradient_x_input,
    integrated_gradients,
    label_attention,
    methods_of,
    occlusion,
)
from medcode.evidence.token_vectors import baseline_vector, changed_vectors, embedding_layer, token_places
from medcode.layers.tfidf import NO_KEY
from medcode.models.base import Model

LABELS = torch.tensor([4, 0, 6])
# Relative step of numeric gradients. A maximum over windows bends where another window takes over.
STEP = {"cnn": 1e-4}
# Options with which labels attend to tokens.
OPTIONS = {"bert_trun": {"head": "label_attention"}, "bert_hier": {"attention_over": "tokens"}}


def without_tokens(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    """Return the logits of a note whose tokens are all replaced with padding vectors."""
    is_token = (token_places(model, len(tokens)) >= 0)[..., None]
    with torch.no_grad(), changed_vectors(model, lambda x: torch.where(is_token, baseline_vector(model), x)):
        return model(tokens[None], torch.tensor([len(tokens)]))["icd"][0]


def with_attention(name: str, **changes) -> Model:
    return build(name, **OPTIONS.get(name, {}), **changes)


@every_variant
def test_every_working_method_gives_finite_weights_of_tokens_and_none_at_padding(name, variant):
    model, lengths = build(name, **variant), [17, 0, 5]
    batch = notes(lengths, padded=30)
    assert default_method(model) in methods_of(model)
    for method in methods_of(model):
        weights = attribute(model, *batch, "icd", LABELS, method)
        assert weights.shape == (3, 3, 30) and weights.dtype == torch.float32 and torch.isfinite(weights).all()
        for row, length in enumerate(lengths):
            assert (weights[row, :, length:] == 0).all()
            assert length == 0 or (weights[row].abs().sum(1) > 0).all(), method
    assert not model.training and all(weight.grad is None for weight in model.parameters())


@every_model
def test_weights_do_not_depend_on_padding_with_the_released_code(name):
    model = with_attention(name, match_released_code=True)
    for method in methods_of(model):
        short, long = (attribute(model, *notes([12, 7], padded), "icd", LABELS, method) for padded in (12, 40))
        torch.testing.assert_close(long[..., :12], short)
        assert (long[1, :, 7:] == 0).all() and (long[0, :, 12:] == 0).all()


@every_variant
def test_methods_that_do_not_work_are_refused_with_those_that_do(name, variant):
    model = build(name, **variant)
    for method in set(METHODS) - set(methods_of(model)):
        with pytest.raises(UserError, match=r"does not work for this model.*these do: .*occlusion"):
            attribute(model, *notes([3]), "icd", LABELS, method)
    with pytest.raises(UserError, match=r"method: one of label_attention, .* found nothing"):
        attribute(model, *notes([3]), "icd", LABELS, "nothing")


@every_variant
def test_integrated_gradients_are_complete(name, variant):
    model = build(name, **variant)
    if "integrated_gradients" not in methods_of(model):
        pytest.skip(f"{name} has no word vectors")
    tokens = notes([15])[0][0]
    with torch.no_grad():
        difference = (model(tokens[None], torch.tensor([15]))["icd"][0] - without_tokens(model, tokens))[LABELS]
    weights = integrated_gradients(model, tokens, "icd", LABELS, steps=100)
    torch.testing.assert_close(weights.sum(1), difference, rtol=0.03, atol=0.02 * float(difference.abs().max()))


@every_variant
def test_gradient_x_input_is_the_slope_of_the_logit_in_the_size_of_a_vector(name, variant):
    model = build(name, **variant).double()
    if "gradient_x_input" not in methods_of(model):
        pytest.skip(f"{name} has no word vectors")
    tokens, step = notes([14])[0][0], STEP.get(name, 5e-3)
    weights, places = gradient_x_input(model, tokens, "icd", LABELS), token_places(model, 14)
    for token in (0, 6, 13):
        logits = []
        for size in (1 + step, 1 - step):
            factor = torch.where((places == token)[..., None], size, 1.0).double()
            with torch.no_grad(), changed_vectors(model, lambda x, factor=factor: x * factor):
                logits.append(model(tokens[None], torch.tensor([14]))["icd"][0, LABELS])
        slope = (logits[0] - logits[1]) / (2 * step)
        torch.testing.assert_close(weights[:, token].double(), slope, rtol=0.01, atol=2e-4)


@every_model
def test_every_token_has_a_place_and_its_own_vector(name):
    model = build(name)
    if (layer := embedding_layer(model)) is None:
        pytest.skip(f"{name} has no word vectors")
    tokens, ids = notes([33])[0][0], []
    handle = layer.register_forward_pre_hook(lambda module, arguments: ids.append(arguments[0]))
    model(tokens[None], torch.tensor([33]))
    handle.remove()
    places = token_places(model, 33)
    assert places.shape == ids[0].shape and set(places.flatten().tolist()) - {-1} == set(range(33))
    assert torch.equal(ids[0][places >= 0], tokens[places[places >= 0]])


@every_model
def test_attention_of_tokens_is_that_of_the_model_but_for_special_tokens(name):
    model = with_attention(name)
    if "label_attention" not in methods_of(model):
        pytest.skip(f"the labels of {name} do not attend to tokens")
    tokens, length = notes([21])
    weights = label_attention(model, tokens[0], "icd", LABELS)
    attention = model.label_attention(tokens, length, {"icd": LABELS})["icd"][0]
    special = ~model.marked_positions(torch.ones(21, dtype=torch.bool), attention.shape[1])
    torch.testing.assert_close(weights.sum(1) + (attention * special).sum(1), torch.ones(3))
    assert (weights >= 0).all()


# The share of signs that agree varies from note to note, so it is taken over so many of them.
OCCLUDED_NOTES = {"dlac": 5}


@every_model
def test_occlusion_has_the_sign_of_a_real_deletion_of_the_heaviest_token(name):
    model, labels, agree = build(name), torch.arange(HEADS["icd"]), []
    for seed in range(1, 1 + OCCLUDED_NOTES.get(name, 1)):
        tokens, lengths = notes([20], seed=seed)
        weights = occlusion(model, tokens[0], "icd", labels)
        with torch.no_grad():
            whole = model(tokens, lengths)["icd"][0]
            for label, token in enumerate(weights.abs().argmax(1).tolist()):
                without = torch.cat([tokens[:, :token], tokens[:, token + 1 :]], 1)
                drop = whole[label] - model(without, lengths - 1)["icd"][0, label]
                agree.append(bool(drop.sign() == weights[label, token].sign()))
    # Tokens behind a deleted one move, which matters to these untrained models: most signs agree, not all.
    assert sum(agree) >= 5 / 7 * len(agree), agree


def test_contributions_of_words_and_the_bias_are_the_logit_of_the_linear_model():
    model = build("linear")
    tokens = torch.tensor([3, 9, 3, 9, 4, 3, 1])
    contributions = exact(model, tokens, "icd", LABELS)
    logits = model(tokens[None], torch.tensor([7]))["icd"][0, LABELS]
    torch.testing.assert_close(contributions.sum(1) + model.output["icd"].bias[LABELS], logits)
    one = exact(model, tokens[:1], "icd", LABELS)
    torch.testing.assert_close(one[:, 0], model(tokens[None, :1], torch.tensor([1]))["icd"][0, LABELS])


def test_a_word_that_is_no_feature_contributes_nothing_to_a_linear_model():
    model = build("linear")
    keys = model.tfidf.keys[:-1]
    model.tfidf.keys[:-1] = torch.cat([keys[keys != 5], torch.tensor([NO_KEY - 1])])
    assert exact(model, torch.tensor([5, 5]), "icd", LABELS).abs().sum() == 0
    assert (exact(model, torch.tensor([5, 5, 6]), "icd", LABELS)[:, 0] == 0).all()


@every_model
def test_the_only_word_that_a_model_knows_is_the_evidence(name):
    model = build(name)
    tokens, lengths = notes([25])
    if (layer := embedding_layer(model)) is None or not hasattr(layer, "table"):
        pytest.skip(f"{name} reads no words with vectors")
    tokens[0], tokens[0, 11] = 5, 7
    with torch.no_grad():
        layer.table.weight[5] = 0
    for method in methods_of(model):
        if method != "label_attention":
            assert (attribute(model, tokens, lengths, "icd", LABELS, method)[0].abs().argmax(1) == 11).all(), method


@pytest.mark.parametrize("name", ["caml", "laat", "cnn", "bigru"])
def test_gradients_are_those_of_captum(name):
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    model = build(name)
    tokens, lengths = notes([18])

    def of_head(words: torch.Tensor) -> torch.Tensor:
        return model(words, lengths.expand(len(words)))["icd"]

    by_input = attr.LayerGradientXActivation(of_head, model.embedding)
    integrated = attr.LayerIntegratedGradients(of_head, model.embedding)
    ours = gradient_x_input(model, tokens[0], "icd", LABELS)
    ours_integrated = integrated_gradients(model, tokens[0], "icd", LABELS, steps=50)
    for row, label in enumerate(LABELS.tolist()):
        torch.testing.assert_close(ours[row], by_input.attribute(tokens, target=label)[0].sum(-1))
        theirs = integrated.attribute(tokens, baselines=torch.zeros_like(tokens), target=label, n_steps=50)
        assert theirs.shape == (1, 18, SIZE)
        torch.testing.assert_close(ours_integrated[row], theirs[0].sum(-1), rtol=2e-3, atol=2e-4)


@every_model
def test_attention_x_gradient_is_the_product_of_both_by_size_or_with_the_sign(name):
    model = with_attention(name)
    if "attention_x_gradient" not in methods_of(model):
        pytest.skip(f"the labels of {name} do not attend to tokens")
    attention, gradient, by_size, signed = (
        attribute(model, *notes([16]), "icd", LABELS, method)
        for method in ("label_attention", "gradient_x_input", "attention_x_gradient", "attention_x_signed_gradient")
    )
    torch.testing.assert_close(signed, attention * gradient)
    # By Cauchy and Schwarz, |x . g| is at most |x * g| times the square root of the number of features.
    width = baseline_vector(model).numel()
    assert (signed.abs() <= by_size * width**0.5 + 1e-7).all() and (by_size >= 0).all()
