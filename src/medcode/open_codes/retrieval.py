"""What the text of a note says about codes, whatever the model: features of labels, and the best unseen codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medcode.codes.formatting import category
from medcode.open_codes.codes import CodeList
from medcode.open_codes.matching import WHOLE, Matches, TermIndex
from medcode.open_codes.terms import Mentions
from medcode.open_codes.words import Sentence, beginnings

CANDIDATES = 200  # unseen codes of each system that are scored; all others have probability 0
# How much a mention of another code of its category adds to the score of an unseen code. Chosen on dev.
OF_CATEGORY = 0.5

# Names of the features, and whether a higher value must not lower the probability.
TEXT_FEATURES = {"score": True, "covered": True, "whole": True, "length": False}
MENTION_FEATURES = {"mention_score": True, "mention_covered": True, "mention_whole": True, "reliability": True}
UNSEEN_FEATURES = {
    "score": True, "share_of_best": True, "rank": True, "covered": True, "whole": True, "length": False,
    "length_odds": False, "score_of_words": True, "covered_of_words": True,
}  # fmt: skip


@dataclass(frozen=True)
class Retrieved:
    """What the text of a note says about codes.

    Attributes:
        labels: features of each label, float32 [Y, F]; those of TEXT_FEATURES, then of MENTION_FEATURES.
        numbers: the best unseen codes of each system, best first, int64 [K].
        unseen: their features, those of UNSEEN_FEATURES, float32 [K, F].
    """

    labels: np.ndarray
    numbers: dict[str, np.ndarray]
    unseen: dict[str, np.ndarray]


@dataclass(frozen=True)
class Retriever:
    """Finds codes by their terms.

    Unseen codes are found by the beginnings of words, which finds more of them; labels are scored by whole words.

    Attributes:
        codes: the codes.
        terms: their descriptions and public synonyms.
        beginnings: the same with the first letters of each word.
        mentions: of labels, in training notes; None without any.
    """

    codes: CodeList
    terms: TermIndex
    beginnings: TermIndex
    mentions: Mentions | None = None

    @cached_property
    def _category(self) -> np.ndarray:
        """The number of the category of each code, int64 [C]."""
        numbers: dict[tuple[str, str], int] = {}
        keys = ((system, category(code, system)) for system, code in self.codes.codes)
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys])

    def retrieve(self, sentences: Sequence[Sentence]) -> Retrieved:
        """Return what a note says about the codes, given its sentences."""
        text = self.terms.match(self.terms.covered(sentences))
        begun = self.beginnings.match(self.beginnings.covered([*map(beginnings, sentences)]))
        n, scores = self.codes.n_labels, begun.scores
        features = [_text_features(text, slice(n))]
        if self.mentions is not None:
            index = self.mentions.index
            covered = index.covered(sentences)
            match, is_whole = index.match(covered), index.is_whole(covered)
            reliability = np.zeros(n, np.float32)
            np.maximum.at(reliability, index.codes[is_whole], self.mentions.reliability[is_whole])
            features += [np.stack([match.scores, match.covered, match.covered >= WHOLE, reliability], axis=1)]
            scores = scores + OF_CATEGORY * self._of_category(match.scores)
        numbers, unseen = {}, {}
        for system, of_system in self.codes.unseen.items():
            best = of_system[np.argsort(-scores[of_system], kind="stable")[:CANDIDATES]]
            numbers[system] = best
            unseen[system] = self._unseen_features(text, begun, scores, best)
        return Retrieved(np.concatenate(features, axis=1).astype(np.float32), numbers, unseen)

    def _of_category(self, scores: np.ndarray) -> np.ndarray:
        """Return the highest score of a label in the category of each code, float32 [C]."""
        best = np.zeros(self._category.max() + 1, np.float32)
        np.maximum.at(best, self._category[: len(scores)], scores)
        return best[self._category]

    def _unseen_features(self, text: Matches, begun: Matches, scores: np.ndarray, best: np.ndarray) -> np.ndarray:
        share = scores[best] / max(float(scores[best[0]]), 1e-6)
        rank = -np.log1p(np.arange(len(best)))
        _, *of_match = _text_features(begun, best).T
        columns = [scores[best], share, rank, *of_match, self.codes.length_odds[best]]
        return np.stack([*columns, text.scores[best], text.covered[best]], axis=1).astype(np.float32)


def _text_features(text: Matches, chosen: slice | np.ndarray) -> np.ndarray:
    """Return score, share of the best term that is covered, whether all of it is, and its length, float32 [n, 4]."""
    covered = text.covered[chosen]
    return np.stack([text.scores[chosen], covered, covered >= WHOLE, np.log1p(text.lengths[chosen])], axis=1)
