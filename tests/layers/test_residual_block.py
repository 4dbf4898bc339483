"""The residual block: padding changes no output, in training too."""

from __future__ import annotations

import pytest
import torch

from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.layers.masks import position_mask
from medcode.layers.residual_block import ResidualBlock
from medcode.models.fusion import MaskedGroupNorm


@pytest.mark.parametrize("norm", [MaskedBatchNorm, MaskedGroupNorm])
@pytest.mark.parametrize("training", [True, False])
def test_padding_stays_zero_and_does_not_change_words(norm, training):
    torch.manual_seed(0)
    block = ResidualBlock(4, 3, 5, norm, dropout=0.0).train(training)
    x = torch.randn(1, 4, 6)
    padded = torch.nn.functional.pad(x, (0, 9))
    out = block(padded, position_mask(torch.tensor([6]), 15))
    torch.testing.assert_close(out[:, :, :6], block(x, None), rtol=1e-4, atol=1e-5)
    assert not out[:, :, 6:].any()
