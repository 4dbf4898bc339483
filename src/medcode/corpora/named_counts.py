"""Counts of names that come with the data, such as keys or addresses of code systems, for metrics and messages."""

from __future__ import annotations

from collections import Counter

NAMED = 50  # names at most: if they are made of data, there is no end of them
SHOWN = 10  # in a message
LONGEST = 100  # characters
OTHERS = "others"


class NamedCounts:
    """Counts by name. What is long or cannot be printed is no name, may be text of a note, and is counted as others.

    Args:
        blanks: whether a name may have blanks.
    """

    def __init__(self, blanks: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._blanks = blanks

    def add(self, name: str | None) -> None:
        """Count a name, the lack of one as none."""
        name = name or "none"
        is_name = len(name) <= LONGEST and name.isprintable() and (self._blanks or " " not in name)
        self.counts[name if is_name and (name in self.counts or len(self.counts) < NAMED) else OTHERS] += 1

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        more = f" and {len(self.counts) - SHOWN} more" if len(self.counts) > SHOWN else ""
        return ", ".join(f"{name} ({count:,})" for name, count in self.counts.most_common(SHOWN)) + more
