"""User errors with one-line messages."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable

GUESS = "did you mean"


class UserError(Exception):
    """A mistake that the user can fix; the message is one line: what is wrong, where, and what would be valid.

    Several mistakes are several arguments, one line each. Commands print them without a traceback and exit with code 2.
    A message must never contain the text of a note.
    """

    def __str__(self) -> str:
        """Join the lines."""
        return "\n".join(str(line) for line in self.args)


def report(error: UserError) -> int:
    """Print each mistake on its own line on stderr, and return the exit code 2."""
    for line in error.args:
        print(f"error: {line}", file=sys.stderr)
    return 2


def collect(*checks: Callable[[], object]) -> None:
    """Run all checks, and raise one error with the mistakes of all.

    Raises:
        UserError: at least one check raised it. Each mistake stands once, in the order of the checks.
    """
    lines: dict[str, None] = {}
    for check in checks:
        try:
            check()
        except UserError as error:
            lines |= dict.fromkeys(error.args)
    if lines:
        raise UserError(*lines)


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Suggest the closest candidate, or list all candidates when none is close."""
    candidates = sorted(str(candidate) for candidate in candidates)
    close = difflib.get_close_matches(str(word), candidates, n=1, cutoff=0.5)
    if close:
        return f"{GUESS} '{close[0]}'?"
    return f"valid: {', '.join(candidates)}" if candidates else "nothing is valid here"


def is_guess(hint: str) -> bool:
    """Whether a hint of `nearest` is a guess, not a list."""
    return hint.startswith(GUESS)
