"""The Triton kernels: on a GPU where there is one, else in Triton's interpreter on the CPU, and compiled for Hopper.

Triton comes with torch for CUDA; elsewhere `pip install triton` makes these tests run.
"""

from __future__ import annotations

import contextlib
import copy
import os
import subprocess
import sys

import pytest
import torch
from gpu import needs_gpu
from hypothesis import example, given, settings
from hypothesis import strategies as st

ON_GPU = torch.cuda.is_available()
if not ON_GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is first imported

pytest.importorskip("triton", minversion=None if ON_GPU else "3.7.1")  # older interpreters do not know NumPy 2.4

from medcode.layers import fused_recurrent as fused  # noqa: E402
from medcode.layers import fused_recurrent_triton as kernels  # noqa: E402
from medcode.layers.kernels import ShapeClass, agrees  # noqa: E402
from medcode.layers.measurements import MULTIPLE  # noqa: E402
from medcode.layers.recurrent import Recurrent  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = "cuda" if ON_GPU else "cpu"
# Largest error of outputs and of each gradient, relative to the norm; bf16 is autocast's.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@contextlib.contextmanager
def use(modules, *, spread=False):
    """Run networks with the kernels on any device and size, or with torch for None."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "_kernels", lambda *_: modules)
        if spread:
            patch.setattr(kernels, "spreads", lambda: True)
        yield


def problem(cell_type, bidirectional, documents, positions, hidden, seed=0, lengths=None):
    torch.manual_seed(seed)
    layer = Recurrent(cell_type, 5, hidden, bidirectional=bidirectional).to(DEVICE)
    if lengths is None:
        lengths = torch.randint(positions + 1, (documents,))
    return layer, torch.randn(documents, positions, 5, device=DEVICE), lengths.to(DEVICE)


def results(layer, x, lengths, dtype):
    """Return outputs, last states, and gradients of words and weights."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    layer, x = copy.deepcopy(layer).to(wide), x.to(wide, copy=True).requires_grad_()
    with torch.autocast(DEVICE, dtype, enabled=dtype == torch.bfloat16):
        outputs, last = layer(x, lengths)
    (outputs.to(wide).sin().sum() + 3 * last.to(wide).sin().sum()).backward()
    return [outputs.detach(), last.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]


def assert_agrees(layer, x, lengths, dtype):
    with use(kernels):
        actual = results(layer, x, lengths, dtype)
    with use(None):
        expected = results(layer, x, lengths, torch.float64)
    assert [tensor.dtype for tensor in actual] == [*[dtype] * 2, *[torch.float32] * (len(actual) - 2)]
    scale = max(tensor.norm().item() for tensor in expected[2:])
    for index, (result, oracle) in enumerate(zip(actual, expected, strict=True)):
        # A gradient that is a difference of larger numbers is as exact as those.
        norm = oracle.norm().item() if index < 2 else max(scale, oracle.norm().item())
        assert (result.double() - oracle).norm().item() <= TOLERANCE[dtype] * norm


@settings(max_examples=20, deadline=None)
@given(
    cell_type=st.sampled_from(["gru", "lstm"]), bidirectional=st.booleans(), documents=st.integers(1, 35),
    positions=st.integers(1, 5), hidden=st.integers(1, 140), dtype=st.sampled_from(list(TOLERANCE)),
    seed=st.integers(0, 99),
)  # fmt: skip
@example("gru", True, 1, 1, 1, torch.float32, 0)
def test_kernels_agree_with_torch_in_float64(cell_type, bidirectional, documents, positions, hidden, dtype, seed):
    assert_agrees(*problem(cell_type, bidirectional, documents, positions, hidden, seed), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("cell_type", "hidden"), [("gru", 7), ("gru", 64), ("gru", 300), ("lstm", 256), ("lstm", 512)])
def test_kernels_agree_at_the_widths_of_the_models(cell_type, hidden, dtype):
    lengths = torch.tensor([3, 0, 1, *[2] * 14])
    assert_agrees(*problem(cell_type, True, 17, 3, hidden, lengths=lengths), dtype)


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_errors_do_not_accumulate_over_many_positions(cell_type):
    lengths = torch.tensor([60, 33])
    for dtype in TOLERANCE:
        assert_agrees(*problem(cell_type, True, 2, 60, 30, lengths=lengths), dtype)


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_one_launch_per_position_gives_bit_identical_results(cell_type):
    layer, x, lengths = problem(cell_type, True, 18, 4, 150)
    runs = []
    for spread in (False, True):
        with use(kernels, spread=spread):
            runs.append(results(layer, x, lengths, torch.float32))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_each_kernel_agrees_with_its_plain_function(cell_type):
    torch.manual_seed(0)
    (networks, positions, documents, hidden), width = (2, 3, 4, 64), {"gru": 3, "lstm": 4}[cell_type] * 64
    projected = torch.randn(networks, positions, documents, width, device=DEVICE)
    weights = torch.randn(networks, width, hidden, device=DEVICE) / hidden**0.5
    inner = torch.randn(networks, hidden, device=DEVICE) if cell_type == "gru" else None
    gradient, lengths = torch.randn(networks, positions, documents, hidden, device=DEVICE), torch.tensor([3, 1, 2, 3])
    for document, length in enumerate(lengths):
        gradient[:, length:, document] = 0
    plain = fused.read(projected, weights, inner, lengths)
    torch.testing.assert_close(kernels.read(projected, weights, inner, lengths.to(DEVICE)), plain, rtol=1e-4, atol=1e-5)
    actual = kernels.gate_gradients(gradient, weights, lengths.to(DEVICE), *plain[1:])
    expected = fused.gate_gradients(gradient, weights, lengths, *plain[1:])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_kernels_pass_their_check_before_first_use(cell_type, dtype):
    shape = ShapeClass("recurrent networks", (300 if ON_GPU else 50,), dtype, torch.device(DEVICE), cell_type)
    assert agrees(shape, kernels, fused.small_problem)


