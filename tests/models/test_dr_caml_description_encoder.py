"""The description encoder, with and without masked padding."""

from __future__ import annotations

import pytest
import torch

from medcode.models.dr_caml import DescriptionEncoder


@pytest.mark.parametrize("kernel", [3, 10])
def test_only_a_mask_makes_description_vectors_independent_of_padding(kernel):
    torch.manual_seed(0)
    x = torch.randn(1, 4, 5)
    padded, length = torch.nn.functional.pad(x, (0, 0, 0, 30)), torch.tensor([4])
    masked = DescriptionEncoder(5, 6, kernel, masked=True)
    torch.testing.assert_close(masked(padded, length), masked(x, length))
    unmasked = DescriptionEncoder(5, 6, kernel, masked=False)
    unmasked.convolution.weight.data.abs_()
    x, padded = -x.abs(), -padded.abs()  # so that a position of pads alone has the maximum
    assert not torch.allclose(unmasked(padded, length), unmasked(x, length))
