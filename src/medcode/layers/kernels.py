"""Select Triton kernels, by `training.kernels`, by measurements, and by a check against the plain form.

    plain   no kernels
    fused   kernels wherever they can run; errors are raised
    auto    kernels where they were measured to be faster (`measurements`) and agree with the plain form in float64, on
            a small problem of the same widths; if they disagree, this process uses the plain form and prints a note

A kernel that reads or writes outside its tensors leaves a CUDA device unusable for the process. Then the check prints
its note, and the next operation raises.
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

# Largest error of outputs and of each gradient in the check, relative to the norm, by bytes of a number.
TOLERANCE = {2: 2e-2, 4: 1e-4}
PRECISIONS: dict[torch.dtype, measurements.Precision] = {torch.bfloat16: "bf16", torch.float32: "fp32"}


@dataclass(frozen=True)
class ShapeClass:
    """Operations for which the same kernels are compiled.

    Args:
        family: family of kernels.
        widths: K and D of label attention; the number of hidden units of a recurrent network.
        dtype: type of the matrix products.
        device: device of the tensors.
        cell: cell type of recurrent networks.
    """

    family: measurements.Family
    widths: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    cell: measurements.Cell | None = None

    def __str__(self) -> str:
        """Return the name that notes print, such as `label attention 512 x 1024 in bfloat16`."""
        cell = f" ({self.cell.upper()})" if self.cell else ""
        return f"{self.family}{cell} {' x '.join(map(str, self.widths))} in {str(self.dtype).removeprefix('torch.')}"


class Results(NamedTuple):
    """Results of a small problem: outputs, and the gradient of each input by its name."""

    outputs: Tensor
    gradients: dict[str, Tensor]


# Solves a small problem with kernels, or in torch for None, with its inputs cast to a type.
Solve = Callable[[ModuleType | None, torch.dtype], Results]

_mode: Mode = "auto"
_replayed = False
_verdicts: dict[ShapeClass, bool] = {}


def choose(mode: Mode) -> None:
    """Set the mode of this process: `training.kernels`."""
    global _mode
    _mode = mode
    triton_kernels.cache_clear()  # so that another mode raises, or prints, again what is missing


def current_mode() -> Mode:
    """Return the mode of this process; `auto` by default."""
    return _mode


@contextlib.contextmanager
def replayed(in_graph: bool) -> Iterator[None]:
    """Set whether the operations inside belong to a step that a CUDA graph replays, now or later."""
    global _replayed
    previous, _replayed = _replayed, in_graph
    try:
        yield
    finally:
        _replayed = previous


def in_graph() -> bool:
    """Return whether the current operations belong to a step that is replayed, so that they must not wait for it."""
    return _replayed


def product_type(x: Tensor) -> torch.dtype:
    """Return the type of matrix products of x: that of autocast where it is enabled, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether kernels exist for a device and a type of numbers."""
    return device.type == "cuda" and dtype != torch.float64


def select(
    shape: ShapeClass, load: Callable[[], ModuleType], shared_bytes: int, problem: Callable[[ShapeClass], Solve]
) -> ModuleType | None:
    """Return the kernels for a shape class, or None for the plain form.

    Args:
        shape: shape class of the operation.
        load: imports the module of kernels.
        shared_bytes: shared memory that a program of the kernels needs.
        problem: builds the small problem on which kernels are checked.

    Raises:
        UserError: the mode is `fused`, and Triton cannot be imported.
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
    """Import a module of Triton kernels; where they cannot run, print a note once and return None.

    Args:
        load: imports the module.
        family: family of the kernels, for the note.
        shared_bytes: shared memory that a program of the kernels needs.
        device: a CUDA device.

    Raises:
        UserError: the mode is `fused`, and Triton cannot be imported.
    """
    properties = torch.cuda.get_device_properties(device)
    if properties.shared_memory_per_block_optin < shared_bytes:
        reason = f"{properties.name} has less than {shared_bytes // 1024} KiB of shared memory for a block"
    else:
        try:
            return load()
        except Exception as error:  # Triton looks for a compiler and a driver when it is imported
            reason = f"Triton cannot be imported ({_first_line(error)})"
            if _mode == "fused":
                raise UserError(f"training.kernels: fused, yet {reason}") from error
    print(f"note: {family}: no Triton kernels: {reason}", file=sys.stderr)
    return None


