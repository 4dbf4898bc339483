"""GatedCNN-NCI against its formula, gate by gate."""

from __future__ import annotations

import plain
import pytest
import torch

from medcode.models.gatedcnn_nci import GatedCnnNci, GatedCnnNciConfig

SIZE, LABELS = 5, 3
NOTES = [plain.note(15), plain.note(1, seed=1), plain.note(6, seed=2)]
DESCRIPTIONS = torch.tensor([[3, 4, 9, 2], [7, 0, 0, 0], [0, 0, 0, 0]])


def build(descriptions: torch.Tensor | None = None, **changes) -> GatedCnnNci:
    options = {
        "dropout": 0.0, "embedding": "trained", "mask_padding": True,
        "hidden": 4, "kernel": 3, "levels": 3, "label_vectors": "descriptions",
    }  # fmt: skip
    torch.manual_seed(0)
    config = GatedCnnNciConfig(**options | changes)
    words = None if descriptions is None else {"icd": descriptions}
    model = GatedCnnNci(config, plain.inputs({"icd": LABELS}, SIZE, descriptions=words)).eval().double()
    with torch.no_grad():  # weights as large as they become in training, so that every level counts
        for weights in model.encoder.parameters():
            weights.mul_(40)
    return model


def encode(model: GatedCnnNci, words: list[int]) -> torch.Tensor:
    """Compute the output of the trellis cell by cell, [N, E]."""
    encoder, x = model.encoder, plain.vectors(model, words)
    h = c = torch.zeros(len(x), encoder.hidden, dtype=x.dtype)
    for level in range(1, encoder.levels + 1):
        reach = {"left": level * (encoder.kernel - 1), "dilation": level}
        gates = plain.convolve(x, encoder.words, encoder.bias, **reach) + plain.convolve(h, encoder.states, **reach)
        cells = []
        for position, row in enumerate(gates):
            i, o, g, f = row.chunk(4)
            before = c[position - level] if position >= level else torch.zeros_like(i)
            cell = f.sigmoid() * before + i.sigmoid() * g.tanh()
            cells.append((o.sigmoid() * cell.tanh(), cell))
        h, c = (torch.stack(rows) for rows in zip(*cells, strict=True))
    return h[:, -SIZE:]


def by_hand(model: GatedCnnNci, words: list[int]) -> torch.Tensor:
    h, interaction, logits = encode(model, words), model.interaction["icd"], []
    for label in range(LABELS):
        message = sum((interaction.queries.weight[label] @ row) * row for row in h)
        matched = interaction.output.weight[label] * message + interaction.output.bias[label]
        logits.append(interaction.projection.weight[0] @ matched)
    return torch.stack(logits)


@pytest.mark.parametrize("changes", [{}, {"levels": 1}, {"kernel": 2}], ids=str)
def test_logits_follow_the_formula(changes):
    plain.agree(build(**changes), NOTES, by_hand, padded=20)


def test_label_vectors_are_frozen_mean_word_vectors_of_descriptions():
    model = build(DESCRIPTIONS)
    table, queries = model.embedding.table.weight, model.interaction["icd"].queries.weight
    assert not queries.requires_grad
    torch.testing.assert_close(queries[0], (table[3] + table[4] + table[9] + table[2]) / 4, check_dtype=False)
    torch.testing.assert_close(queries[1], table[7], check_dtype=False)
    assert not queries[2].any()
    plain.agree(model, NOTES, by_hand, padded=20)


def test_label_vectors_are_learned_without_descriptions_or_on_request():
    for model in (build(), build(DESCRIPTIONS, label_vectors="learned")):
        assert model.interaction["icd"].queries.weight.requires_grad


def test_padding_is_included_in_the_sum_of_the_port():
    plain.agree(build(match_released_code=True), [[*NOTES[2], 0, 0, 0]], by_hand)


def test_the_trellis_is_causal():
    model = build()
    tokens, _ = plain.batch([plain.note(40)])
    h = model.encoder(model.embedding(tokens).transpose(1, 2))
    for place in (0, 20, 39):
        changed = tokens.clone()
        changed[0, place] = changed[0, place] % (plain.WORDS - 1) + 1
        moved = (model.encoder(model.embedding(changed).transpose(1, 2)) - h).abs().amax(1)[0] > 0
        assert not moved[:place].any() and moved[place]


def test_dropout_has_one_mask_per_note():
    model = build(dropout=0.5).train()
    torch.manual_seed(1)
    h = model.encoder(torch.randn(2, SIZE, 30, dtype=torch.double))
    dropped = (h == 0).all(2)
    assert dropped.any() and not dropped.all()
    assert not (h[~dropped] == 0).any()
