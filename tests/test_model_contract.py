"""The contract of every model, whatever its architecture. New models are tested automatically."""

from __future__ import annotations

import sys

import plain_encoder
import pytest
import torch
from small_models import (
    HEADS,
    ROWS,
    SIZE,
    build,
    every_model,
    every_variant,
    notes,
    options,
    random_gold,
    settings,
    uses_subwords,
)  # fmt: skip
from torch import Tensor, nn

from medcode import models
from medcode.encoders.subwords import SubwordTokenizer
from medcode.inference import saved_model
from medcode.layers import fused_attention
from medcode.models.base import Model, count_parameters
from medcode.models.inputs import ModelInputs
from medcode.training.losses import head_losses, weigh

# Models without what a test is about, and why.
NEVER_READ_PADDING = {
    "attentive_lstm": "it reads the words of phrases alone",
    "c_memnn": "it sums the words of a note",
    "linear": "it counts the words of a note",
    "sentence_cls": "it reads [CLS] of a masked encoder",
}
# Models whose authors mask the padding of notes.
MASKED_BY_AUTHORS = {"msmn"}
NO_WORD_VECTORS = {"attentive_lstm": "words are read by their characters", "linear": "words are features"}
NO_DROPOUT = {"linear": "the weights are fitted at once"}

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

# Parameters without a gradient, and why.
WITHOUT_GRADIENT = {
    "queries.bias": "the bias of the queries shifts all scores of a label alike; kept to count as published",
    "pooler.dense.weight": "nothing reads BERT's pooler; kept to count as published",
    "pooler.dense.bias": "likewise",
}

# Options with which padding can matter.
PADS_MATTER = {"bert_trun": {"head": "label_attention"}}

# Learning rate of the overfitting test, where it is not 0.02.
LEARNING_RATE = {
    "bert_hier": 0.003, "bert_trun": 0.003, "dlac": 0.003, "gki_icd": 0.003, "plm_ca": 0.01, "plm_icd": 0.003,
    "sentence_cls": 0.003,
}  # fmt: skip

# Parameters that are never trained, besides static word vectors, with the reason.
NOT_TRAINED = {
    "positions.table": "sinusoids",
    "queries.weight": "the mean word vectors of descriptions (GatedCNN-NCI)",
}


