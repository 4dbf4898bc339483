"""Batch normalisation: torch's own where nothing is padded, and torch's own on the words alone where something is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.layers.masks import position_mask
from medcode.training import distributed

LENGTHS = [9, 1, 4, 6]


def build(kind: type[nn.BatchNorm1d]) -> nn.BatchNorm1d:
    layer = kind(5)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 2, 5))
        layer.bias.copy_(torch.linspace(-1, 1, 5))
    return layer.train()


def example() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(4, 5, 9, generator=torch.Generator().manual_seed(0)) * 3 + 1
    return x, position_mask(torch.tensor(LENGTHS), 9)


def words_alone(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The real positions of all documents as one document, [1, D, words]."""
    return x.transpose(1, 2)[mask].T.unsqueeze(0)


def compare(ours: nn.BatchNorm1d, theirs: nn.BatchNorm1d, found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_without_a_mask_it_is_torchs():
    ours, theirs = build(MaskedBatchNorm), build(nn.BatchNorm1d)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for _ in range(3):
        x, _ = example()
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        found, expected = ours(a, None), theirs(b)
        found.sin().sum().backward()
        expected.sin().sum().backward()
        compare(ours, theirs, found, expected)
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.eval()(x, None), theirs.eval()(x))


def test_with_a_mask_it_is_torchs_on_the_words_alone():
    ours, theirs = build(MaskedBatchNorm), build(nn.BatchNorm1d)
    x, mask = example()
    compare(ours, theirs, words_alone(ours(x, mask), mask), theirs(words_alone(x, mask)))


def test_a_single_word_is_no_error():
    layer = build(MaskedBatchNorm)
    assert torch.isfinite(layer(torch.randn(1, 5, 3), position_mask(torch.tensor([1]), 3))).all()
    assert torch.isfinite(layer.running_var).all()


def test_two_processes_normalise_as_one_does(tmp_path):
    x, mask = example()
    x.requires_grad_()
    layer = build(MaskedBatchNorm)
    layer(x, mask).sin().sum().backward()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*torchrun, __file__, str(tmp_path)], check=True, timeout=120)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    torch.testing.assert_close(torch.cat([share["gradient"] for share in shares]), x.grad, rtol=1e-4, atol=1e-5)
    for share in shares:
        torch.testing.assert_close(share["variance"], layer.running_var)


def one_of_two_processes(folder: Path) -> None:
    with distributed.join(torch.device("cpu")) as world:
        x, mask = example()
        rows = slice(*world.rows(len(x)))
        layer, own = build(MaskedBatchNorm), x[rows].clone().requires_grad_()
        layer(own, mask[rows]).sin().sum().backward()
        torch.save({"gradient": own.grad, "variance": layer.running_var}, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    one_of_two_processes(Path(sys.argv[1]))
