"""Time and memory of label attention alone, forward and backward, in every form that torch and this package have.

    python benchmarks/label_attention.py [--device cuda] [--precision bf16] [--labels 8921] [--widths 50 300 512x1024]
    python benchmarks/label_attention.py --device cuda --precision bf16 --tiles     # the kernels at other tile sizes

On a CPU, time is the CPU time of one thread of this process, so that other processes do not count.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rows import clock, peak_mib, print_table
from torch import Tensor, nn
from torch.nn.attention import flex_attention as flex

from medcode.layers import fused_attention
from medcode.layers.masks import masked_softmax, position_mask

# By width of the features: labels, positions, features of a tile, warps, stages.
TILES = [
    (128, 128, 64, 8, 3), (128, 128, 64, 8, 4), (128, 128, 32, 8, 4), (128, 64, 64, 4, 4), (64, 128, 64, 4, 4),
    (64, 256, 64, 8, 3), (64, 64, 64, 4, 4),
]  # fmt: skip
COLUMNS = "form", "precision", "keys x values", "forward, ms", "with backward, ms", "peak, MiB"


@dataclass(frozen=True)
class Row:
    """One form at one shape."""

    form: str
    precision: str
    widths: tuple[int, int]
    tile: tuple[int, ...] | None
    slice_bits: int
    sizes: argparse.Namespace

    def __str__(self) -> str:
        form = f"{self.form} {self.tile}" if self.tile else self.form
        form += f", slices of 2^{self.slice_bits}" if self.sizes.slices else ""
        return f"{form} | {self.precision} | {self.widths[0]}x{self.widths[1]}"


def plain(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, lengths: Tensor) -> Tensor:
    """Return the form that the layers use for few labels."""
    mask = position_mask(lengths, keys.shape[1])
    return (masked_softmax(queries @ keys.transpose(1, 2), mask) * (outputs @ values.transpose(1, 2)).float()).sum(2)


def streams(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, lengths: Tensor) -> Tensor:
    """`fused_attention` in torch operations."""
    mask = position_mask(lengths, keys.shape[1])
    return fused_attention._FusedAttention.apply(None, queries, keys, values, outputs, mask)


def kernels(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, lengths: Tensor) -> Tensor:
    """`fused_attention` in Triton."""
    from medcode.layers import fused_attention_triton

    matrices = fused_attention_triton.aligned(queries, keys, values, outputs, position_mask(lengths, keys.shape[1]))
    return fused_attention._FusedAttention.apply(fused_attention_triton, *matrices)


def sdpa(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, lengths: Tensor) -> Tensor:
    """Context vectors by torch's attention, then their dot products with the output vectors."""
    mask = position_mask(lengths, keys.shape[1])[:, None, None]
    rows = queries.expand(len(keys), 1, -1, -1)
    attend = nn.functional.scaled_dot_product_attention
    return _logits(attend(rows, keys.unsqueeze(1), values.unsqueeze(1), attn_mask=mask, scale=1.0), outputs)


def flex_attention(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, lengths: Tensor) -> Tensor:
    """As `sdpa`, by torch's compiled attention."""
    rows = queries.expand(len(keys), 1, -1, -1).contiguous()
    attend, make_mask = _compiled()
    mask = make_mask(lambda b, h, q, k: k < lengths[b], len(keys), 1, len(queries), keys.shape[1], keys.device)
    return _logits(attend(rows, keys.unsqueeze(1), values.unsqueeze(1), block_mask=mask, scale=1.0), outputs)


@functools.cache
def _compiled() -> tuple[Callable, Callable]:
    return torch.compile(flex.flex_attention, dynamic=False), flex.create_block_mask


def _logits(context: Tensor, outputs: Tensor) -> Tensor:
    return (context.squeeze(1) * outputs).sum(2).float()


FORMS = {form.__name__: form for form in (plain, streams, kernels, sdpa, flex_attention)}


def measure(row: Row) -> list[str]:
    """Milliseconds of forward, and of forward and backward; their peak memory in MiB."""
    sizes, (width, value_width) = row.sizes, row.widths
    device, b, n, y = sizes.device, sizes.batch, sizes.positions, sizes.labels
    if device == "cpu":
        torch.set_num_threads(1)
    if row.tile is not None:
        from medcode.layers import fused_attention_triton

        fused_attention_triton.TILES[2 if row.precision == "bf16" else 4] = row.tile
    fused_attention.CUDA_SLICE = 2**row.slice_bits
    torch.manual_seed(0)
    options = {"device": device, "dtype": torch.bfloat16 if row.precision == "bf16" else torch.float32}
    queries, outputs = (torch.randn(y, d, **options) / d**0.5 for d in (width, value_width))
    keys = torch.randn(b, n, width, **options)
    values = keys if width == value_width else torch.randn(b, n, value_width, **options)
    leaves = [tensor.requires_grad_() for tensor in (queries, keys, values, outputs)]
    lengths = torch.linspace(0.8 * n, n, b, device=device).long()
    gradient = torch.randn(b, y, device=device)
    initial_mib, durations = peak_mib(device, reset=True), []
    for _ in range(sizes.repeats):
        times = [clock(device)]
        logits = FORMS[row.form](*leaves, lengths)
        times.append(clock(device))
        logits.backward(gradient)
        durations.append((times[1] - times[0], clock(device) - times[0]))
        del logits
    forward, with_backward = (1000 * sorted(column)[len(durations) // 2] for column in zip(*durations, strict=True))
    return [str(row), f"{forward:,.2f}", f"{with_backward:,.2f}", f"{peak_mib(device) - initial_mib:,.0f}"]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), nargs="+", default=["fp32"])
    parser.add_argument("--labels", type=int, default=8921)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--positions", type=int, default=1600)
    parser.add_argument("--widths", nargs="+", default=["50", "300", "512x1024"], help="of keys and values")
    parser.add_argument("--forms", nargs="+", choices=FORMS, help="(default: all; on a CPU those that run there)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiles", action="store_true", help="the kernels at several tile sizes (CUDA)")
    parser.add_argument("--slices", type=int, nargs="+", default=[], help="bits of CUDA_SLICE to try")
    sizes = parser.parse_args()
    names = sizes.forms or (["plain", "streams", "sdpa"] if sizes.device == "cpu" else list(FORMS))
    forms = [(form, None) for form in names] + [("kernels", tile) for tile in TILES if sizes.tiles]
    widths = [tuple(map(int, (width.split("x") * 2)[:2])) for width in sizes.widths]
    rows = [
        Row(form, precision, width, tile, bits, sizes)
        for (form, tile), precision, width, bits in itertools.product(
            forms, sizes.precision, widths, sizes.slices or [fused_attention.CUDA_SLICE.bit_length() - 1]
        )
    ]
    print(f"{sizes.batch} documents, {sizes.positions} positions, {sizes.labels} labels\n")
    print_table(COLUMNS, rows, measure, sizes.device)


if __name__ == "__main__":
    main()