@pytest.fixture(autouse=True)
def one_thread():
    """Run on one thread: small tensors are slower on many."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loss_by_document(model: Model, batch: tuple[Tensor, Tensor], gold: dict[str, Tensor]) -> Tensor:
    return weigh(head_losses(model(*batch), gold, settings("caml", "quick").recipe), model.loss_weights)


def loss_of(model: Model, batch: tuple[Tensor, Tensor], gold: dict[str, Tensor]) -> Tensor:
    recipe, output = settings("caml", "quick").recipe, model.training_forward(*batch, gold, torch.tensor(1))
    passes = [weigh(head_losses(logits, gold, recipe), model.loss_weights) for logits in output.logits]
    losses = sum(passes) / len(passes) + sum(output.penalties.values())
    extra = model.regularization(gold)
    return (losses if extra is None else losses + extra).mean()


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], **tolerance) -> None:
    assert actual.keys() == expected.keys()
    for head in expected:
        torch.testing.assert_close(actual[head], expected[head], **(tolerance or TOLERANCE))


@every_variant
@pytest.mark.parametrize("lengths", [[1], [0], [33, 0, 5], [6, 6], [2, 3, 1]])
def test_logits_have_one_row_per_note_and_one_column_per_label(name, variant, lengths):
    logits = build(name, **variant)(*notes(lengths))
    assert {head: tuple(values.shape) for head, values in logits.items()} == {
        head: (len(lengths), labels) for head, labels in HEADS.items()
    }
    assert all(torch.isfinite(values).all() for values in logits.values())


@every_model
@pytest.mark.parametrize(("length", "labels"), [(1, 9_000), (6_000, 1)])
def test_extreme_note_lengths_and_label_counts_work(name, length, labels):
    model = build(name, heads=HEADS | {"icd": labels})
    with torch.inference_mode():
        logits = model(*notes([length]))["icd"]
    assert logits.shape == (1, labels)
    assert torch.isfinite(logits).all()


@every_variant
def test_padding_does_not_change_logits(name, variant):
    model, lengths = build(name, **variant), [17, 3, 0, 11]
    assert_close(model(*notes(lengths, padded=33)), model(*notes(lengths)))


@every_model
def test_padding_changes_logits_without_masks_or_with_match_released_code(name):
    if name in NEVER_READ_PADDING:
        pytest.skip(f"{name}: {NEVER_READ_PADDING[name]}")
    for changes in ({"mask_padding": False}, {"match_released_code": True}):
        model, lengths = build(name, **changes, **PADS_MATTER.get(name, {})), [17, 3]
        short, long = model(*notes(lengths))["icd"], model(*notes(lengths, padded=60))["icd"]
        changed = (short - long).abs().max() > 1e-4
        assert changed == (name not in MASKED_BY_AUTHORS or "mask_padding" in changes)


@every_variant
def test_every_word_changes_the_logits(name, variant):
    model = build(name, **variant)
    tokens, lengths = notes([12])
    before = model(tokens, lengths)["icd"]
    for place in range(12):
        changed = tokens.clone()
        changed[0, place] = changed[0, place] % (ROWS - 1) + 1
        assert not torch.allclose(model(changed, lengths)["icd"], before, atol=1e-7), place


@every_model
def test_logits_do_not_depend_on_the_rest_or_order_of_the_batch(name):
    model = build(name)
    tokens, lengths = notes([9, 20, 1, 14])
    together = model(tokens, lengths)
    order = torch.tensor([2, 0, 3, 1])
    assert_close(model(tokens[order], lengths[order]), {head: x[order] for head, x in together.items()})
    for row, length in enumerate(lengths.tolist()):
        alone = model(tokens[row : row + 1, :length], lengths[row : row + 1])
        assert_close(alone, {head: x[row : row + 1] for head, x in together.items()})


@every_variant
def test_every_parameter_gets_a_gradient(name, variant):
    model = build(name, embedding="trained", **variant).train()
    loss_of(model, notes([20, 15, 30, 8]), random_gold(4, HEADS)).backward()
    for parameter_name, parameter in model.named_parameters():
        if any(parameter_name.endswith(ending) for ending in WITHOUT_GRADIENT):
            assert parameter.grad is None, f"{parameter_name} does get a gradient: strike it from the exceptions"
        elif not parameter.requires_grad:
            assert any(parameter_name.endswith(ending) for ending in NOT_TRAINED), parameter_name
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name


@every_model
def test_static_vectors_are_not_trained(name):
    static, trained = (count_parameters(build(name, embedding=embedding)) for embedding in ("static", "trained"))
    assert static["total"] == trained["total"]
    if name in NO_WORD_VECTORS:
        assert static == trained
        return
    model = build(name)
    if uses_subwords(name):
        table = model.encoder.get_input_embeddings().weight
    else:
        (table,) = (weight for part, weight in model.named_parameters() if part.endswith("embedding.table.weight"))
        assert table.shape == (ROWS, SIZE)
    assert trained["trainable"] - static["trainable"] == table.numel()


@every_variant
def test_a_label_of_a_model_that_takes_a_curriculum_is_its_rows_in_the_label_attention(name, variant):
    """With the rows of two labels exchanged, their logits are exchanged, and the others stay."""
    model, batch = build(name, **variant), notes([20, 9])
    if not model.config.takes_curriculum:
        return
    assert not model.has_own_training and model.regularization(random_gold(2, HEADS)) is None
    before, order = model(*batch), torch.arange(HEADS["icd"])
    order[[1, 4]] = order[[4, 1]]
    attention = model.attention["icd"]
    with torch.no_grad():
        for weight in (attention.queries.weight, attention.output.weight, attention.output.bias):
            assert len(weight) == HEADS["icd"]
            weight.copy_(weight[order])
    after = model(*batch)
    assert not torch.allclose(before["icd"][:, 1], before["icd"][:, 4])
    assert_close(after, before | {"icd": before["icd"][:, order]})


@every_model
def test_every_model_overfits_eight_notes(name):
    model = build(name, dropout=0.0, embedding="trained").train()
    batch, gold = notes([13, 15, 6, 4, 10, 8, 14, 5]), random_gold(8, HEADS)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE.get(name, 0.02))
    for step in range(1, 151):
        optimizer.zero_grad()
        loss_by_document(model, batch, gold).mean().backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.inference_mode():
                logits = model.eval()(*batch)
            model.train()
            if all(torch.equal(logits[head] > 0, gold[head].bool()) for head in HEADS):
                return
    pytest.fail("150 steps were not enough")


@every_model
def test_scoring_is_deterministic_and_dropout_follows_the_seed(name):
    model, batch = build(name, dropout=0.5), notes([20, 9])
    assert_close(model(*batch), model(*batch), rtol=0, atol=0)
    model.train()
    torch.manual_seed(3)
    first = model(*batch)
    torch.manual_seed(3)
    assert_close(model(*batch), first, rtol=0, atol=0)
    assert torch.equal(model(*batch)["icd"], first["icd"]) == (name in NO_DROPOUT)


@every_model
def test_a_loaded_model_gives_the_same_logits(name, tmp_path):
    model, batch = build(name), notes([20, 9])
    words = [f"word{number}" for number in range(ROWS - 2)]
    trained = saved_model.TrainedModel(
        name=name,
        model=model,
        vocabulary=[] if uses_subwords(name) else words,
        tokenizer=SubwordTokenizer(plain_encoder.tokenizer(words), "raw") if uses_subwords(name) else None,
        labels={
            head: [{"system": "icd9cm", "code": str(y), "description": "", "train_documents": 1} for y in range(labels)]
            for head, labels in HEADS.items()
        },
        thresholds=dict.fromkeys(HEADS, 0.5),
        max_tokens=100,
        rule="caml",
        label_set="top50",
    )
    saved_model.save(tmp_path / "model", trained, {"seed": 1})
    loaded = saved_model.load(tmp_path / "model")
    assert_close(loaded.model(*batch), model(*batch), rtol=0, atol=0)
    assert loaded.vocabulary == trained.vocabulary
    assert loaded.labels == trained.labels
    if uses_subwords(name):
        assert loaded.tokenizer.text == "raw"
        assert loaded.tokenizer(["word3 word1 unknown"])[0].tolist() == [3, 1, ROWS - 2]


@every_variant
def test_attention_sums_to_one_and_is_zero_at_padding(name, variant):
    model = build(name, **variant)
    if not model.has_label_attention:
        with pytest.raises(NotImplementedError):
            model.label_attention(*notes([3]))
        pytest.skip(f"{name} has no label attention")
    lengths = [13, 4, 0]
    tokens, real = notes(lengths, padded=30)
    for head, weights in model.label_attention(tokens, real).items():
        assert weights.shape[:2] == (3, HEADS[head])
        torch.testing.assert_close(weights.sum(2), torch.ones(3, HEADS[head]))
        for row, length in enumerate(lengths):
            alone = model.label_attention(tokens[row : row + 1, : max(1, length)], real[row : row + 1])[head][0]
            torch.testing.assert_close(weights[row, :, : alone.shape[1]], alone)
            assert (weights[row, :, alone.shape[1] :] == 0).all()
    chosen = {head: torch.tensor([labels - 1, 0]) for head, labels in model.heads.items()}
    for head, weights in model.label_attention(tokens, real, chosen).items():
        torch.testing.assert_close(weights, model.label_attention(tokens, real)[head][:, chosen[head]])


@every_variant
def test_each_note_may_have_the_attention_of_labels_of_its_own_beside_its_logits(name, variant):
    model = build(name, **variant)
    if not model.config.attends_to_tokens:
        pytest.skip(f"the labels of {name} do not attend to tokens")
    batch = notes([13, 4, 0], padded=30)
    chosen = {head: torch.tensor([[labels - 1, 0], [1, 1], [0, 2]]) for head, labels in model.heads.items()}
    logits, attention = model.forward_with_attention(*batch, chosen)
    assert_close(logits, model(*batch), rtol=0, atol=0)
    everything, own = model.label_attention(*batch), model.label_attention(*batch, chosen)
    for head, labels in chosen.items():
        torch.testing.assert_close(attention[head], own[head], rtol=0, atol=0)
        for row, of_note in enumerate(labels):
            torch.testing.assert_close(attention[head][row], everything[head][row, of_note])


@every_variant
def test_marked_tokens_have_the_positions_of_the_model(name, variant):
    model, length = build(name, **variant), 33
    if not model.config.attends_to_tokens:
        pytest.skip(f"the labels of {name} do not attend to tokens")
    tokens, lengths = torch.zeros(1, 40, dtype=torch.long), torch.tensor([length])
    tokens[0, :length] = torch.arange(1, length + 1)
    encoder_model, ids = getattr(model, "backbone", model), []
    if model.config.uses_subwords:  # the subword at every position that is not padding
        run = encoder_model.run
        encoder_model.run = lambda chunks, real: ids.extend(chunks.token_ids[chunks.real].tolist()) or run(chunks, real)
    positions = next(iter(model.label_attention(tokens, lengths).values())).shape[2]
    extra = getattr(getattr(encoder_model, "convolution", None), "extra", 0)  # CAML's windows around a word are two
    window = getattr(encoder_model.config, "window", 1)
    for token in range(length):
        marked = torch.arange(40).expand(2, 1, 40) == token
        found = model.marked_positions(marked, positions)
        assert found.shape == (2, 1, positions)
        if ids:
            expected = [place for place, subword in enumerate(ids) if subword == token + 1]
        else:
            expected = list(range(token // window, token // window + extra + 1))
        assert found[1, 0].nonzero().flatten().tolist() == expected, token


@every_variant
def test_streaming_label_attention_changes_no_logit_and_no_gradient(name, variant, monkeypatch):
    if not build(name, **variant).has_label_attention:
        pytest.skip(f"{name} has no label attention")
    results = []
    for limit in (sys.maxsize, 0):
        monkeypatch.setattr(fused_attention, "PLAIN_LABELS", limit)
        model = build(name, **variant)
        logits = model(*notes([13, 4, 0], padded=30))
        sum(values.sin().sum() for values in logits.values()).backward()
        results.append([*logits.values(), *(x.grad for x in model.parameters() if x.grad is not None)])
    for plain, streamed in zip(*results, strict=True):
        torch.testing.assert_close(streamed, plain, rtol=1e-4, atol=1e-5)


@every_model
def test_attention_has_as_many_positions_as_published(name):
    # N + 1 for an even kernel, ceil(N / 2) for pairs of words, chunks of 6, N and two special tokens.
    published = dict.fromkeys(("caml", "dr_caml", "hypercore", "jams"), 34) | {"fusion": 17, "bert_hier": 6}
    published |= dict.fromkeys(("bert_trun", "dlac", "gki_icd", "plm_ca", "plm_icd"), 35)
    positions, model = published.get(name, 33), build(name, **PADS_MATTER.get(name, {}))
    if model.has_label_attention:
        for head, weights in model.label_attention(*notes([33])).items():
            assert weights.shape == (1, HEADS[head], positions)


@every_model
def test_bf16_is_close_to_fp32(name):
    model, batch = build(name), notes([40, 25, 7])
    exact = model(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(*batch)
    for head, values in exact.items():
        torch.testing.assert_close(rough[head].float(), values, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "text", [{}, {"vectors": torch.ones(3, 2)}, {"vocab_size": 3, "encoder": plain_encoder.tiny()}]
)
def test_model_inputs_need_a_vocabulary_or_an_encoder(text):
    with pytest.raises(ValueError, match="a model takes vocab_size, with or without vectors, or it takes an encoder"):
        ModelInputs(heads=HEADS, **text)


@every_model
def test_inputs_of_the_wrong_type_are_refused(name):
    text = {"vocab_size": ROWS} if uses_subwords(name) else {"encoder": plain_encoder.tiny()}
    with pytest.raises(ValueError, match=r"reads (words|subwords): it takes"):
        models.find(name)(options(name), ModelInputs(heads=HEADS, **text))


@every_model
def test_model_docstrings_have_all_sections(name):
    model_cls = models.find(name)
    assert issubclass(model_cls, nn.Module) and model_cls.paper != ""
    # A model without a paper departs from nothing.
    for part in ("Args:", "Shapes:", *(["Departures:"] if model_cls.paper else [])):
        assert part in model_cls.__doc__, f"{name}: the class docstring lacks {part}"
