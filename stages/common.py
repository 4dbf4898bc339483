"""What every stage's command shares: paths as options, checked parameters, one-line errors."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from medcode import config
from medcode.errors import UserError

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
    optional: Mapping[str, Callable[[str], Any]] | None = None, **options: Callable[[str], Any]
) -> Callable[[Callable], Callable[[], None]]:
    """Makes a command of `main(params, **options)`: one required --option each, and --params.

    Options named in `optional` may be left out, and are None then.

    A UserError becomes one line on stderr and exit code 2.
    """

    def decorate(main: Callable) -> Callable[[], None]:
        @functools.wraps(main)
        def command() -> None:
            parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
            parser.add_argument("--params", required=True)
            for name, kind in {**options, **(optional or {})}.items():
                parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=name in options)
            arguments = vars(parser.parse_args())
            try:
                main(config.load(arguments.pop("params")), **arguments)
            except UserError as error:
                sys.exit(fail(error))
            except KeyboardInterrupt:
                sys.exit(130)

        return command

    return decorate


def fail(error: UserError) -> int:
    """Prints the one line and returns the exit code of a user's mistake."""
    print(f"error: {error}", file=sys.stderr)
    return 2
