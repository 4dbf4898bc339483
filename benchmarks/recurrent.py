"""Time and memory of recurrent networks alone, forward and backward: those of torch and `fused_recurrent`.

    python benchmarks/recurrent.py [--device cuda] [--precision bf16] [--networks gru300 lstm512] [--positions 1600]
    python benchmarks/recurrent.py --device cuda --precision bf16 --models 10     # side by side, each on its stream
    python benchmarks/recurrent.py --device cuda --precision bf16 --tiles         # the kernels at other tile sizes

Both directions of a network, with the input projections. A graph launches all of the work at once; the kernels then
launch each position separately. On a CPU, time is the CPU time of one thread of this process, so that other processes
do not count.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rows import clock, peak_mib, print_table
from torch import Tensor

from medcode.layers import fused_recurrent, recurrent

# As in `fused_recurrent_triton.TILES`.
TILES = [
    (16, 64, 64, 8, 4), (16, 64, 64, 8, 3), (16, 64, 64, 4, 4), (16, 32, 64, 4, 5), (16, 32, 64, 8, 4),
    (16, 64, 32, 8, 6), (16, 32, 32, 4, 4),
]  # fmt: skip
FORMS = {"cpu": ("torch", "plain"), "cuda": ("torch", "torch in a graph", "kernels", "kernels in a graph")}
COLUMNS = "form", "precision", "network", "forward and backward, ms", "notes/s", "peak, MiB"


def steps(row: Row) -> list[Callable[[], list[Tensor]]]:
    """Forward and backward of each model."""
    sizes, (cell, hidden) = row.sizes, re.fullmatch(r"(gru|lstm)(\d+)", row.network).groups()
    functions, b, n, bf16 = [], sizes.batch, sizes.positions, row.precision == "bf16"
    for seed in range(sizes.models):
        torch.manual_seed(seed)
        layer = recurrent.Recurrent(cell, sizes.inputs, int(hidden), bidirectional=True).to(sizes.device)
        x = torch.randn(b, n, sizes.inputs, device=sizes.device, requires_grad=True)
        lengths = torch.linspace(0.8 * n, n, b, device=sizes.device).long()
        gradient = torch.randn(b, n, layer.features, device=sizes.device)

        def step(layer=layer, x=x, lengths=lengths, gradient=gradient) -> list[Tensor]:
            with torch.autocast(sizes.device, torch.bfloat16, enabled=bf16):
                outputs, _ = layer(x, lengths)
            return torch.autograd.grad(outputs, (x, *layer.parameters()), gradient.to(outputs.dtype))

        functions.append(step)
    return functions


def on_streams(functions: list[Callable], graphs: bool) -> Callable[[], None]:
    """Run each function on its own stream, as a CUDA graph if `graphs`."""
    streams = [torch.cuda.Stream() for _ in functions]
    if graphs:
        functions = [capture(function, stream) for function, stream in zip(functions, streams, strict=True)]

    def run() -> None:
        for function, stream in zip(functions, streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                function()
        for stream in streams:
            torch.cuda.current_stream().wait_stream(stream)

    return run


def capture(function: Callable[[], list[Tensor]], stream: torch.cuda.Stream) -> Callable[[], list[Tensor]]:
    """Capture a function as a CUDA graph, after running it once."""
    with torch.cuda.stream(stream):
        function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        outputs = function()

    def replay() -> list[Tensor]:
        graph.replay()
        return outputs

    return replay


@dataclass(frozen=True)
class Row:
    """One form of one network."""

    form: str
    precision: str
    network: str
    tile: tuple[int, ...] | None
    sizes: argparse.Namespace

    def __str__(self) -> str:
        return f"{self.form}{f', tile {self.tile}' if self.tile else ''} | {self.precision} | {self.network}"


def measure(row: Row) -> list[str]:
    """Milliseconds of forward and backward of all models, notes per second, and their peak memory in MiB."""
    sizes, device, durations = row.sizes, row.sizes.device, []
    if device == "cpu":
        torch.set_num_threads(1)
    choose(row)
    functions = steps(row)
    initial_mib = peak_mib(device, reset=True)
    if device == "cuda":
        run = on_streams(functions, "graph" in row.form)
    else:
        run = lambda: [function() for function in functions]  # noqa: E731
    run()
    for _ in range(sizes.repeats):
        start = clock(device)
        run()
        durations.append(clock(device) - start)
    milliseconds = 1000 * sorted(durations)[len(durations) // 2]
    rate = 1000 * sizes.models * sizes.batch / milliseconds
    return [str(row), f"{milliseconds:,.1f}", f"{rate:,.0f}", f"{peak_mib(device) - initial_mib:,.0f}"]


def choose(row: Row) -> None:
    """Make `Recurrent` use the form of a row, even if another one is faster."""
    recurrent.should_fuse = lambda *_: not row.form.startswith("torch")
    fused_recurrent._kernels = lambda *_: None
    if row.form.startswith("kernels"):
        from medcode.layers import fused_recurrent_triton

        fused_recurrent._kernels = lambda *_: fused_recurrent_triton
        if row.tile is not None:
            tiles = fused_recurrent_triton.SPREAD_TILES if "graph" in row.form else fused_recurrent_triton.TILES
            tiles[2 if row.precision == "bf16" else 4] = row.tile


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), nargs="+", default=["fp32"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--positions", type=int, default=1600)
    parser.add_argument("--inputs", type=int, default=100, help="E")
    parser.add_argument("--networks", nargs="+", default=["gru300", "lstm256", "lstm512"])
    parser.add_argument("--models", type=int, default=1, help="side by side on streams (on a CPU in turn)")
    parser.add_argument("--forms", nargs="+", choices=FORMS["cuda"], help="(default: all that the device has)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiles", action="store_true", help="the kernels at several tile sizes (CUDA)")
    sizes = parser.parse_args()
    print(f"models: {sizes.models}, {sizes.batch} documents, {sizes.positions} positions\n")
    if sizes.device == "cpu":
        print("On a CPU: no graphs and no kernels.\n")
    forms = [(form, None) for form in sizes.forms or FORMS[sizes.device]]
    if sizes.tiles and sizes.device == "cuda":
        forms += [(form, tile) for tile in TILES for form, _ in forms if form.startswith("kernels")]
    rows = [
        Row(form, precision, network, tile, sizes)
        for (form, tile), precision, network in itertools.product(forms, sizes.precision, sizes.networks)
    ]
    print_table(COLUMNS, rows, measure, sizes.device)


if __name__ == "__main__":
    main()
