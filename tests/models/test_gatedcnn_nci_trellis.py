"""The trellis network: shared weights, and words as inputs of every level."""

from __future__ import annotations

import pytest
import torch

from medcode.models.gatedcnn_nci import TrellisEncoder


def test_more_levels_extend_the_receptive_field_with_the_same_weights():
    torch.manual_seed(0)
    x, counts = torch.randn(1, 3, 60), set()
    for levels, reach in ((1, 2), (2, 6), (3, 12)):
        encoder = TrellisEncoder(3, 4, 4, kernel=3, levels=levels, dropout=0.0)
        with torch.no_grad():
            for weights in encoder.parameters():
                weights.mul_(50)
        counts.add(sum(p.numel() for p in encoder.parameters()))
        gradient = torch.autograd.grad(encoder(x.requires_grad_())[0, :, 40].sum(), x)[0].abs().amax(1)[0]
        assert gradient.nonzero().squeeze(1).tolist() == list(range(40 - reach, 41))
    assert counts == {4 * 4 * (3 + 4) * 3 + 4 * 4}


@pytest.mark.parametrize("levels", [1, 3])
def test_outputs_begin_near_the_word_at_their_position(levels):
    torch.manual_seed(0)
    encoder = TrellisEncoder(20, 28, 20, kernel=3, levels=levels, dropout=0.0)
    encoder.start_as_identity()
    words = torch.randn(4, 20, 30) / 10
    outputs = encoder(words).detach()
    similarity = torch.nn.functional.cosine_similarity(outputs, words, dim=1)
    assert similarity.mean() > 0.9
    assert 0.3 < outputs.norm(dim=1).mean() / words.norm(dim=1).mean() < 3


@pytest.mark.parametrize("levels", [1, 3])
def test_omitting_unused_features_changes_no_output_or_gradient(levels):
    whole, part = (TrellisEncoder(3, 7, outputs, kernel=3, levels=levels, dropout=0.5) for outputs in (7, 2))
    part.load_state_dict(whole.state_dict())
    x, runs = torch.randn(2, 3, 20), []
    for encoder in (whole, part):
        torch.manual_seed(1)
        h = encoder(x)[:, -2:]
        h.square().sum().backward()
        runs.append([h, *(weights.grad for weights in encoder.parameters())])
    for actual, expected in zip(*runs, strict=True):
        torch.testing.assert_close(actual, expected)
