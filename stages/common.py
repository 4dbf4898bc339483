"""Command line of the stages: import path of the package, options for paths, checked parameters, one-line errors."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# DVC runs queued experiments in copies of the project. Each copy runs its own package, not the installed one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from medcode import config
from medcode.errors import UserError, report

# Sums of floats depend on the width of a processor's vectors. Limited to AVX2, results are the same on processors with
# and without AVX-512. Libraries read these when they are loaded, so stages import this module before any of them.
PORTABLE_ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS has no deterministic algorithms
}
# Waiting threads sleep. By default they spin, and occupy cores that the threads they wait for could use: with one other
# busy program, a step on two threads took six times as long.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
for _name, _value in (PORTABLE_ARITHMETIC | PATIENT_THREADS).items():
    os.environ.setdefault(_name, _value)


def stage(
    parameters: type[config.Section] | None,
    optional: Mapping[str, Callable[[str], Any]] | None = None,
    **options: Callable[[str], Any],
) -> Callable[[Callable], Callable[[], None]]:  # fmt: skip
    """Make a command of `main(params, **options)`: one required --option each, and --params.

    Args:
        parameters: the only sections of params.yaml that the stage reads. With None, `main` gets the path of the file.
        optional: options that may be omitted, and are None then; as `options`.
        options: function that parses the text of each option.

    A UserError becomes one line on stderr and exit code 2.
    """

    def decorate(main: Callable) -> Callable[[], None]:
        @functools.wraps(main)
        def command() -> None:
            parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
            parser.add_argument("--params", type=Path, required=True)
            for name, parse in {**options, **(optional or {})}.items():
                parser.add_argument(f"--{name.replace('_', '-')}", type=parse, required=name in options)
            arguments = vars(parser.parse_args())
            try:
                path = arguments.pop("params")
                main(path if parameters is None else config.load(parameters, path), **arguments)
            except UserError as error:
                sys.exit(report(error))
            except KeyboardInterrupt:
                sys.exit(130)

        return command

    return decorate
