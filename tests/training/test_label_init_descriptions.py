"""Label descriptions as initial vectors of label attention, and as training documents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plain_encoder
import pytest
import small_models
import torch

from medcode import models
from medcode.encoders.subwords import SubwordTokenizer
from medcode.errors import UserError
from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.layers.label_attention import LabelAttention
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.models.base import LabelAttentionHeads
from medcode.training import label_init

DESCRIPTIONS = np.array([[3, 4, 0], [41, 7, 5], [0, 0, 0], [41, 41, 0], [9, 0, 0], [10, 11, 12]], dtype=np.int32)
UNKNOWN = 41


@pytest.fixture
def described(tiny_inputs):
    assert len(tiny_inputs.vectors) == UNKNOWN + 1
    return replace(tiny_inputs, descriptions={"icd": DESCRIPTIONS})


def starts_from_descriptions(name: str, **changes) -> bool:
    model = small_models.build(name, **changes)
    return isinstance(model, LabelAttentionHeads) and all(
        isinstance(layer, LabelAttention | ProjectedLabelAttention) for layer in model.attention.values()
    )


ON_SUBWORDS = [
    ("bert_hier", {"attention_over": "tokens"}),
    ("bert_trun", {"head": "label_attention"}),
    ("plm_icd", {"variant": "edin"}),
]


@pytest.mark.parametrize(
    ("name", "changes"), [*((name, {}) for name in models.names() if starts_from_descriptions(name)), *ON_SUBWORDS]
)
def test_a_label_has_the_highest_logit_for_its_own_description(name, changes):
    model = small_models.build(name, **changes)
    random = {key: value.clone() for key, value in model.state_dict().items()}
    descriptions = {
        head: list(np.arange(10, 10 + 3 * labels).reshape(-1, 3)) for head, labels in small_models.HEADS.items()
    }
    for of_head in descriptions.values():
        of_head[-1] = of_head[-1][:0]
    label_init.start_from_descriptions(model, descriptions)
    assert all(torch.equal(value, random[key]) for key, value in model.state_dict().items() if key[:9] != "attention")
    assert model.training
    for head, labels in small_models.HEADS.items():
        for layer in ("queries", "output"):
            key = f"attention.{head}.{layer}.weight"
            changed = (model.state_dict()[key] != random[key]).any(1)
            assert changed[:-1].all() and not changed[-1]
        notes = [torch.from_numpy(description)[None] for description in descriptions[head][:-1]]
        scores = torch.stack([model.eval()(note, torch.tensor([3]))[head][0, :-1] for note in notes]).detach()
        scores = scores - scores.mean(0)
        of_label, of_other_labels = scores.diagonal(), scores[~torch.eye(labels - 1, dtype=torch.bool)]
        assert of_label.mean() > 0.9 and of_other_labels.mean() < 0 and (of_label > 0).all()


@pytest.mark.parametrize(("name", "changes"), [("multirescnn", {}), ("caml", {"ram": True})])
def test_statistics_of_batch_normalization_are_means_over_batches_of_training_documents(tiny_inputs, name, changes):
    model = small_models.build(name, dropout=0.5, **changes)
    norm = next(module for module in model.modules() if isinstance(module, MaskedBatchNorm))
    seen = []
    handle = norm.register_forward_hook(lambda _, arguments, __: seen.append(arguments))
    label_init.estimate_batch_statistics(model, tiny_inputs, 2500)
    handle.remove()
    assert sum(len(x) for x, _ in seen) == len(tiny_inputs.splits["train"]) and len(seen) > 1
    values = [x.transpose(1, 2)[mask] for x, mask in seen]  # [real positions, D] of each batch
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(0) for x in values]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var(0) for x in values]).mean(0))
    assert norm.momentum == 0.1 and model.training


def test_a_model_without_batch_normalization_is_left_alone(tiny_inputs):
    model = small_models.build("caml").eval()
    label_init.estimate_batch_statistics(model, tiny_inputs, 2500)
    assert not model.training


@pytest.mark.parametrize(
    ("name", "changes"), [("caml", {}), ("bert_hier", {"attention_over": "tokens"}), ("plm_icd", {})]
)
def test_initial_label_vectors_are_the_encoding_of_the_description(name, changes):
    model = small_models.build(name, **changes)
    descriptions = [
        np.array(description, dtype=np.int64) for description in ([7, 8, 9], [10, 11], [12], [], [], [], [])
    ]
    label_init.start_from_descriptions(model, {"icd": descriptions, "category": descriptions[3:6]})
    notes = [torch.from_numpy(description) for description in descriptions[:3]]
    features = [model.eval().encode(note[None], torch.tensor([len(note)]))[0][0] for note in notes]
    attention = model.attention["icd"]
    projection = getattr(attention, "projection", None)
    keys = features if projection is None else [torch.tanh(projection(of_note)) for of_note in features]
    for layer, vectors, scale in (
        (attention.queries, keys, label_init.QUERY_SCALE),
        (attention.output, features, label_init.OUTPUT_SCALE),
    ):
        means = torch.stack([of_note.mean(0) for of_note in vectors])
        size = torch.stack([of_note.norm(dim=1).mean() for of_note in vectors]).mean()
        expected = torch.nn.functional.normalize(means - means.mean(0), dim=1) / size
        torch.testing.assert_close(layer.weight[:3], scale * expected)


def test_models_without_label_attention_raise_a_user_error():
    with pytest.raises(UserError, match="descriptions is for models with label attention, but Cnn has none"):
        label_init.start_from_descriptions(small_models.build("cnn"), {})
    with pytest.raises(UserError, match="Fusion has none"):
        label_init.start_from_descriptions(small_models.build("fusion", attention="document"), {})
    with pytest.raises(UserError, match="BertHier has none"):
        label_init.start_from_descriptions(small_models.build("bert_hier", head="fcn"), {})


def test_unknown_words_of_descriptions_are_left_out(described):
    descriptions = label_init.label_descriptions(described, ["icd"])["icd"]
    assert [description.tolist() for description in descriptions] == [[3, 4], [7, 5], [], [], [9], [10, 11, 12]]


@pytest.mark.parametrize(("text", "third"), [("words", [0, 2]), ("raw", [1, 0, 2])])
def test_descriptions_are_tokenized_like_notes_without_unknown_subwords(tiny_inputs, text, third):
    """The first subword of the vocabulary has the id of padding, but is a subword like any other."""
    tokenizer = SubwordTokenizer(plain_encoder.tokenizer(["acute", "12", "nephritis"]), text)
    records = [
        {"description": description}
        for description in ("acute", "chronic", "12 acute nephritis", "", "acute 5 acute", "12 12")
    ]
    descriptions = label_init.label_descriptions(replace(tiny_inputs, labels={"icd": records}), ["icd"], tokenizer)[
        "icd"
    ]
    assert [description.tolist() for description in descriptions] == [
        [0],
        [],
        third,
        [],
        [0, 0],
        [1, 1] if text == "raw" else [],
    ]
    assert all(description.dtype == np.int64 for description in descriptions)


def test_each_description_with_a_known_word_becomes_a_document_with_one_label(described):
    descriptions = label_init.label_descriptions(described, ["icd"])
    train, original = label_init.with_description_documents(described, descriptions), described.splits["train"]
    extended, added = train.splits["train"], slice(len(original), None)
    assert [train.tokens[start:end].tolist() for start, end in extended.offsets[added]] == [
        [3, 4], [7, 5], [9], [10, 11, 12],
    ]  # fmt: skip
    assert extended.targets["icd"][added].matrix.toarray().argmax(1).tolist() == [0, 1, 4, 5]
    assert extended.targets["icd"][added].matrix.sum(1).ravel().tolist() == [[1, 1, 1, 1]]
    assert extended.targets["icd"][added].is_coded.all()
    np.testing.assert_array_equal(train.tokens[: len(described.tokens)], described.tokens)
    assert (extended.targets["icd"][: len(original)].matrix != original.targets["icd"].matrix).nnz == 0
    assert train.splits["dev"] is described.splits["dev"]


def test_description_documents_are_uncoded_in_other_heads(described):
    train = described.splits["train"]
    two = replace(
        described,
        splits={"train": replace(train, targets={"icd": train.targets["icd"], "ccs": train.targets["icd"]})},
        descriptions={"icd": DESCRIPTIONS, "ccs": DESCRIPTIONS[:, :1]},
    )  # fmt: skip
    extended, added = (
        label_init.with_description_documents(two, label_init.label_descriptions(two, ["icd", "ccs"])).splits["train"],
        slice(len(train), None),
    )
    assert extended.targets["icd"][added].is_coded.tolist() == [True] * 4 + [False] * 3
    assert extended.targets["ccs"][added].is_coded.tolist() == [False] * 4 + [True] * 3
    assert extended.targets["ccs"][added].matrix.toarray().nonzero()[1].tolist() == [0, 4, 5]
