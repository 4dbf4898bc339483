"""The Triton kernels: on a GPU where there is one, else in Triton's interpreter on the CPU, and compiled for Hopper.

Triton comes with torch for CUDA; elsewhere `pip install triton` makes these tests run.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from gpu import needs_gpu
from hypothesis import given, settings
from hypothesis import strategies as st

ON_GPU = torch.cuda.is_available()
if not ON_GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is first imported

pytest.importorskip("triton", minversion=None if ON_GPU else "3.7.1")  # older interpreters do not know NumPy 2.4

from medcode.layers import fused_attention as fused  # noqa: E402
from medcode.layers import fused_attention_triton as kernels  # noqa: E402
from medcode.layers.kernels import ShapeClass, agrees  # noqa: E402
from medcode.layers.measurements import MULTIPLE  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = "cuda" if ON_GPU else "cpu"
# Largest error of logits and of each gradient, relative to the norm.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def problem(labels, documents, positions, width, value_width, dtype, seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = (labels, width), (documents, positions, width), (documents, positions, value_width), (labels, value_width)
    inputs = [torch.randn(shape, generator=random) for shape in shapes]
    inputs = [inputs[0] / width**0.5, *inputs[1:3], inputs[3] / value_width**0.5]
    mask = torch.rand(documents, positions, generator=random) < 0.5
    mask[torch.arange(documents), torch.randint(positions, (documents,), generator=random)] = True
    return [tensor.to(DEVICE, dtype) for tensor in inputs], mask.to(DEVICE)


def logits_and_gradients(modules, inputs, mask, dtype):
    """Compute logits and gradients by the kernels, or by the plain steps of `fused_attention` for None."""
    leaves = [tensor.to(dtype).requires_grad_() for tensor in inputs]
    matrices = (*leaves, mask) if modules is None else modules.aligned(*leaves, mask)
    logits = fused._FusedAttention.apply(modules, *matrices)
    logits.sin().sum().backward()
    return [logits.detach(), *(leaf.grad for leaf in leaves)]


def assert_agrees(inputs, mask, dtype):
    expected = logits_and_gradients(None, inputs, mask, torch.float64)
    actual = logits_and_gradients(kernels, inputs, mask, dtype)
    assert [tensor.dtype for tensor in actual] == [torch.float32, *[dtype] * 4]
    scale = max(tensor.norm().item() for tensor in expected[1:])
    for result, oracle in zip(actual, expected, strict=True):
        # A gradient that is a difference of larger numbers is as exact as those.
        assert (result.double() - oracle).norm().item() <= TOLERANCE[dtype] * max(scale, oracle.norm().item())


@settings(max_examples=10, deadline=None)
@given(
    labels=st.integers(1, 140), documents=st.integers(1, 3), positions=st.integers(1, 140), width=st.integers(1, 70),
    value_width=st.integers(1, 70), masked=st.booleans(), dtype=st.sampled_from(list(TOLERANCE)),
    share=st.integers(2_000, 40_000), seed=st.integers(0, 99),
)  # fmt: skip
def test_kernels_agree_with_float64(labels, documents, positions, width, value_width, masked, dtype, share, seed):
    inputs, mask = problem(labels, documents, positions, width, value_width, dtype, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "CPU_SLICE", share)
        assert_agrees(inputs, mask if masked else None, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("width", "value_width"), [(50, 50), (300, 300), (512, 1024), (600, 600), (768, 768)])
def test_kernels_agree_at_the_widths_of_the_models(width, value_width, dtype):
    assert_agrees(*problem(33, 2, 150, width, value_width, dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("widths", [(50, 50), (300, 300), (512, 1024)])
def test_kernels_pass_their_check_before_first_use(widths, dtype):
    shape = ShapeClass("label attention", widths, dtype, torch.device(DEVICE))
    assert agrees(shape, kernels, fused.small_problem)


def test_measured_widths_are_the_padded_widths_of_the_kernels():
    assert MULTIPLE == kernels.FEATURES


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_large_scores_do_not_overflow(scale):
    inputs, mask = problem(20, 2, 150, 16, 16, torch.float32)
    inputs[0] *= scale
    actual = logits_and_gradients(kernels, inputs, mask, torch.float32)
    assert all(torch.isfinite(tensor).all() for tensor in actual)


@needs_gpu
def test_a_training_step_is_reproducible():
    inputs, mask = problem(700, 4, 500, 300, 300, torch.bfloat16)
    first, second = (logits_and_gradients(kernels, inputs, mask, torch.bfloat16) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# Compiles a kernel for compute capability 9.0, which needs no GPU, and prints what it takes of one.
COMPILE = """
import re, subprocess, sys, tempfile
from pathlib import Path
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from medcode.layers import fused_attention_triton as kernels

name, number_type, bytes_each, width, value_width = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
kernel, (*tile, warps, stages) = getattr(kernels, name), kernels.TILES[bytes_each]
fixed = dict(zip(("TILE_Y", "TILE_N", "TILE_D", "K", "D"), (*tile, width, value_width)))
matrices = {"queries", "keys", "values", "outputs", "ds", "dt"}
aligned = matrices | {"positions"}  # as `kernels.aligned` makes them
types = {"mask": "*i1", "labels": "i32", "positions": "i32"} | {matrix: f"*{number_type}" for matrix in matrices}
source = ASTSource(
    fn=kernel,
    signature={a: "constexpr" if a in fixed else types.get(a, "*fp32") for a in kernel.arg_names},
    constexprs={(kernel.arg_names.index(a),): value for a, value in fixed.items()},
    attrs={(i,): [["tt.divisibility", 16]] for i, a in enumerate(kernel.arg_names) if a in aligned},
)
options = {"num_warps": warps, "num_stages": stages}
compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
    Path(file.name).write_bytes(compiled.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
print(re.search(r"STACK:(\\d+)", usage)[1], compiled.metadata.shared, int("wgmma" in compiled.asm["ptx"]))
"""


@pytest.mark.skipif(ON_GPU, reason="there is a GPU, which the other tests compile for")
@pytest.mark.parametrize("kernel", ["_attend", "_score_gradients"])
@pytest.mark.parametrize(
    ("number_type", "size", "width", "value_width"),
    [("bf16", 2, 64, 64), ("bf16", 2, 512, 1024), ("fp32", 4, 320, 320)],
)
def test_kernels_compile_for_hopper_and_fit(kernel, number_type, size, width, value_width, tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    arguments = [kernel, number_type, *map(str, (size, width, value_width))]
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    stack, shared, tensor_cores = map(int, done.stdout.split())
    assert stack <= 64  # bytes of registers spilled by a thread
    assert shared <= fused.KERNEL_BYTES
    assert tensor_cores == (number_type == "bf16")
