"""Which work Triton kernels do: what `training.kernels` says, what was measured, and what a check of them finds.

    plain   none
    fused   wherever they can run; what goes wrong there is raised
    auto    where they were measured to be faster (`measurements`) and agree with the plain form in float64, on a small
            problem of the same widths; where they do not, the plain form does the work in this process, which is said

A kernel that reads or writes outside its tensors leaves a CUDA device unusable for the process. Then the check says so
and the next operation raises: nothing can go on there.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from medcode.errors import UserError
from medcode.layers import measurements

Mode = Literal["auto", "plain", "fused"]

# Largest error of outputs and of each gradient in the check, as a share of the norm, by bytes of a number.
TOLERANCE = {2: 2e-2, 4: 1e-4}
PRECISIONS: dict[torch.dtype, measurements.Precision] = {torch.bfloat16: "bf16", torch.float32: "fp32"}


@dataclass(frozen=True)
class ShapeClass:
    """Work for which the same kernels are compiled.

    Args:
        family: which kernels.
        widths: K and D of label attention; the hidden units of a recurrent network.
        dtype: of the matrix products.
        device: where it is done.
        cell: of recurrent networks.
    """

    family: measurements.Family
    widths: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    cell: measurements.Cell | None = None

    def __str__(self) -> str:
        """What a note calls it, such as `label attention 512 x 1024 in bfloat16`."""
        cell = f" ({self.cell.upper()})" if self.cell else ""
        return f"{self.family}{cell} {' x '.join(map(str, self.widths))} in {str(self.dtype).removeprefix('torch.')}"


class Results(NamedTuple):
    """What a small problem comes to: outputs, and the gradient of each input by its name."""

    outputs: Tensor
    gradients: dict[str, Tensor]


# Solves a small problem with kernels, or in torch for None, its inputs cast to a type.
Solve = Callable[[ModuleType | None, torch.dtype], Results]

_mode: Mode = "auto"
_replayed = False
_verdicts: dict[ShapeClass, bool] = {}


def choose(mode: Mode) -> None:
    """Sets for this process where kernels are used: `training.kernels`."""
    global _mode
    _mode = mode
    triton_kernels.cache_clear()  # in another mode what is missing is raised, or said, anew


def current_mode() -> Mode:
    """What was chosen for this process; `auto` until something is."""
    return _mode


@contextlib.contextmanager
def replayed(yes: bool) -> Iterator[None]:
    """Says whether the work inside is part of a step that a CUDA graph replays, then or later."""
    global _replayed
    before, _replayed = _replayed, yes
    try:
        yield
    finally:
        _replayed = before


def product_type(x: Tensor) -> torch.dtype:
    """That of matrix products of x: autocast's, or its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether there are kernels for a kind of device and a type of numbers."""
    return device.type == "cuda" and dtype != torch.float64


def select(
    shape: ShapeClass, load: Callable[[], ModuleType], shared_bytes: int, problem: Callable[[ShapeClass], Solve]
) -> ModuleType | None:
    """The kernels that do some work, or None where it is done without.

    Args:
        shape: the work.
        load: imports the module of kernels.
        shared_bytes: memory that a program of the kernels may share.
        problem: makes the small problem on which they are checked.

    Raises:
        UserError: `fused` was chosen and Triton cannot be imported.
    """
    if _mode == "plain" or not can_run(shape.device, shape.dtype):
        return None
    if _mode == "auto" and not _measured_faster(shape):
        return None
    kernels = triton_kernels(load, shape.family, shared_bytes, shape.device)
    if kernels is None or _mode == "fused":
        return kernels
    return kernels if agrees(shape, kernels, problem) else None


