"""Measured times of the Triton kernels and of torch without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["label attention", "recurrent networks"]
Cell = Literal["gru", "lstm"]
Precision = Literal["bf16", "fp32"]

# The kernels pad every width to a multiple of this, so widths in between take the same time.
MULTIPLE = 64


@dataclass(frozen=True)
class Measurement:
    """Time of a forward and a backward pass with and without kernels.

    Args:
        family: family of kernels.
        cell: cell type of recurrent networks; None for label attention.
        widths: K and D of label attention; the number of hidden units of a recurrent network.
        precision: precision of the matrix products.
        card: name of the GPU.
        capability: its compute capability, such as (9, 0); results hold for all cards that share it.
        commit: commit of the measured code.
        plain_ms, fused_ms: milliseconds without and with kernels.
        replayed: whether replayed from a CUDA graph; None where the choice of kernels does not depend on it.
    """

    family: Family
    cell: Cell | None
    widths: tuple[int, ...]
    precision: Precision
    card: str
    capability: tuple[int, int]
    commit: str
    plain_ms: float
    fused_ms: float
    replayed: bool | None = None

    @property
    def faster(self) -> bool:
        """Whether the kernels took less time."""
        return self.fused_ms < self.plain_ms


ATTENTION: Family = "label attention"
RECURRENT: Family = "recurrent networks"
H200 = "NVIDIA H200", (9, 0), "ee2ffb5"

# benchmarks/label_attention.py: 16 documents of 1,280 to 1,600 positions, 8,921 labels; without kernels: the streaming
# form in torch. benchmarks/recurrent.py: the same documents, both directions; without kernels: cuDNN.
MEASURED: tuple[Measurement, ...] = (
    Measurement(ATTENTION, None, (50, 50), "bf16", *H200, 16.8, 2.8),
    Measurement(ATTENTION, None, (300, 300), "bf16", *H200, 21.6, 4.6),
    Measurement(ATTENTION, None, (512, 1024), "bf16", *H200, 18.7, 7.1),
    Measurement(ATTENTION, None, (768, 768), "bf16", *H200, 18.8, 8.3),
    Measurement(ATTENTION, None, (50, 50), "fp32", *H200, 17.8, 14.5),
    Measurement(ATTENTION, None, (300, 300), "fp32", *H200, 39.6, 60.9),
    Measurement(ATTENTION, None, (512, 1024), "fp32", *H200, 74.7, 136.9),
    Measurement(ATTENTION, None, (768, 768), "fp32", *H200, 73.6, 135.4),
    Measurement(RECURRENT, "gru", (300,), "bf16", *H200, 119.7, 81.6, False),
    Measurement(RECURRENT, "gru", (300,), "bf16", *H200, 47.3, 19.5, True),
    Measurement(RECURRENT, "gru", (300,), "fp32", *H200, 118.2, 666.8, False),
    Measurement(RECURRENT, "gru", (300,), "fp32", *H200, 71.9, 141.8, True),
    Measurement(RECURRENT, "lstm", (256,), "bf16", *H200, 132.8, 82.5, False),
    Measurement(RECURRENT, "lstm", (512,), "bf16", *H200, 123.7, 223.0, False),
    Measurement(RECURRENT, "lstm", (256,), "bf16", *H200, 38.5, 27.3, True),
    Measurement(RECURRENT, "lstm", (512,), "bf16", *H200, 46.3, 27.1, True),
    Measurement(RECURRENT, "lstm", (256,), "fp32", *H200, 101.9, 603.2, False),
    Measurement(RECURRENT, "lstm", (512,), "fp32", *H200, 118.6, 2356.1, False),
    Measurement(RECURRENT, "lstm", (256,), "fp32", *H200, 66.3, 158.4, True),
    Measurement(RECURRENT, "lstm", (512,), "fp32", *H200, 85.7, 305.2, True),
)


def faster(
    family: Family, cell: Cell | None, widths: tuple[int, ...], precision: Precision, capability: tuple[int, int],
    replayed: bool = False,
) -> bool:  # fmt: skip
    """Return whether kernels were measured to be faster at these widths on cards of this compute capability.

    True at a measurement where kernels were faster, and between two of them unless kernels were slower in between.
    Widths are compared after padding and one by one: K lies between two K, and D between two D.
    """
    conditions = (family, cell, precision, capability)
    rows = [row for row in MEASURED if (row.family, row.cell, row.precision, row.capability) == conditions]
    rows = [row for row in rows if row.replayed in (None, replayed)]
    gains, losses = ([_rounded(row.widths) for row in rows if row.faster is gain] for gain in (True, False))
    rounded = _rounded(widths)
    return any(
        _between(low, rounded, high) and not any(_between(low, loss, high) for loss in losses)
        for low in gains
        for high in gains
    )


def _rounded(widths: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-width // MULTIPLE) * MULTIPLE for width in widths)


def _between(low: tuple[int, ...], widths: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return all(a <= b <= c for a, b, c in zip(low, widths, high, strict=True))
