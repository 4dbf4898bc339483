"""The classifier on one pooled vector of a document."""

from __future__ import annotations

import torch

from medcode.layers.masks import position_mask
from medcode.layers.pooled_classifier import PooledClassifier


def test_pooling_takes_the_first_position_or_the_maximum_over_real_ones():
    x, mask = torch.randn(2, 5, 4), position_mask(torch.tensor([5, 2]), 5)
    for pooling, document in (
        ("first", x[:, 0]),
        ("max", torch.stack([x[0].amax(0), x[1, :2].amax(0)])),
    ):
        classifier = PooledClassifier(4, 3, pooling, dropout=0.5).eval()
        expected = document @ classifier.output.weight.T + classifier.output.bias
        torch.testing.assert_close(classifier(x, mask), expected)


def test_without_a_mask_padding_enters_the_maximum_and_training_uses_dropout():
    x = torch.tensor([[[-1.0], [0.0]]])
    classifier = PooledClassifier(1, 1, "max", dropout=0.5)
    torch.nn.init.ones_(classifier.output.weight)
    torch.nn.init.zeros_(classifier.output.bias)
    mask = torch.tensor([[True, False]])
    assert classifier.eval()(x, None).item() == 0 and classifier(x, mask).item() == -1
    assert {classifier.train()(x, mask).item() for _ in range(50)} == {0.0, -2.0}