@functools.cache
def triton_kernels(
    load: Callable[[], ModuleType], family: str, shared_bytes: int, device: torch.device
) -> ModuleType | None:
    """A module of Triton kernels, or None where they cannot run, which is said once.

    Args:
        load: imports the module.
        family: whose kernels, to be said.
        shared_bytes: memory that a program of the kernels may share.
        device: a CUDA device.

    Raises:
        UserError: `fused` was chosen and Triton cannot be imported.
    """
    properties = torch.cuda.get_device_properties(device)
    if properties.shared_memory_per_block_optin < shared_bytes:
        reason = f"{properties.name} has less than {shared_bytes // 1024} KiB of shared memory for a block"
    else:
        try:
            return load()
        except Exception as error:  # Triton looks for a compiler and a driver when it is imported
            reason = f"Triton cannot be imported ({_in_a_line(error)})"
            if _mode == "fused":
                raise UserError(f"training.kernels: fused, yet {reason}") from error
    print(f"note: {family}: no Triton kernels: {reason}", file=sys.stderr)
    return None


def agrees(shape: ShapeClass, kernels: ModuleType, problem: Callable[[ShapeClass], Solve]) -> bool:
    """Whether kernels do in this process what the plain form does; tried once for a shape class, and said if not."""
    if shape not in _verdicts:
        if _capturing(shape.device):
            # A check waits for the device, which cannot be captured. Steps that are captured follow one of their shape
            # that is not, so the check has been made; whatever comes here all the same may still be checked later.
            return False
        disagreement = _disagreement(shape, kernels, problem)
        _verdicts[shape] = disagreement is None
        if disagreement is not None:
            line = f"note: {shape}: no Triton kernels: {disagreement} ({_versions(shape.device)})"
            print(line, file=sys.stderr)
    return _verdicts[shape]


def _disagreement(shape: ShapeClass, kernels: ModuleType, problem: Callable[[ShapeClass], Solve]) -> str | None:
    """What kernels do wrong on the small problem, in a line; None where nothing."""
    _synchronize(shape.device)  # so that what went wrong before is not put down to the kernels
    try:
        with _by_itself(shape.device):
            solve = problem(shape)
            actual, expected = solve(kernels, shape.dtype), solve(None, torch.float64)
            _synchronize(shape.device)  # what goes wrong on the device is raised here
            name, share = worst(actual, expected)
    except Exception as error:  # of Triton's compiler, of the driver, of memory: none may end a training
        return _in_a_line(error)
    tolerance = TOLERANCE[shape.dtype.itemsize]
    if share <= tolerance:  # never true of nan
        return None
    return f"{name} off by {share:.1e} of the norm, {tolerance:.0e} is allowed"


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def worst(actual: Results, expected: Results) -> tuple[str, float]:
    """The result with the largest error, and the error as a share of the norm; any that is not finite is the largest.

    A gradient that is a difference of larger numbers is as exact as those, so that its norm counts as no less than the
    largest of a gradient.
    """
    floor = max(gradient.norm().item() for gradient in expected.gradients.values())
    errors = {"outputs": _error(actual.outputs, expected.outputs, 0.0)}
    for name, gradient in expected.gradients.items():
        errors[f"gradient of {name}"] = _error(actual.gradients[name], gradient, floor)
    return max(errors.items(), key=lambda item: item[1] if item[1] < torch.inf else torch.inf)


def _error(actual: Tensor, expected: Tensor, floor: float) -> float:
    return (actual.double() - expected).norm().item() / max(floor, expected.norm().item())


@contextlib.contextmanager
def _by_itself(device: torch.device) -> Iterator[None]:
    """Differentiates what is inside, whatever is outside: scoring, autocast, or an encoder that keeps no activations.

    Outside may be hooks that count or drop what is saved for a gradient; only the innermost hooks are called.
    """
    keep = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False), keep:
        yield


def _measured_faster(shape: ShapeClass) -> bool:
    precision = PRECISIONS.get(shape.dtype)
    if precision is None:
        return False
    kind_of_card = _capability(shape.device)
    return measurements.faster(shape.family, shape.cell, shape.widths, precision, kind_of_card, _replayed)


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _versions(device: torch.device) -> str:
    """Of what a disagreement may depend on."""
    triton = getattr(sys.modules.get("triton"), "__version__", "missing")
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    return f"torch {torch.__version__}, triton {triton}, CUDA {torch.version.cuda}, {card}"
