r"""How text becomes words. Each rule splits a text and says which form of a word is kept.

The papers used NLTK's `RegexpTokenizer(r"\w+")`, which was `re.findall`; so it is here. NLTK 3.10 has since gone over
to another engine, whose `\w` takes in combining accents and leaves out ², and which gives up after five seconds of
wall-clock time: the same note could be read on one machine and refused on another. On plain text they agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from medcode.errors import UserError, nearest


@dataclass(frozen=True)
class Rule:
    """A way of making words.

    Attributes:
        pattern: what a word looks like in the text, before `form`.
        form: the word as the models see it, None for one that is dropped. It sees one word at a time, so that each
            distinct word is looked at once in a whole corpus.
        separators: the characters of ASCII that stand in no word, where `pattern` says no more than that. Splitting at
            them takes a third of the time.
    """

    pattern: re.Pattern[str]
    form: Callable[[str], str | None]
    separators: str = ""

    @cached_property
    def _blanks(self) -> dict[int, str]:
        return str.maketrans(self.separators, " " * len(self.separators))

    def words(self, text: str) -> list[str]:
        """Splits a text; the words are as they stand there."""
        if self.separators and text.isascii():
            return text.translate(self._blanks).split()
        return self.pattern.findall(text)


_NO_WORD = "".join(chr(code) for code in range(128) if not re.match(r"\w", chr(code)))


def _caml(word: str) -> str | None:
    return None if word.isnumeric() else word.lower()


def _laat(word: str) -> str | None:
    return word.lower() if any(character.isalpha() for character in word) else None


RULES = {
    # Mullenbach et al. 2018 and all who follow them: underscores and digits within a word stay,
    # so do the contents of de-identification brackets; only wholly numeric words go.
    "caml": Rule(re.compile(r"\w+"), _caml, _NO_WORD),
    # Vu et al. 2020 (LAAT): the same words, kept only if they hold a letter; so 1_2 and _ go too.
    "laat": Rule(re.compile(r"\w+"), _laat, _NO_WORD),
    # Edin et al. 2023: everything but ASCII letters and digits divides words, the underscore too, and numbers go that
    # stand between two words. Their expression wants a blank on both sides, so a number with which the text begins or
    # ends stays. (They lower the text first: of all letters only the Kelvin sign and the dotted capital I become ASCII
    # by that, which is not followed here.)
    "edin": Rule(
        re.compile(r"(?<![A-Za-z0-9])(?:[0-9]*+[A-Za-z][A-Za-z0-9]*|\A[0-9]++|[0-9]++\Z)"),
        str.lower,
    ),
}


def rule_named(name: str) -> Rule:
    """Returns a rule by its name in params.yaml.

    Raises:
        UserError: there is no such rule.
    """
    if name not in RULES:
        raise UserError(f"unknown tokenisation rule '{name}'; {nearest(name, RULES)}")
    return RULES[name]


def tokenize(text: str, rule: str = "caml") -> list[str]:
    """Returns the words of a text.

    Raises:
        UserError: there is no such rule.
    """
    chosen = rule_named(rule)
    forms = (chosen.form(word) for word in chosen.words(text))
    return [form for form in forms if form is not None]


def spans(text: str, rule: str = "caml") -> list[tuple[int, int]]:
    """Returns where in the text each word of `tokenize` stands: (first character, one after the last).

    Raises:
        UserError: there is no such rule.
    """
    chosen = rule_named(rule)
    return [match.span() for match in chosen.pattern.finditer(text) if chosen.form(match.group()) is not None]


def text_of(note: str, text: str, rule: str) -> str:
    """What is cut into pieces of a note.

    Args:
        note: as it was written.
        text: `words`, those that a rule makes, set apart by spaces; or `raw`, the note as it is.
        rule: how text becomes words.
    """
    return " ".join(tokenize(note, rule)) if text == "words" else note
