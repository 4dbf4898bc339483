"""Selection and check of Triton kernels, on a CPU, with the plain functions in place of kernels."""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from medcode.engine import reproducibility
from medcode.errors import UserError
from medcode.layers import fused_attention, fused_recurrent, kernels, measurements
from medcode.layers.label_attention import LabelAttention
from medcode.layers.recurrent import Recurrent

WORK = ["label attention", "gru", "lstm"]
SUBJECT = {
    "label attention": "label attention 20 x 20",
    "gru": "recurrent networks (GRU) 20",
    "lstm": "recurrent networks (LSTM) 20",
}


def plain_twins(work):
    """Stand-in for a module of kernels: the plain functions, which record their calls."""
    family = fused_attention if work == "label attention" else fused_recurrent
    calls = []

    def counted(function):
        def run(*arguments):
            calls.append(function.__name__)
            return function(*arguments)

        return run

    names = ("attend", "score_gradients") if work == "label attention" else ("read", "gate_gradients")
    module = SimpleNamespace(aligned=lambda *inputs: inputs, calls=calls)
    for name in names:
        setattr(module, name, counted(getattr(family, name)))
    return module


def changed(module, change, *, backward=True):
    """Replace the results of a function of a module."""
    forward, gradients = ("attend", "score_gradients") if hasattr(module, "attend") else ("read", "gate_gradients")
    name = gradients if backward else forward
    function = getattr(module, name)
    setattr(module, name, lambda *arguments: change(function(*arguments)))
    return module


def raising(error):
    def change(_):
        raise error

    return change


def first(change):
    """Return a function that changes the first tensor of a function's results."""
    return lambda x: change(x) if isinstance(x, torch.Tensor) else (change(x[0]), *x[1:])


def one_gate_off(result):
    off = result.clone()
    off[..., 5:6] *= 1.1
    return off


