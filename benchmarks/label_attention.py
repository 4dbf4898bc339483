"""Seconds and memory of label attention alone, forward and backward: the plain form beside the one that streams.

    python benchmarks/label_attention.py [--device cuda] [--precision bf16] [--labels 8921] [--widths 50 300 512x1024]
    python benchmarks/label_attention.py --device cuda --precision bf16 --tiles     # the kernels at other tile sizes

On a CPU time is that of one thread of this process, so that others on the machine do not count. Each row is a process
of its own: the peak of a CPU's memory cannot be set back.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor

from medcode.layers import fused_attention
from medcode.layers.masks import masked_softmax, position_mask

TILES = [
    (128, 128, 64, 8, 3), (128, 128, 64, 8, 4), (128, 128, 32, 8, 4), (128, 64, 64, 4, 4), (64, 128, 64, 4, 4),
    (64, 256, 64, 8, 3), (64, 64, 64, 4, 4),
]  # fmt: skip


def plain(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, mask: Tensor) -> Tensor:
    """What the layers do for few labels."""
    return (masked_softmax(queries @ keys.transpose(1, 2), mask) * (outputs @ values.transpose(1, 2)).float()).sum(2)


def measure(function: Callable, sizes: argparse.Namespace, width: int, value_width: int) -> tuple[float, float, float]:
    """Milliseconds of forward, of forward and backward, and the MiB that both need at most, at one shape."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cuda, (b, n, y) = sizes.device == "cuda", (sizes.batch, sizes.positions, sizes.labels)
    options = {"device": sizes.device, "dtype": torch.bfloat16 if sizes.precision == "bf16" else torch.float32}
    queries, outputs = (torch.randn(y, d, **options) / d**0.5 for d in (width, value_width))
    keys = torch.randn(b, n, width, **options)
    values = keys if width == value_width else torch.randn(b, n, value_width, **options)
    leaves = [tensor.requires_grad_() for tensor in (queries, keys, values, outputs)]
    mask = position_mask(torch.linspace(0.8 * n, n, b, device=sizes.device).long(), n)
    gradient, clock = torch.randn(b, y, device=sizes.device), time.perf_counter if cuda else time.process_time
    before, spent = peak_mib(cuda, reset=True), []
    for _ in range(sizes.repeats):
        times = [now(clock, cuda)]
        logits = function(*leaves, mask)
        times.append(now(clock, cuda))
        logits.backward(gradient)
        spent.append((times[1] - times[0], now(clock, cuda) - times[0]))
    forward, both = (1000 * sorted(each)[len(spent) // 2] for each in zip(*spent, strict=True))
    return forward, both, peak_mib(cuda) - before


def now(clock: Callable[[], float], cuda: bool) -> float:
    """The time when all work so far is done."""
    if cuda:
        torch.cuda.synchronize()
    return clock()


def peak_mib(cuda: bool, *, reset: bool = False) -> float:
    """The most memory in use so far; on a GPU since the last reset, where it is what is in use then."""
    if not cuda:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated() / 2**20


def row(name: str, sizes: argparse.Namespace, width: int, value_width: int, tile: tuple[int, ...] | None) -> None:
    """Measures one shape and prints its row of the table."""
    if tile is not None:
        from medcode.layers import fused_attention_triton

        fused_attention_triton.TILES[2 if sizes.precision == "bf16" else 4] = tile
    function = plain if name == "plain" else fused_attention.fused_attention
    try:
        forward, both, peak = measure(function, sizes, width, value_width)
        print(f"| {name} | {width} x {value_width} | {forward:,.2f} | {both:,.2f} | {peak:,.0f} |", flush=True)
    except Exception as error:  # a tile may not fit the device, and the plain form not its memory
        print(f"| {name} | {width} x {value_width} | {type(error).__name__} | | |", flush=True)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--labels", type=int, default=8921)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--positions", type=int, default=1600)
    parser.add_argument("--widths", nargs="+", default=["50", "300", "512x1024"], help="of keys and values")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiles", action="store_true", help="the kernels at several tile sizes (CUDA)")
    sizes = parser.parse_args()
    print(f"{sizes.batch} documents, {sizes.positions} positions, {sizes.labels} labels, {sizes.precision}\n")
    print("| form | keys x values | forward, ms | with backward, ms | peak, MiB |\n|---|---|---|---|---|", flush=True)
    forms = [("plain", None), ("streams", None)] + [(f"tile {tile}", tile) for tile in TILES if sizes.tiles]
    for width, (name, tile) in itertools.product(sizes.widths, forms):
        k, d = map(int, (width.split("x") * 2)[:2])
        process = multiprocessing.get_context("spawn").Process(target=row, args=(name, sizes, k, d, tile))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
