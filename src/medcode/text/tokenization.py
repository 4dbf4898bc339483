r"""How text becomes words. Each rule splits a text and says which form of a word is kept.

The papers used NLTK's `RegexpTokenizer(r"\w+")`, which was `re.findall`; so it is here. NLTK 3.10 has since gone over
to another engine, whose `\w` takes in combining accents and leaves out ², and which gives up after five seconds of
wall-clock time: the same note could be read on one machine and refused on another. On plain text they agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from medcode.errors import UserError, nearest


@dataclass(frozen=True)
class Rule:
    """A way of making words.

    Attributes:
        pattern: what a word looks like in the text, before `form`.
        form: the word as the models see it, None for one that is dropped. It sees one word at a time, so that each
            distinct word is looked at once in a whole corpus.
    """

    pattern: re.Pattern[str]
    form: Callable[[str], str | None]


def _caml(word: str) -> str | None:
    return None if word.isnumeric() else word.lower()


RULES = {
    # Mullenbach et al. 2018 and all who follow them: underscores and digits within a word stay,
    # so do the contents of de-identification brackets; only wholly numeric words go.
    "caml": Rule(re.compile(r"\w+"), _caml),
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
    forms = (chosen.form(word) for word in chosen.pattern.findall(text))
    return [form for form in forms if form is not None]


def spans(text: str, rule: str = "caml") -> list[tuple[int, int]]:
    """Returns where in the text each word of `tokenize` stands: (first character, one after the last).

    Raises:
        UserError: there is no such rule.
    """
    chosen = rule_named(rule)
    return [match.span() for match in chosen.pattern.finditer(text) if chosen.form(match.group()) is not None]
