"""What every model keeps, whatever its architecture. A new model is picked up by itself."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medcode import config, model_folder, models
from medcode.models.base import Model, count_parameters
from medcode.training.optimisation import binary_cross_entropy

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
ROWS, SIZE, HEADS = 50, 8, {"icd": 7, "ccs": 3}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

# Sizes that keep a model under a second; without an entry a model is tested at its published size.
SMALL = {"caml": {"filters": 8}}

# Parameters that no loss reaches, and why.
WITHOUT_GRADIENT = {
    "queries.bias": "the bias of the queries shifts all scores of a label alike; kept to count as published",
}

# Parameters in all with 51,919 embedding rows: {labels: count}.
PUBLISHED_COUNTS = {
    "caml": {50: 5_247_050, 3_681: 5_617_412, 6_150: 5_869_250, 7_942: 6_052_034, 8_921: 6_151_892, 8_922: 6_151_994},
    "cnn": {50: 5_417_450, 3_681: 7_236_581, 6_150: 8_473_550, 7_942: 9_371_342, 8_921: 9_861_821},
}

every_model = pytest.mark.parametrize("name", models.names())


@functools.cache
def params() -> config.Params:
    return config.load(PARAMS)


def options(name: str, **changes) -> models.ModelConfig:
    block = params().models[name]
    architecture = block.architecture | SMALL.get(name, {})
    return models.configure(name, architecture, block.training["published"]).model_copy(update=changes)


def build(name: str, seed: int = 0, **changes) -> Model:
    torch.manual_seed(seed)
    vectors = torch.randn(ROWS, SIZE)
    return models.find(name)(options(name, **changes), ROWS, vectors, HEADS).eval()


def notes(lengths: list[int], padded: int | None = None, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random notes, the same for the same seed whatever they are padded to."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(len(lengths), padded or max(1, *lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(1, ROWS, (length,), generator=generator)
    return tokens, torch.tensor(lengths)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance) -> None:
    assert found.keys() == expected.keys()
    for head in expected:
        torch.testing.assert_close(found[head], expected[head], **(tolerance or TOLERANCE))


@every_model
@pytest.mark.parametrize("lengths", [[1], [0], [33, 0, 5], [6, 6], [2, 3, 1]])
def test_logits_have_one_row_a_note_and_one_column_a_label(name, lengths):
    logits = build(name)(*notes(lengths))
    assert {head: tuple(values.shape) for head, values in logits.items()} == {
        head: (len(lengths), labels) for head, labels in HEADS.items()
    }
    assert all(torch.isfinite(values).all() for values in logits.values())


@every_model
def test_padding_changes_nothing(name):
    model, lengths = build(name), [17, 3, 0, 11]
    assert_close(model(*notes(lengths, padded=33)), model(*notes(lengths)))


@every_model
def test_without_the_mask_or_faithful_padding_does_change_scores(name):
    for changes in ({"mask_padding": False}, {"faithful": True}):
        model, lengths = build(name, **changes), [17, 3]
        short, long = model(*notes(lengths))["icd"], model(*notes(lengths, padded=60))["icd"]
        assert (short - long).abs().max() > 1e-4


@every_model
def test_every_word_matters(name):
    model = build(name)
    tokens, lengths = notes([12])
    before = model(tokens, lengths)["icd"]
    for place in range(12):
        changed = tokens.clone()
        changed[0, place] = changed[0, place] % (ROWS - 1) + 1
        assert not torch.allclose(model(changed, lengths)["icd"], before, atol=1e-7), place


@every_model
def test_a_note_is_scored_alike_in_any_company_and_order(name):
    model = build(name)
    tokens, lengths = notes([9, 20, 1, 14])
    together = model(tokens, lengths)
    order = torch.tensor([2, 0, 3, 1])
    assert_close(model(tokens[order], lengths[order]), {head: x[order] for head, x in together.items()})
    for row, length in enumerate(lengths.tolist()):
        alone = model(tokens[row : row + 1, :length], lengths[row : row + 1])
        assert_close(alone, {head: x[row : row + 1] for head, x in together.items()})


@every_model
def test_every_parameter_gets_a_gradient(name):
    model = build(name, embedding="trained").train()
    logits = model(*notes([20, 15, 30, 8]))
    gold = {head: (torch.rand_like(x) < 0.5).float() for head, x in logits.items()}
    binary_cross_entropy(logits, gold).mean().backward()
    for parameter_name, parameter in model.named_parameters():
        if any(parameter_name.endswith(ending) for ending in WITHOUT_GRADIENT):
            assert parameter.grad is None, f"{parameter_name} does get a gradient: strike it from the exceptions"
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_static_vectors_are_not_trained(name):
    model = build(name, embedding="static")
    counts = count_parameters(model)
    assert counts["total"] - counts["trainable"] == ROWS * SIZE
    assert "embedding.table.weight" in dict(model.named_parameters())


@every_model
def test_it_overfits_eight_notes(name):
    model = build(name, dropout=0.0, embedding="trained").train()
    tokens, lengths = notes([25, 30, 12, 8, 20, 16, 28, 9])
    gold = {
        head: (torch.rand(8, labels, generator=torch.Generator().manual_seed(5)) < 0.4).float()
        for head, labels in HEADS.items()
    }
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss = binary_cross_entropy(model(tokens, lengths), gold).mean()
        loss.backward()
        optimiser.step()
    logits = model.eval()(tokens, lengths)
    assert all(torch.equal(logits[head] > 0, gold[head].bool()) for head in HEADS), loss


@every_model
def test_scoring_is_deterministic_and_training_is_by_seed(name):
    model, batch = build(name, dropout=0.5), notes([20, 9])
    assert_close(model(*batch), model(*batch), rtol=0, atol=0)
    model.train()
    torch.manual_seed(3)
    first = model(*batch)
    torch.manual_seed(3)
    assert_close(model(*batch), first, rtol=0, atol=0)
    assert not torch.equal(model(*batch)["icd"], first["icd"])


@every_model
def test_saved_and_loaded_it_scores_the_same(name, tmp_path):
    model, batch = build(name), notes([20, 9])
    trained = model_folder.TrainedModel(
        name=name,
        model=model,
        vocabulary=[f"word{number}" for number in range(ROWS - 2)],
        labels={head: [{"code": str(y)} for y in range(labels)] for head, labels in HEADS.items()},
        thresholds=dict.fromkeys(HEADS, 0.5),
        max_tokens=100,
        rule="caml",
        label_set="top50",
    )
    model_folder.save(tmp_path / "model", trained, {})
    loaded = model_folder.load(tmp_path / "model")
    assert_close(loaded.model(*batch), model(*batch), rtol=0, atol=0)
    assert loaded.vocabulary == trained.vocabulary
    assert loaded.labels == trained.labels


@every_model
def test_attention_sums_to_one_and_is_zero_on_pads(name):
    model = build(name)
    if not model.has_label_attention():
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


@every_model
def test_bf16_is_close_to_fp32(name):
    model, batch = build(name), notes([40, 25, 7])
    exact = model(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(*batch)
    for head, values in exact.items():
        torch.testing.assert_close(rough[head].float(), values, rtol=0.05, atol=0.05)


@every_model
def test_parameters_count_as_published(name):
    assert name in PUBLISHED_COUNTS, "state the count that the model must have"
    block = params().models[name]
    kind = models.find(name)
    for labels, expected in PUBLISHED_COUNTS[name].items():
        configured = models.configure(name, block.architecture, block.training["published"])
        with torch.device("meta"):
            assert count_parameters(kind(configured, 51_919, None, {"icd": labels}))["total"] == expected


@every_model
def test_it_says_where_it_was_published(name):
    kind = models.find(name)
    assert issubclass(kind, nn.Module) and kind.paper
    for part in ("Args:", "Shapes:", "Departures:"):
        assert part in kind.__doc__, f"{name}: the class docstring lacks {part}"