FAULTS = {
    "a gradient off by a bit": (lambda work: changed(plain_twins(work), first(one_gate_off)), " of the norm, 1e-04 is"),
    "outputs off by a bit": (
        lambda work: changed(plain_twins(work), first(lambda x: x * 1.001), backward=False), "outputs off by 1",
    ),
    "nan": (lambda work: changed(plain_twins(work), first(lambda x: x * torch.nan)), "off by nan of the norm"),
    "inf": (lambda work: changed(plain_twins(work), first(lambda x: x / 0)), "of the norm, 1e-04 is allowed"),
    "an error": (
        lambda work: changed(plain_twins(work), raising(RuntimeError("no such tile\nat 12:4"))),
        "RuntimeError: no such tile (",
    ),
    "an error without a message": (lambda work: changed(plain_twins(work), raising(KeyError())), "KeyError ("),
    "no memory": (
        lambda work: changed(plain_twins(work), raising(torch.OutOfMemoryError("CUDA out of memory.")), backward=False),
        "OutOfMemoryError: CUDA out of memory. (",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def reset_kernel_state(monkeypatch):
    """Reset the state of the process, so that tests are independent."""
    monkeypatch.setattr(kernels, "_verdicts", {})
    monkeypatch.setattr(kernels, "_mode", "auto")
    modules = kernels.triton_kernels
    modules.cache_clear()
    yield
    modules.cache_clear()


@pytest.fixture
def stand_in(monkeypatch):
    """Make the CPU look like a GPU with a module of kernels, measured to be faster or not."""

    def install(module, *, faster=True, shared_bytes=2**18):
        properties = SimpleNamespace(name="a card", shared_memory_per_block_optin=shared_bytes)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
        monkeypatch.setattr(kernels, "can_run", lambda device, dtype: dtype != torch.float64)
        monkeypatch.setattr(kernels, "_capability", lambda device: (9, 0))
        monkeypatch.setattr(measurements, "faster", lambda *_: faster)
        for family in (fused_attention, fused_recurrent):
            monkeypatch.setattr(family, "_load", module if callable(module) else lambda: module)
        return module

    return install


def task(work):
    """Return a layer that kernels may compute, with its inputs."""
    torch.manual_seed(0)
    if work == "label attention":
        return LabelAttention(20, 300), (torch.randn(2, 30, 20), None)
    return Recurrent(work, 8, 20, bidirectional=True), (torch.randn(2, 30, 8), torch.tensor([30, 7]))


def run(work, dtype=torch.float32):
    """Return the outputs and gradients of a layer."""
    layer, inputs = task(work)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        outputs = layer(*inputs)
    outputs = outputs if work == "label attention" else outputs[0]
    gradients = torch.autograd.grad(outputs.float().sin().sum(), list(layer.parameters()), allow_unused=True)
    return [outputs.detach(), *(gradient for gradient in gradients if gradient is not None)]


def plain(work, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "_mode", "plain")
        return run(work)


def same(result, expected):
    return all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("work", WORK)
def test_kernels_that_agree_are_used_after_one_check(work, dtype, stand_in, capsys):
    module = stand_in(plain_twins(work))
    run(work, dtype)
    assert len(module.calls) == 4  # forward and backward, of the check and of the layer
    run(work, dtype)
    assert len(module.calls) == 6
    assert list(kernels._verdicts.values()) == [True]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("fault", FAULTS)
def test_kernels_that_disagree_are_not_used_and_reported_in_one_line(
    work, fault, stand_in, monkeypatch, capsys
):  # fmt: skip
    make, reason = FAULTS[fault]
    stand_in(make(work))
    expected = plain(work, monkeypatch)
    assert all(same(run(work), expected) for _ in range(2))
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert stderr.startswith(f"note: {SUBJECT[work]} in float32: no Triton kernels: ") and reason in stderr
    assert f"torch {torch.__version__}, triton " in stderr and stderr.endswith(", CPU)\n")


@pytest.mark.parametrize("work", WORK)
def test_each_shape_class_is_checked_separately(work, stand_in, capsys):
    module = stand_in(changed(plain_twins(work), first(lambda x: x * 1.01 if x.dtype == torch.float32 else x)))
    run(work, torch.bfloat16)
    used = len(module.calls)
    run(work)
    assert list(kernels._verdicts.values()) == [True, False]
    assert len(module.calls) == used + 2  # the check's
    assert capsys.readouterr().err.count("\n") == 1


def test_a_failed_check_names_the_wrong_result(stand_in, capsys):
    stand_in(changed(plain_twins("label attention"), lambda x: (x[0], x[1] * 1.5)))
    run("label attention")
    assert re.search("gradient of (values|outputs) off by 5.0e-01 of the norm", capsys.readouterr().err)


def test_a_nan_error_counts_as_the_largest():
    ones = torch.ones(3)
    expected = kernels.Results(ones.double(), {"a": ones.double(), "b": ones.double()})
    result = kernels.Results(ones * 2, {"a": ones * torch.nan, "b": ones * 3})
    assert kernels.worst(result, expected)[0] == "gradient of a"
    result = kernels.Results(ones * 2, {"a": ones * 1.5, "b": ones})
    assert kernels.worst(result, expected) == ("outputs", pytest.approx(1.0))


@pytest.mark.parametrize("work", WORK)
def test_a_check_does_not_advance_the_random_stream(work, stand_in):
    stand_in(plain_twins(work))
    layer, inputs = task(work)
    before = torch.get_rng_state()
    layer(*inputs)
    assert list(kernels._verdicts.values()) == [True]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("work", WORK)
def test_a_check_works_in_inference_mode(work, stand_in, capsys):
    module = stand_in(plain_twins(work))
    layer, inputs = task(work)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        layer(*inputs)
        assert torch.is_inference_mode_enabled() and torch.is_autocast_enabled("cpu")
    assert len(module.calls) == 3 and list(kernels._verdicts.values()) == [True]
    assert capsys.readouterr().err == ""


def test_a_check_works_under_gradient_checkpointing(stand_in):
    stand_in(plain_twins("label attention"))
    layer, (features, _) = task("label attention")
    features.requires_grad_()
    twin = copy.deepcopy(layer)
    (result,) = torch.autograd.grad(checkpoint(layer, features, None, use_reentrant=False).sum(), features)
    assert list(kernels._verdicts.values()) == [True]
    (expected,) = torch.autograd.grad(twin(features, None).sum(), features)
    assert torch.equal(result, expected)


@pytest.mark.parametrize("work", WORK)
def test_no_check_runs_while_a_graph_is_captured(work, stand_in, monkeypatch, capsys):
    module, expected = stand_in(plain_twins(work)), plain(work, monkeypatch)
    monkeypatch.setattr(kernels, "_capturing", lambda device: True)
    assert same(run(work), expected)
    assert not module.calls and not kernels._verdicts
    monkeypatch.setattr(kernels, "_capturing", lambda device: False)
    run(work)
    assert len(module.calls) == 4
    monkeypatch.setattr(kernels, "_capturing", lambda device: True)
    run(work)
    assert len(module.calls) == 6  # what the check found holds while capturing too
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("work", WORK)
def test_kernels_not_measured_to_be_faster_are_silently_skipped(work, stand_in, capsys):
    stand_in(lambda: pytest.fail("kernels were loaded"), faster=False)
    run(work)
    assert not kernels._verdicts
    assert capsys.readouterr().err == ""


def test_measurements_are_looked_up_for_the_computed_shape(stand_in, monkeypatch):
    stand_in(plain_twins("gru"))
    questions = []
    monkeypatch.setattr(measurements, "faster", lambda *question: bool(questions.append(question)))
    for work in WORK:
        run(work, torch.bfloat16)
        with kernels.replayed(True):
            run(work)
    assert not kernels._replayed
    assert list(dict.fromkeys(questions)) == [
        (family, cell, widths, precision, (9, 0), precision == "fp32")
        for family, cell, widths in (
            ("label attention", None, (20, 20)), ("recurrent networks", "gru", (20,)),
            ("recurrent networks", "lstm", (20,)),
        )
        for precision in ("bf16", "fp32")
    ]  # fmt: skip
    shape = kernels.ShapeClass("label attention", (20, 20), torch.float16, torch.device("cpu"))
    assert kernels.select(shape, lambda: pytest.fail("loaded"), 0, fused_attention.small_problem) is None


@pytest.mark.parametrize("work", WORK)
def test_mode_plain_uses_no_kernels(work, stand_in):
    stand_in(lambda: pytest.fail("kernels were loaded"))
    kernels.choose("plain")
    run(work)


@pytest.mark.parametrize("work", WORK)
def test_mode_fused_skips_measurements_and_checks_and_raises_errors(work, stand_in):
    module = stand_in(plain_twins(work), faster=False)
    kernels.choose("fused")
    run(work)
    assert len(module.calls) == 2 and not kernels._verdicts
    kernels.choose("fused")
    stand_in(changed(plain_twins(work), raising(RuntimeError("no such tile")), backward=False), faster=False)
    with pytest.raises(RuntimeError, match="no such tile"):
        run(work)


def test_mode_fused_uses_kernels_for_few_labels_too(stand_in):
    module = stand_in(plain_twins("label attention"))
    layer, inputs = LabelAttention(20, 50), task("label attention")[1]
    layer(*inputs)
    assert not module.calls
    kernels.choose("fused")
    layer(*inputs)
    assert module.calls == ["attend"]


@pytest.mark.parametrize(("work", "family"), [("label attention", "label attention"), ("gru", "recurrent networks")])
def test_an_unsupported_device_is_reported_once(work, family, stand_in, monkeypatch, capsys):
    expected = plain(work, monkeypatch)
    for mode in ("auto", "fused"):
        stand_in(lambda: pytest.fail("kernels were loaded"), shared_bytes=65_536)
        kernels.choose(mode)
        result = [run(work) for _ in range(2)]
        assert mode == "fused" or all(same(tensor, expected) for tensor in result)
        stderr = capsys.readouterr().err
        assert (
            stderr == f"note: {family}: no Triton kernels: a card has less than 132 KiB of shared memory for a block\n"
        )


def test_without_triton_auto_uses_plain_and_fused_raises(stand_in, capsys):
    def missing():
        raise ImportError("No module named 'triton'")

    stand_in(missing)
    run("gru")
    run("gru")
    assert capsys.readouterr().err == (
        "note: recurrent networks: no Triton kernels: "
        "Triton cannot be imported (ImportError: No module named 'triton')\n"
    )
    kernels.choose("fused")
    with pytest.raises(
        UserError, match=r"training\.kernels: fused, yet Triton cannot be imported \(ImportError: No module"
    ):
        run("gru")


@pytest.mark.parametrize("mode", ["auto", "plain", "fused"])
def test_a_cpu_has_no_kernels(mode, monkeypatch):
    monkeypatch.setattr(measurements, "faster", lambda *_: True)
    monkeypatch.setattr(kernels, "triton_kernels", lambda *_: pytest.fail("kernels were looked for"))
    expected = [run(work) for work in WORK]
    monkeypatch.setattr(kernels, "_mode", mode)
    assert all(same(run(work), before) for work, before in zip(WORK, expected, strict=True))


def test_float64_has_no_kernels_on_any_device():
    for device in (torch.device("cuda", 0), torch.device("cpu")):
        assert not kernels.can_run(device, torch.float64)
    assert kernels.can_run(torch.device("cuda", 0), torch.bfloat16)


def test_preparing_a_process_chooses_its_kernels():
    assert kernels.current_mode() == "auto"
    threads = torch.get_num_threads()
    try:
        reproducibility.prepare(threads, "plain")
        assert kernels.current_mode() == "plain"
        reproducibility.prepare(threads)
        assert kernels.current_mode() == "auto"
    finally:
        torch.set_deterministic_debug_mode("default")
