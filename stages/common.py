"""What every stage's command shares: paths as options, checked parameters, one-line errors."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from typing import Any

from medcode import config
from medcode.errors import UserError


def stage(**options: Callable[[str], Any]) -> Callable[[Callable], Callable[[], None]]:
    """Makes a command of `main(params, **options)`: one required --option each, and --params.

    A UserError becomes one line on stderr and exit code 2.
    """

    def decorate(main: Callable) -> Callable[[], None]:
        @functools.wraps(main)
        def command() -> None:
            parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
            parser.add_argument("--params", required=True)
            for name, kind in options.items():
                parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
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
