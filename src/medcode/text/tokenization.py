r"""Word tokenization. Each rule splits a text into words, and normalizes or drops each word.

The papers used NLTK's `RegexpTokenizer(r"\w+")`, which called `re.findall`; so does this module. NLTK 3.10 uses another
engine. Its `\w` matches combining accents but not ², and it raises an error after five seconds of wall-clock time: the
same note could succeed on one machine and fail on another. On plain text both agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from medcode.errors import UserError, nearest
from medcode.text.phrases import phrase_spans

PHRASE_END = ";"  # the word between two phrases


@dataclass(frozen=True)
class Rule:
    """A rule that splits text into words and normalizes them.

    Attributes:
        pattern: regular expression of a word in the text, before `form`.
        form: returns the normalized word, or None to drop it. It depends on the word alone, so it is called once per
            distinct word of a corpus.
        separators: the ASCII characters outside words, if `pattern` is equivalent to splitting at them, which takes a
            third of the time; else "".
    """

    pattern: re.Pattern[str]
    form: Callable[[str], str | None]
    separators: str = ""

    @cached_property
    def _blanks(self) -> dict[int, int]:
        return str.maketrans(self.separators, " " * len(self.separators))

    def words(self, text: str) -> list[str]:
        """Split a text into words, not yet normalized."""
        if self.separators and text.isascii():
            return text.translate(self._blanks).split()
        return self.pattern.findall(text)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each of `words` in the text; the end is exclusive."""
        return [match.span() for match in self.pattern.finditer(text)]


class PhraseRule(Rule):
    """A rule that splits the phrases of a text into words, with a word between two phrases that marks the end of one.

    That word has the place of the character behind the phrase. All text outside phrases is dropped.
    """

    def words(self, text: str) -> list[str]:
        """See `Rule`."""
        return [text[start:end] for start, end in self.places(text)]

    def places(self, text: str) -> list[tuple[int, int]]:
        """See `Rule`."""
        places: list[tuple[int, int]] = []
        behind = None
        for start, end in phrase_spans(text):
            if behind is not None:
                places.append((behind, behind + 1))
            places += [match.span() for match in self.pattern.finditer(text, start, end)]
            behind = end
        return places


_NO_WORD = "".join(chr(code) for code in range(128) if not re.match(r"\w", chr(code)))


def _caml(word: str) -> str | None:
    return None if word.isnumeric() else word.lower()


def _laat(word: str) -> str | None:
    return word.lower() if any(character.isalpha() for character in word) else None


def _caml_or_end(word: str) -> str | None:
    return _caml(word) if word[0].isalnum() or word[0] == "_" else PHRASE_END


RULES = {
    # Mullenbach et al. 2018 and later work: underscores and digits within a word stay, so do the contents of
    # de-identification brackets; only purely numeric words are dropped.
    "caml": Rule(re.compile(r"\w+"), _caml, _NO_WORD),
    # Vu et al. 2020 (LAAT): the same words, kept only if they contain a letter; so 1_2 and _ are dropped too.
    "laat": Rule(re.compile(r"\w+"), _laat, _NO_WORD),
    # Edin et al. 2023: everything except ASCII letters and digits separates words, including the underscore. Numbers
    # between two words are dropped. Their expression requires a blank on both sides, so a number at the beginning or
    # end of the text stays. (They lowercase the text first, which turns only the Kelvin sign and the dotted capital I
    # into ASCII; this is not reproduced here.)
    "edin": Rule(
        re.compile(r"(?<![A-Za-z0-9])(?:[0-9]*+[A-Za-z][A-Za-z0-9]*|\A[0-9]++|[0-9]++\Z)"),
        str.lower,
    ),
}
PHRASE_RULES = {
    # Shi et al. 2017: the written diagnoses of a note alone; their words as caml's.
    "diagnoses": PhraseRule(re.compile(r"\w+"), _caml_or_end),
}


def rule_named(name: str) -> Rule:
    """Return a rule by its name in params.yaml.

    Raises:
        UserError: the rule is unknown.
    """
    rules = RULES | PHRASE_RULES
    if name not in rules:
        raise UserError(f"unknown tokenization rule '{name}'; {nearest(name, rules)}")
    return rules[name]


def tokenize(text: str, rule: str = "caml") -> list[str]:
    """Split a text into normalized words.

    Raises:
        UserError: the rule is unknown.
    """
    tokenizer = rule_named(rule)
    forms = (tokenizer.form(word) for word in tokenizer.words(text))
    return [form for form in forms if form is not None]


def spans(text: str, rule: str = "caml") -> list[tuple[int, int]]:
    """Return the character span (start, end) of each word of `tokenize`; the end is exclusive.

    Raises:
        UserError: the rule is unknown.
    """
    tokenizer = rule_named(rule)
    return [(start, end) for start, end in tokenizer.places(text) if tokenizer.form(text[start:end]) is not None]


def text_of(note: str, text: str, rule: str) -> str:
    """Return the text of a note that is split into subwords.

    Args:
        note: the original text.
        text: `words`: the words of the tokenization rule, joined by spaces; `raw`: the original text.
        rule: name of the tokenization rule.
    """
    return " ".join(tokenize(note, rule)) if text == "words" else note