def agrees(shape: ShapeClass, kernels: ModuleType, problem: Callable[[ShapeClass], Solve]) -> bool:
    """Return whether kernels agree with the plain form; checked once per shape class, with a note if they do not."""
    if shape not in _verdicts:
        if _capturing(shape.device):
            # A check waits for the device, which a graph cannot capture. Usually the shape has been checked by then:
            # an eager step precedes the captured ones. Otherwise it stays unchecked until a later eager step.
            return False
        disagreement = _disagreement(shape, kernels, problem)
        _verdicts[shape] = disagreement is None
        if disagreement is not None:
            line = f"note: {shape}: no Triton kernels: {disagreement} ({_versions(shape.device)})"
            print(line, file=sys.stderr)
    return _verdicts[shape]


def _disagreement(shape: ShapeClass, kernels: ModuleType, problem: Callable[[ShapeClass], Solve]) -> str | None:
    """Return how kernels fail on the small problem, in one line; None if they agree."""
    _synchronize(shape.device)  # so that earlier errors are not blamed on the kernels
    try:
        with _isolated_autograd(shape.device):
            solve = problem(shape)
            actual, expected = solve(kernels, shape.dtype), solve(None, torch.float64)
            _synchronize(shape.device)  # errors on the device are raised here
            name, relative_error = worst(actual, expected)
    except Exception as error:  # of Triton's compiler, of the driver, of memory: none may end a training
        return _first_line(error)
    tolerance = TOLERANCE[shape.dtype.itemsize]
    if relative_error <= tolerance:  # never true of nan
        return None
    return f"{name} off by {relative_error:.1e} of the norm, {tolerance:.0e} is allowed"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def worst(actual: Results, expected: Results) -> tuple[str, float]:
    """Return the name of the result with the largest relative error, and the error. One that is not finite is largest.

    A gradient that is a difference of larger numbers is only as exact as those. So errors of gradients are relative to
    the largest norm of all gradients.
    """
    floor = max(gradient.norm().item() for gradient in expected.gradients.values())
    errors = {"outputs": _error(actual.outputs, expected.outputs, 0.0)}
    for name, gradient in expected.gradients.items():
        errors[f"gradient of {name}"] = _error(actual.gradients[name], gradient, floor)
    return max(errors.items(), key=lambda item: item[1] if item[1] < torch.inf else torch.inf)


def _error(actual: Tensor, expected: Tensor, floor: float) -> float:
    return (actual.double() - expected).norm().item() / max(floor, expected.norm().item())


@contextlib.contextmanager
def _isolated_autograd(device: torch.device) -> Iterator[None]:
    """Enable gradients independently of the context: inference mode, autocast, or gradient checkpointing.

    The context may have hooks that count or drop tensors saved for gradients. Only the innermost hooks are called, so
    the identity hooks here disable them.
    """
    keep = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False), keep:
        yield


def _measured_faster(shape: ShapeClass) -> bool:
    precision = PRECISIONS.get(shape.dtype)
    if precision is None:
        return False
    capability = _capability(shape.device)
    return measurements.faster(shape.family, shape.cell, shape.widths, precision, capability, _replayed)


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _versions(device: torch.device) -> str:
    """Return the versions of software and hardware that a disagreement may depend on."""
    triton = getattr(sys.modules.get("triton"), "__version__", "missing")
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    return f"torch {torch.__version__}, triton {triton}, CUDA {torch.version.cuda}, {card}"
