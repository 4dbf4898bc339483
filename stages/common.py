"""What every stage's command shares: the package beside it, paths as options, checked parameters, one-line errors."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# DVC runs queued experiments in copies of the project; each runs the package that lies beside its stages, not the one
# that happens to be installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from medcode import config
from medcode.errors import UserError, report

# Sums of floats depend on the width of a processor's vectors. Held to AVX2, results are the same on processors with and
# without AVX-512. Libraries read these when they are loaded, so stages import this module before any of them.
PORTABLE_ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS has no deterministic algorithms
}
# Threads that wait for others sleep. By default they spin, and take from those others the core that another program has
# left them: beside one busy program a step on two threads took six times as long.
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
        parameters: the sections of params.yaml that the stage reads; it reads no others. None hands over the path.
        optional: options that may be left out, and are None then.
        options: how the text of each option is read.

    A UserError becomes one line on stderr and exit code 2.
    """

    def decorate(main: Callable) -> Callable[[], None]:
        @functools.wraps(main)
        def command() -> None:
            parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
            parser.add_argument("--params", type=Path, required=True)
            for name, read in {**options, **(optional or {})}.items():
                parser.add_argument(f"--{name.replace('_', '-')}", type=read, required=name in options)
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
