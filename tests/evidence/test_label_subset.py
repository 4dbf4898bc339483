"""Some labels of a model alone: the logits, attention and gradients of these labels, and the model untouched after."""

from __future__ import annotations

import pytest
import torch
from small_models import HEADS, build, every_model, every_variant, notes

from medcode.evidence.attributions import METHODS, attribute, methods_of
from medcode.evidence.label_subset import only_labels
from medcode.models.base import LabelAttentionHeads

LABELS = {"icd": torch.tensor([5, 0, 5, 2]), "category": torch.tensor([2, 1])}  # unordered, and one twice
# Models with a query for each label in which logits are computed from others: joint_laat's of codes from categories',
# dlac's from those of chunks.
LEFT_WHOLE = {"dlac", "joint_laat"}
# Variants that have no such query, or have it within another layer.
WITHOUT = {
    "bert_hier": [{"head": "fcn"}],
    "bert_trun": [{}],
    "caml": [{"ram": True, "ram_position": "branches"}],
    "fusion": [{"attention": "document"}],
    "mt_ram": [{"ram_position": "branches"}],
}


@torch.no_grad()
def logits_of(model, batch) -> dict[str, torch.Tensor]:
    return model(*batch)


def state(model) -> tuple:
    """Return what a block could change: parameters by name and identity, their values, and the layers' sizes."""
    parameters = [(name, id(weight), weight.requires_grad) for name, weight in model.named_parameters()]
    sizes = [layer.out_features for layer in model.modules() if hasattr(layer, "out_features")]
    return parameters, sizes


@every_variant
def test_some_labels_have_the_logits_that_they_have_among_all(name, variant):
    model, batch = build(name, **variant), notes([17, 4, 9])
    whole, before = logits_of(model, batch), state(model)
    for head, labels in LABELS.items():
        with only_labels(model, head, labels) as kept:
            within = logits_of(model, batch)
            assert kept.shape == labels.shape
            torch.testing.assert_close(within[head][:, kept], whole[head][:, labels])
            other = next(other for other in HEADS if other != head)
            torch.testing.assert_close(within[other], whole[other])
        assert state(model) == before
        after = logits_of(model, batch)
        assert all(torch.equal(after[head], whole[head]) for head in HEADS)


@every_variant
def test_models_with_a_query_for_each_label_compute_fewer_labels(name, variant):
    model = build(name, **variant)
    fewer = isinstance(model, LabelAttentionHeads) and name not in LEFT_WHOLE and variant not in WITHOUT.get(name, [])
    for head, labels in LABELS.items():
        with only_labels(model, head, labels) as kept:
            computed = logits_of(model, notes([6]))[head].shape[1]
        assert computed == (len(labels) if fewer else HEADS[head])
        assert torch.equal(kept, torch.arange(len(labels)) if fewer else labels)


@every_model
def test_the_model_is_as_before_if_the_block_raises(name):
    model, batch = build(name), notes([8])
    whole, before = logits_of(model, batch), state(model)
    with pytest.raises(ZeroDivisionError), only_labels(model, "icd", LABELS["icd"]):
        raise ZeroDivisionError
    assert state(model) == before
    assert torch.equal(logits_of(model, batch)["icd"], whole["icd"])


@every_model
def test_every_method_gives_labels_their_weights_alone_as_among_all(name):
    """For every head: the labels of each may be explained."""
    model, batch = build(name), notes([11, 6])
    for method in methods_of(model):
        for head, labels in LABELS.items():
            of_all = attribute(model, *batch, head, torch.arange(HEADS[head]), method)
            torch.testing.assert_close(
                attribute(model, *batch, head, labels, method), of_all[:, labels], rtol=1e-4, atol=1e-5
            )


def test_every_method_is_tried():
    assert set(METHODS) == {method for name in ("caml", "linear") for method in methods_of(build(name))}


@pytest.mark.parametrize("name", ["caml", "laat", "plm_icd"])
def test_many_labels_that_are_computed_as_one_with_those_of_another_head(name, monkeypatch):
    """The fused kernel takes all heads at once; with some labels taken out, it may still run, or the plain form."""
    heads = {"icd": 700, "category": 40}
    model, batch = build(name, heads=heads), notes([30, 12])
    whole = logits_of(model, batch)
    labels = torch.tensor([699, 3, 3, 400])
    for fuses in (lambda labels, features: True, lambda labels, features: labels > 100, lambda *_: False):
        for module in ("label_attention", "projected_attention"):
            monkeypatch.setattr(f"medcode.layers.{module}.should_fuse", fuses)
        with only_labels(model, "icd", labels) as kept:
            within = logits_of(model, batch)
        torch.testing.assert_close(within["icd"][:, kept], whole["icd"][:, labels], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(within["category"], whole["category"], rtol=1e-4, atol=1e-5)
