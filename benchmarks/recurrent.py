"""Time and memory of recurrent networks alone, forward and backward: those of torch beside `fused_recurrent`.

    python benchmarks/recurrent.py [--device cuda] [--precision bf16] [--networks gru300 lstm512] [--positions 1600]
    python benchmarks/recurrent.py --device cuda --precision bf16 --models 10     # side by side, each on its stream
    python benchmarks/recurrent.py --device cuda --precision bf16 --tiles         # the kernels at other tile sizes

Both directions of a network, with the products of the words. In a graph, all of it is launched at once; the kernels
then launch each position on its own. On a CPU time is that of one thread of this process, so that others on the machine
do not count. Each row is a process of its own: the peak of a CPU's memory cannot be set back.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import re
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor

from medcode.layers import fused_recurrent, recurrent

# As in `fused_recurrent_triton.TILES`.
TILES = [
    (16, 64, 64, 8, 4), (16, 64, 64, 8, 3), (16, 64, 64, 4, 4), (16, 32, 64, 4, 5), (16, 32, 64, 8, 4),
    (16, 64, 32, 8, 6), (16, 32, 32, 4, 4),
]  # fmt: skip
FORMS = {"cpu": ("torch", "plain"), "cuda": ("torch", "torch in a graph", "kernels", "kernels in a graph")}


def steps(sizes: argparse.Namespace, kind: str, hidden: int) -> list[Callable[[], list[Tensor]]]:
    """Forward and backward of each model."""
    found, b, n, bf16 = [], sizes.batch, sizes.positions, sizes.precision == "bf16"
    for seed in range(sizes.models):
        torch.manual_seed(seed)
        layer = recurrent.Recurrent(kind, sizes.inputs, hidden, bidirectional=True).to(sizes.device)
        x = torch.randn(b, n, sizes.inputs, device=sizes.device, requires_grad=True)
        lengths = torch.linspace(0.8 * n, n, b, device=sizes.device).long()
        gradient = torch.randn(b, n, layer.features, device=sizes.device)

        def step(layer=layer, x=x, lengths=lengths, gradient=gradient) -> list[Tensor]:
            with torch.autocast(sizes.device, torch.bfloat16, enabled=bf16):
                outputs, _ = layer(x, lengths)
            return torch.autograd.grad(outputs, (x, *layer.parameters()), gradient.to(outputs.dtype))

        found.append(step)
    return found


def on_streams(functions: list[Callable], graphs: bool) -> Callable[[], None]:
    """Runs each function on a stream of its own, in a CUDA graph if asked."""
    streams = [torch.cuda.Stream() for _ in functions]
    if graphs:
        functions = [captured(function, stream) for function, stream in zip(functions, streams, strict=True)]

    def run() -> None:
        for function, stream in zip(functions, streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                function()
        for stream in streams:
            torch.cuda.current_stream().wait_stream(stream)

    return run


def captured(function: Callable[[], list[Tensor]], stream: torch.cuda.Stream) -> Callable[[], list[Tensor]]:
    """A CUDA graph of a function, which has run before."""
    with torch.cuda.stream(stream):
        function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        kept = function()

    def replay() -> list[Tensor]:
        graph.replay()
        return kept

    return replay


def measure(form: str, sizes: argparse.Namespace, kind: str, hidden: int) -> tuple[float, float]:
    """Milliseconds of forward and backward of all models, and the MiB that they need at most."""
    torch.set_num_threads(1)
    cuda, spent = sizes.device == "cuda", []
    functions = steps(sizes, kind, hidden)
    before = peak_mib(cuda, reset=True)
    run = on_streams(functions, "graph" in form) if cuda else lambda: [function() for function in functions]
    run()
    for _ in range(sizes.repeats):
        start = now(cuda)
        run()
        spent.append(now(cuda) - start)
    return 1000 * sorted(spent)[len(spent) // 2], peak_mib(cuda) - before


def now(cuda: bool) -> float:
    """The time when all work so far is done."""
    if not cuda:
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak_mib(cuda: bool, *, reset: bool = False) -> float:
    """The most memory in use so far; on a GPU since the last reset, where it is what is in use then."""
    if not cuda:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated() / 2**20


def choose(form: str, tile: tuple[int, ...] | None, sizes: argparse.Namespace) -> None:
    """Lets `Recurrent` take a form, whatever would pay."""
    recurrent.pays = lambda *_: not form.startswith("torch")
    fused_recurrent._kernels = lambda *_: None
    if form.startswith("kernels"):
        from triton.language import constexpr

        from medcode.layers import fused_recurrent_triton

        fused_recurrent._kernels = lambda *_: fused_recurrent_triton
        fused_recurrent_triton.PRODUCTS = constexpr(sizes.products)
        if tile is not None:
            fused_recurrent_triton.TILES[2 if sizes.precision == "bf16" else 4] = tile


def row(form: str, sizes: argparse.Namespace, network: str, tile: tuple[int, ...] | None) -> None:
    """Measures one network and prints its row of the table."""
    kind, hidden = re.fullmatch(r"(gru|lstm)(\d+)", network).groups()
    name = form if tile is None else f"{form}, tile {tile}"
    try:
        choose(form, tile, sizes)
        spent, peak = measure(form, sizes, kind, int(hidden))
        rate = 1000 * sizes.models * sizes.batch / spent
        print(f"| {name} | {network} | {spent:,.1f} | {rate:,.0f} | {peak:,.0f} |", flush=True)
    except Exception as error:  # a tile may not fit the device, and a form not its memory
        print(f"| {name} | {network} | {type(error).__name__}: {str(error).splitlines()[0]} | | |", flush=True)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--positions", type=int, default=1600)
    parser.add_argument("--inputs", type=int, default=100, help="E")
    parser.add_argument("--networks", nargs="+", default=["gru300", "lstm256", "lstm512"])
    parser.add_argument("--models", type=int, default=1, help="side by side on streams (on a CPU in turn)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiles", action="store_true", help="the kernels at several tile sizes (CUDA)")
    parser.add_argument("--products", choices=("ieee", "tf32x3"), default="ieee", help="of fp32 in the kernels")
    sizes = parser.parse_args()
    print(f"models: {sizes.models}, {sizes.batch} documents, {sizes.positions} positions, {sizes.precision}\n")
    if sizes.device == "cpu":
        print("On a CPU: no graphs and no kernels.\n")
    print("| form | network | forward and backward, ms | notes/s | peak, MiB |\n|---|---|---|---|---|", flush=True)
    forms = [(form, None) for form in FORMS[sizes.device]]
    if sizes.tiles and sizes.device == "cuda":
        forms += [(form, tile) for tile in TILES for form in ("kernels", "kernels in a graph")]
    for network, (form, tile) in itertools.product(sizes.networks, forms):
        process = multiprocessing.get_context("spawn").Process(target=row, args=(form, sizes, network, tile))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
