"""Where Triton kernels were measured to be faster than what torch does without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["label attention", "recurrent networks"]
Cell = Literal["gru", "lstm"]
Precision = Literal["bf16", "fp32"]

# The kernels make every width a multiple of this, so that widths in between take as long.
MULTIPLE = 64


@dataclass(frozen=True)
class Measurement:
    """Time of forward and backward with and without kernels.

    Args:
        family: which kernels.
        cell: of recurrent networks; None for label attention.
        widths: K and D of label attention; the hidden units of a recurrent network.
        precision: of the matrix products.
        card: name of the GPU.
        capability: its compute capability, such as (9, 0); cards that share it are one kind.
        commit: of the code.
        plain_ms, fused_ms: milliseconds without and with kernels.
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

    @property
    def faster(self) -> bool:
        """Whether the kernels took less time."""
        return self.fused_ms < self.plain_ms


MEASURED: tuple[Measurement, ...] = ()


def faster(
    family: Family, cell: Cell | None, widths: tuple[int, ...], precision: Precision, capability: tuple[int, int]
) -> bool:
    """Whether kernels were measured to be faster at these widths on this kind of card.

    That is so between two measurements, or at one, where kernels were faster, unless one in between says otherwise.
    Widths count as the multiple that the kernels make of them, and each by itself: K between K, and D between D.
    """
    alike = (family, cell, precision, capability)
    rows = [row for row in MEASURED if (row.family, row.cell, row.precision, row.capability) == alike]
    gains, losses = ([_rounded(row.widths) for row in rows if row.faster is gain] for gain in (True, False))
    place = _rounded(widths)
    return any(
        _between(low, place, high) and not any(_between(low, loss, high) for loss in losses)
        for low in gains
        for high in gains
    )


def _rounded(widths: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-width // MULTIPLE) * MULTIPLE for width in widths)


def _between(low: tuple[int, ...], place: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return all(a <= b <= c for a, b, c in zip(low, place, high, strict=True))