def test_measured_widths_are_the_padded_widths_of_the_kernels():
    assert MULTIPLE == kernels.UNITS


@pytest.mark.parametrize("scale", [1e2, 1e4])
@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_large_inputs_do_not_overflow(cell_type, scale):
    layer, x, lengths = problem(cell_type, True, 3, 4, 20)
    with use(kernels):
        assert all(tensor.isfinite().all() for tensor in results(layer, x * scale, lengths, torch.float32))


@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_kernels_read_no_uninitialized_memory(cell_type):
    lengths = torch.tensor([2, 0, 3, *[1] * 20])
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        assert_agrees(*problem(cell_type, True, 23, 6, 20, lengths=lengths), torch.float32)
    finally:
        torch.use_deterministic_algorithms(False)


@needs_gpu
@pytest.mark.parametrize(("cell_type", "hidden"), [("gru", 300), ("lstm", 512)])
def test_a_training_step_is_reproducible_and_equal_in_a_graph(cell_type, hidden):
    layer, x, lengths = problem(cell_type, True, 16, 500, hidden)
    x.requires_grad_()

    def step():
        with torch.autocast(DEVICE, torch.bfloat16):
            outputs, last = layer(x, lengths)
        loss = outputs.float().sin().sum() + last.float().sin().sum()
        return [outputs.detach(), last.detach(), *torch.autograd.grad(loss, (x, *layer.parameters()))]

    with use(kernels):
        first, second, graph = step(), step(), torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            third = step()
        graph.replay()
    torch.cuda.synchronize()
    for repetition in (second, third):
        assert all(torch.equal(a, b) for a, b in zip(first, repetition, strict=True))


@needs_gpu
def test_tensors_with_more_than_2_to_the_31_elements_are_supported():
    lengths = torch.tensor([3, 2100], device=DEVICE)
    x = torch.randn(512, 2100, 5, device=DEVICE)
    layer, _, _ = problem("gru", True, 1, 1, 256)
    with use(kernels), torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
        many, _ = layer(x, lengths.repeat(256))  # 2.2e9 gates
        few, _ = layer(x[-2:], lengths)
    assert (many[-2:] - few).norm().item() <= TOLERANCE[torch.bfloat16] * few.norm().item()


# Compiles a kernel for compute capability 9.0, which needs no GPU. Prints for each number of gates and hidden units
# what it takes of a GPU; whether it uses tensor cores; whether it copies ahead; whether a barrier is behind what a
# position stores; and how many loads take what they load for constant.
COMPILE = """
import re, subprocess, sys, tempfile
from itertools import product
from pathlib import Path
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from medcode.layers import fused_recurrent_triton as kernels

tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
kernel, number_type, size = getattr(kernels, sys.argv[1]), sys.argv[2], int(sys.argv[3])
*tile, warps, stages = getattr(kernels, sys.argv[4])[size]
for gates, hidden in product((3, 4), map(int, sys.argv[5:])):
    fixed = dict(zip(("G", "HIDDEN", "TILE_B", "TILE_H", "TILE_K", "inner"), (gates, hidden, *tile, None)))
    if gates == 3:
        del fixed["inner"]
    fixed = {a: value for a, value in fixed.items() if a in kernel.arg_names}
    types = dict.fromkeys(kernels.PLAIN, "i32") | dict.fromkeys(("inner", "states", "carried"), "*fp32")
    types["lengths"] = "*i64"
    signature = {a: "constexpr" if a in fixed else types.get(a, f"*{number_type}") for a in kernel.arg_names}
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(kernel.arg_names.index(a),): value for a, value in fixed.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i, a in enumerate(signature) if signature[a].startswith("*")},
    )
    options = {"num_warps": warps, "num_stages": stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(compiled.asm["cubin"])
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    code, steps = compiled.asm["ptx"], compiled.asm["ttgir"]
    print(
        gates, hidden, re.search(r"STACK:(\\d+)", usage)[1], compiled.metadata.shared, int("mma.sync" in code),
        int("cp.async" in code), int(steps.rindex(".barrier") > steps.rindex("tt.store")),
        len(re.findall(r"ld.global\\S*[.]nc", code)),
    )
"""


@pytest.mark.skipif(ON_GPU, reason="there is a GPU, which the other tests compile for")
@pytest.mark.parametrize("kernel", ["_read", "_gate_gradients"])
@pytest.mark.parametrize(
    ("number_type", "size", "tiles", "widths"),
    [("bf16", 2, "TILES", "64 320 512"), ("bf16", 2, "SPREAD_TILES", "64 320 512"), ("fp32", 4, "TILES", "320 512")],
)
def test_kernels_compile_for_hopper_and_fit(kernel, number_type, size, tiles, widths, tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    arguments = [sys.executable, "-c", COMPILE, kernel, number_type, str(size), tiles, *widths.split()]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [(gates, hidden) for gates, hidden, *_ in rows] == [(g, int(h)) for g in (3, 4) for h in widths.split()]
    for _, hidden, stack, shared, tensor_cores, ahead, ends_in_barrier, constant in rows:
        assert stack <= 64  # bytes of registers spilled by a thread
        assert shared <= fused.KERNEL_BYTES
        assert tensor_cores == (number_type == "bf16")
        # Where all of a state is one tile, the innermost loop is one that writes, and must not read ahead.
        assert ahead == (hidden > 64)
        assert ends_in_barrier and not constant  # so that the next position sees what this one wrote
