"""Sentence templates: `{a|b}` is a choice, `{#1.0-2.5}` a number, `{name}` a slot filled by the caller."""

from __future__ import annotations

import functools
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Draw = Callable[[], float]  # a uniform number in [0, 1)
Item = TypeVar("Item")

_WORD = re.compile(r"\w+")
_STEPS = 40  # number of values of a numeric field
_UNCOUNTED = {"name": 0, "Name": 0, "background": 0, "complaint": 0, "date": 0.3, "doctor": 3, "hospital": 1.5}


class Template:
    """A sentence template, parsed once for fast writing.

    Args:
        text: the template; choices may contain slots and numbers, one level deep.

    Attributes:
        slots: names of the slots.
        words: mean number of words, without numbers and names of codes.
    """

    __slots__ = ("head", "parts", "slots", "words")

    def __init__(self, text: str) -> None:
        literals, fields = _split(text)
        fields = [_field(field) for field in fields]
        self.head = literals[0]
        self.parts = tuple(zip(fields, literals[1:], strict=True))
        self.words = sum(map(count_words, literals)) + sum(map(_field_words, fields))
        inner = [
            choice.slots for field in fields if type(field) is tuple for choice in field if type(choice) is Template
        ]
        self.slots = frozenset({field for field in fields if type(field) is str}.union(*inner))

    def write(self, draw: Draw, slots: Mapping[str, str | Sequence[str]]) -> str:
        """Fill the template; one value is sampled from a slot with several."""
        segments = [self.head]
        for field, literal in self.parts:
            if type(field) is str:
                field = slots[field]
            if type(field) is tuple:
                field = field[int(draw() * len(field))]
                if type(field) is Template:
                    field = field.write(draw, slots)
            segments.append(field)
            segments.append(literal)
        return "".join(segments)


def _split(text: str) -> tuple[list[str], list[str]]:
    """Split into literals and fields, the contents of the outermost braces; there is one literal more than fields."""
    segments, depth = [""], 0
    for part in re.split(r"([{}])", text):
        depth += (part == "{") - (part == "}")
        if (part, depth) in (("{", 1), ("}", 0)):
            segments.append("")
        else:
            segments[-1] += part
    return segments[::2], segments[1::2]


def _field(text: str) -> str | tuple[str | Template, ...]:
    if text.startswith("#"):
        low, high = text[1:].rsplit("-", 1)
        decimals = len(low.partition(".")[2])
        step = (float(high) - float(low)) / (_STEPS - 1)
        return tuple(dict.fromkeys(f"{float(low) + i * step:.{decimals}f}" for i in range(_STEPS)))
    if "|" not in text:
        return text
    return tuple(Template(choice) if "{" in choice else choice for choice in text.split("|"))


def _field_words(field: str | tuple[str | Template, ...]) -> float:
    if isinstance(field, str):
        return _UNCOUNTED.get(field, 1)
    return sum(choice.words if isinstance(choice, Template) else count_words(choice) for choice in field) / len(field)


def count_words(text: str) -> int:
    """Count the words of a text as the tokenizer does: runs of word characters that are not numbers."""
    return sum(not word.isnumeric() for word in _WORD.findall(text))


def pick(draw: Draw, items: Sequence[Item]) -> Item:
    """Sample one item uniformly."""
    return items[int(draw() * len(items))]


def pick_weighted(draw: Draw, items: Sequence[Item], cumulative: Sequence[float]) -> Item:
    """Sample one item; `cumulative` holds the cumulative weights."""
    return items[min(bisect_right(cumulative, draw() * cumulative[-1]), len(items) - 1)]


class Deck:
    """Sampling without replacement, by a random start and stride, or in the order of the items."""

    __slots__ = ("_at", "_items", "_left", "_stride")

    def __init__(self, draw: Draw, items: Sequence[Item], *, ordered: bool = False) -> None:
        self._items, self._left = items, len(items)
        strides = _coprime(len(items))
        self._at, self._stride = (0, 1) if ordered else (int(draw() * len(items)), pick(draw, strides))

    def next(self) -> Item | None:
        """Return the next item, None when all are used."""
        if not self._left:
            return None
        self._left -= 1
        item = self._items[self._at]
        self._at = (self._at + self._stride) % len(self._items)
        return item


@functools.cache
def _coprime(size: int) -> tuple[int, ...]:
    return tuple(stride for stride in range(1, size + 1) if math.gcd(stride, size) == 1)


def poisson(draw: Draw, mean: float) -> int:
    """Sample a Poisson number, by counting exponential waiting times within `mean`."""
    count, product, limit = 0, draw(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= draw()
    return count
