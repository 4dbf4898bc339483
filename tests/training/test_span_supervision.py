"""Supervision of label attention by spans: the loss by hand, on every model, and in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_models import HEADS, build, every_variant, notes
from span_inputs import with_word_spans
from trainers import assert_same, run_alone, train, trainer

from medcode import models
from medcode.engine.device_data import DeviceNotes
from medcode.engine.device_spans import DeviceSpans
from medcode.training import span_supervision
from medcode.training.label_init import with_description_documents
from medcode.training.span_supervision import attention_in_spans, count_pairs, labels_with_spans, span_loss

CPU = torch.device("cpu")


class Tokens:
    """A model whose positions are tokens."""

    marked_positions = staticmethod(lambda marked, positions: marked)


@pytest.fixture(scope="module")
def inputs(tiny_inputs):
    return with_word_spans(tiny_inputs, 50)


def supervised(recipe, weight: float = 0.5, **changes):
    return recipe.model_copy(update={"span_weight": weight} | changes)


def test_the_loss_by_hand():
    # Document 0 has label 2 in tokens 0 and 2, and label 5 in token 1; document 1 has no spans; document 2 has label 0
    # in tokens 1 to 3, in two spans that overlap.
    rows = [(0, 2, 0, 1), (0, 2, 2, 3), (0, 5, 1, 2), (2, 0, 1, 3), (2, 0, 2, 4)]
    spans, documents = {"icd": DeviceSpans(np.array(rows), 3, CPU)}, torch.tensor([2, 0, 1])
    assert labels_with_spans(spans, documents)["icd"].tolist() == [[0, 0], [2, 5], [0, 0]]
    attention = torch.tensor(
        [
            [[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]],
            [[0.5, 0.2, 0.2, 0.1], [0.6, 0.25, 0.1, 0.05]],
            [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]],
        ]
    )
    in_spans, is_pair = attention_in_spans(Tokens, spans, {"icd": attention}, documents, 4)
    assert in_spans[is_pair].tolist() == pytest.approx([0.9, 0.7, 0.25])
    assert count_pairs(spans, documents) == is_pair.sum() == 3
    expected = -(math.log(0.9) + math.log(0.7) + math.log(0.25))
    assert span_loss(in_spans, is_pair).item() == pytest.approx(expected)


def test_the_loss_of_no_attention_at_all_is_finite_its_gradient_too():
    scores = torch.tensor([[[300.0, 0.0], [0.0, 300.0]]], requires_grad=True)
    spans = {"icd": DeviceSpans(np.array([(0, 0, 1, 2), (0, 1, 1, 2)]), 1, CPU)}
    in_spans = attention_in_spans(Tokens, spans, {"icd": scores.softmax(2)}, torch.tensor([0]), 2)
    loss = span_loss(*in_spans)
    loss.backward()
    assert 80 < loss.item() < 100 and scores.grad.isfinite().all()


@every_variant
def test_spans_that_cover_the_document_have_all_attention_but_that_of_special_tokens(name, variant):
    model, lengths = build(name, **variant), [13, 4, 1]
    if not model.config.attends_to_tokens:
        pytest.skip(f"the labels of {name} do not attend to tokens")
    rows = [(document, label, 0, length) for document, length in enumerate(lengths) for label in (0, 2)]
    documents, heads = torch.arange(3), list(model.heads)
    spans = {head: DeviceSpans(np.array(rows), 3, CPU) for head in heads}
    labels = labels_with_spans(spans, documents)
    _, attention = model.forward_with_attention(*notes(lengths, padded=20), labels)
    in_spans, is_pair = attention_in_spans(model, spans, attention, documents, 20)
    assert is_pair.all() and len(in_spans) == 2 * 3 * len(heads)
    loss = span_loss(in_spans, is_pair)
    if model.config.uses_subwords:  # which always have some
        assert (in_spans < 0.999).all() and loss > 0.01
    else:
        torch.testing.assert_close(loss, torch.tensor(0.0), rtol=0, atol=1e-4)


@every_variant
def test_the_loss_reaches_the_queries_of_its_labels_alone(name, variant):
    model, lengths = build(name, **variant), [13, 4, 9]
    # Queries of JAMS attend to each other; those of the others are made of titles or terms by weights shared by labels.
    if not model.config.attends_to_tokens or name in ("hypercore", "jams", "msatt_kg", "msmn"):
        pytest.skip(f"the labels of {name} do not attend to tokens, or have no queries of their own")
    spans = {"icd": DeviceSpans(np.array([(0, 1, 2, 5), (2, 4, 0, 1)]), 3, CPU)}
    documents = torch.arange(3)
    _, attention = model.forward_with_attention(*notes(lengths), labels_with_spans(spans, documents))
    span_loss(*attention_in_spans(model, spans, attention, documents, 13)).backward()
    gradient = model.attention["icd"].queries.weight.grad.abs().sum(1)
    assert (gradient > 0).nonzero().flatten().tolist() == [1, 4]


def test_training_raises_the_attention_in_spans_more_than_without(inputs, recipe, engine, tmp_path):
    running = {
        weight: trainer(inputs, supervised(recipe, weight, epochs=8), engine, tmp_path / str(weight))
        for weight in (0.0, 1.0)
    }
    results = {weight: run_alone(one) for weight, one in running.items()}
    assert not {"train_span_loss", "attention_in_spans"} & results[0.0].history[0].keys()
    rows = results[1.0].history
    shares = [row["attention_in_spans"] for row in rows]
    assert shares[-1] > 0.5 and shares[-1] > 2 * shares[0]
    assert rows[-1]["train_span_loss"] < 0.5 * rows[0]["train_span_loss"]
    spans = DeviceSpans(inputs.splits["dev"].spans["icd"], len(inputs.splits["dev"]), CPU)
    notes_of_dev = DeviceNotes(inputs.tokens, inputs.splits["dev"].offsets, 50, CPU)
    measured = {
        weight: span_supervision.mean_attention_in_spans(one.model, notes_of_dev, {"icd": spans}, 3, "fp32")
        for weight, one in running.items()
    }
    assert measured[1.0] == pytest.approx(shares[results[1.0].best_epoch - 1], rel=1e-5)
    assert measured[0.0] < 0.8 * measured[1.0]


def test_the_measure_equals_going_through_the_spans_one_by_one(inputs, recipe, engine, tmp_path):
    dev, model = inputs.splits["dev"], trainer(inputs, recipe, engine, tmp_path).model.eval()
    expected = {}
    for document, label, first, behind in dev.spans["icd"].tolist():
        start, end = dev.offsets[document]
        words = torch.from_numpy(inputs.tokens[start:end][:50].astype(np.int64))[None]
        attention = model.label_attention(words, torch.tensor([words.shape[1]]))["icd"][0, label]
        # A kernel of 4: the windows on both sides of a word.
        expected.setdefault((document, label), {}).update({p: attention[p].item() for p in (first, first + 1)})
        assert behind == first + 1
    spans = {"icd": DeviceSpans(dev.spans["icd"], len(dev), CPU)}
    device_notes = DeviceNotes(inputs.tokens, dev.offsets, 50, CPU)
    measured = span_supervision.mean_attention_in_spans(model, device_notes, spans, 5, "fp32")
    assert measured == pytest.approx(np.mean([sum(pair.values()) for pair in expected.values()]), rel=1e-5)
    nothing = {"icd": DeviceSpans(dev.spans["icd"][:0], len(dev), CPU)}
    assert span_supervision.mean_attention_in_spans(model, device_notes, nothing, 5, "fp32") is None


def test_without_weight_spans_change_no_bit(inputs, tiny_inputs, recipe, engine, tmp_path):
    result, weights = train(inputs, recipe, engine, tmp_path / "with")
    expected, expected_weights = train(tiny_inputs, recipe, engine, tmp_path / "without")
    assert result == expected
    assert_same(weights, expected_weights)


def test_the_loss_of_a_step_is_that_of_labels_plus_the_weighted_one_of_spans(inputs, recipe, engine, tmp_path):
    still = {"learning_rate": 1e-12, "epochs": 1, "dropout": 0.0}
    plain, _ = train(inputs, supervised(recipe, 0.0, **still), engine, tmp_path / "0")
    for weight in (0.1, 2.0):
        result, _ = train(inputs, supervised(recipe, weight, **still), engine, tmp_path / str(weight))
        (row,), (of_labels,) = result.history, plain.history
        assert row["train_span_loss"] > 0.5
        expected = of_labels["train_loss"] + weight * row["train_span_loss"]
        assert row["train_loss"] == pytest.approx(expected, rel=1e-5)
        assert row["dev_loss"] == pytest.approx(of_labels["dev_loss"], rel=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_micro_batches_give_the_update_of_the_whole_batch(inputs, recipe, engine, tmp_path, size):
    still = supervised(recipe, dropout=0.0, epochs=2)  # a mask of dropout depends on the micro-batches
    result, weights = train(inputs, still, engine, tmp_path / "whole")
    parts, weights_of_parts = train(inputs, still, engine.model_copy(update={"micro_batch": size}), tmp_path / "parts")
    for name in ("train_loss", "train_span_loss", "attention_in_spans"):
        assert parts.history[0][name] == pytest.approx(result.history[0][name], rel=1e-4)
    for name, tensor in weights.items():
        torch.testing.assert_close(weights_of_parts[name], tensor, rtol=1e-3, atol=1e-4)


def test_the_attention_is_that_of_the_pass_that_gives_the_logits(inputs, recipe, engine, tmp_path):
    """With dropout, logits follow from the attention of the same pass only."""
    model = trainer(inputs, recipe, engine, tmp_path).model.train()
    tokens, lengths = notes([13, 4], padded=20)[0] % 40, torch.tensor([13, 4])
    labels = {"icd": torch.arange(model.heads["icd"]).expand(2, -1)}
    features = []
    encode = model.features
    model.features = lambda *batch: features.append(encode(*batch)) or features[-1]
    logits, attention = model.forward_with_attention(tokens, lengths, labels)
    assert len(features) == 1
    output = model.attention["icd"].output
    values = features[0][0] @ output.weight.T  # [B, P, Y]
    expected = (attention["icd"].transpose(1, 2) * values).sum(1) + output.bias
    torch.testing.assert_close(logits["icd"], expected, rtol=1e-4, atol=1e-5)


def test_documents_without_spans_change_nothing_but_the_loss_over_labels(inputs, recipe, engine, tmp_path):
    """Descriptions as documents and `overfit_documents` keep spans with their documents."""
    descriptions = {"icd": [np.array([1, 2]), np.array([], np.int64), *[np.array([y + 1]) for y in range(2, 6)]]}
    data = with_description_documents(inputs, descriptions)
    assert len(data.splits["train"]) == len(inputs.splits["train"]) + 5
    running = trainer(data, supervised(recipe), engine, tmp_path / "described")
    spans = running.device_data.train_spans["icd"]
    assert spans.counts(torch.arange(len(data.splits["train"])))[-5:].tolist() == [0] * 5
    few = trainer(inputs, supervised(recipe), engine.model_copy(update={"overfit_documents": 3}), tmp_path / "few")
    counts = few.device_data.train_spans["icd"].counts(torch.arange(3))
    assert counts.tolist() == spans.counts(torch.arange(3)).tolist() and len(few.train_split) == 3
    assert run_alone(few).history[-1]["train_span_loss"] >= 0


def test_seeds_share_the_spans(inputs, recipe, engine, tmp_path):
    first = trainer(inputs, supervised(recipe), engine, tmp_path / "1")
    second = trainer(inputs, supervised(recipe), engine, tmp_path / "2", share_data_with=first)
    assert second.stepper.spans is first.stepper.spans
    assert run_alone(second).history == run_alone(first).history


def test_every_model_declares_whether_its_labels_attend_to_tokens():
    attending = {name for name in models.names() if build(name).config.attends_to_tokens}
    assert attending == {
        "bigru_label_attention", "caml", "dcan", "dlac", "dr_caml", "fusion", "gki_icd", "hypercore", "jams",
        "joint_laat", "laat", "marn", "msatt_kg", "msmn", "mt_ram", "multirescnn", "plm_ca", "plm_icd",
    }  # fmt: skip
    refused = [("bert_hier", {}), ("fusion", {"attention": "document"}), ("mt_ram", {"ram_position": "branches"})]
    assert not any(build(name, **variant).config.attends_to_tokens for name, variant in refused)
    allowed = [("bert_hier", {"attention_over": "tokens"}), ("bert_trun", {"head": "label_attention"})]
    assert all(build(name, **variant).config.attends_to_tokens for name, variant in allowed)
    assert not build("jams", backbone="bert_hier").config.attends_to_tokens
    with pytest.raises(NotImplementedError, match="Cnn has no label attention"):
        build("cnn").forward_with_attention(*notes([3]), {head: torch.zeros(1, 1).long() for head in HEADS})
