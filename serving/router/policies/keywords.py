"""Keywords and exclude-keywords of experts: whole words and phrases that a prompt has, each counted once.

``n`` different keywords give the log-odds ``2 * log2(1 + n) - 1``: 1 for the first, about 2.2 for two, 3 for three. The
growth is slow so that a prompt stuffed with words does not outweigh everything else. One exclude-keyword is a veto.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from serving.router.policies.phrases import Hit, PhraseIndex
from serving.router.policy import SILENT, Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query

NEGATIONS = frozenset({"without", "not", "no", "never", "avoid", "ignore", "ohne", "kein", "keine", "nicht", "sans"})
REACH = 2
"""A keyword among so many words after a negation is not counted: "without using SQL"."""

Counted = tuple[dict[str, tuple[str, ...]], dict[str, float]]
"""Keywords that were found, and what they are worth, by expert."""
MANY = 48
"""What a phrase of more owners than this says by itself is kept."""

_WORTH = tuple(2 * math.log2(1 + count) - 1 for count in range(64))


def worth(count: int) -> float:
    """Log-odds of ``count`` different keywords."""
    return _WORTH[min(count, len(_WORTH) - 1)]


class KeywordPolicy:
    """Experts whose keywords a prompt has; see the module."""

    name = "keywords"

    def __init__(self, profiles: Sequence[ExpertProfile]) -> None:
        self.index: PhraseIndex[str] = PhraseIndex((word, one.name) for one in profiles for word in one.keywords)
        self.excluding: PhraseIndex[str] = PhraseIndex(
            (word, one.name) for one in profiles for word in one.exclude_keywords
        )
        self._kept: dict[str, Counted] = {}

    def scores(self, query: Query) -> Verdict:
        """Log-odds of the experts of which a keyword was found, vetoes of those that are ruled out."""
        hits, against = self.index.find(query.tokens), self.excluding.find(query.tokens)
        if not hits and not against:
            return SILENT
        negated = dict.fromkeys(phrase for phrase, place, _ in (*hits, *against) if _denied(query, place))
        words, scores = self._counted(query, hits)
        features: dict[str, Any] = {"words": words}
        if negated:
            features["negated"] = list(negated)
        if not against:
            return Verdict(scores, features=features)
        vetoed: dict[str, str] = {}
        for phrase, _, names in against:
            vetoed = dict.fromkeys(names, f"the prompt has {phrase!r}, which rules it out") | vetoed
        features["excluding"] = list(dict.fromkeys(phrase for phrase, _, _ in against))
        return Verdict(scores, vetoed=vetoed, features=features)

    def _counted(self, query: Query, hits: Sequence[Hit[str]]) -> Counted:
        """Keywords of each expert that has some, and what they are worth; one that many share costs little more."""
        counted = {phrase: names for phrase, place, names in hits if not _denied(query, place)}
        words: dict[str, tuple[str, ...]] = {}
        scores: dict[str, float] = {}
        for phrase, names in sorted(counted.items(), key=lambda pair: len(pair[1]), reverse=True):
            if not words:
                words, scores = self._alone(phrase, names)
                continue
            for name in names:
                words[name] = mine = (*words.get(name, ()), phrase)
                scores[name] = worth(len(mine))
        return words, scores

    def _alone(self, phrase: str, names: tuple[str, ...]) -> Counted:
        """What one keyword says: to copy a dictionary is much faster than to make it."""
        if len(names) <= MANY:
            return dict.fromkeys(names, (phrase,)), dict.fromkeys(names, worth(1))
        if phrase not in self._kept:
            self._kept[phrase] = dict.fromkeys(names, (phrase,)), dict.fromkeys(names, worth(1))
        words, scores = self._kept[phrase]
        return words.copy(), scores.copy()


def _denied(query: Query, place: int) -> bool:
    return place > 0 and not NEGATIONS.isdisjoint(query.tokens[max(0, place - REACH) : place])
