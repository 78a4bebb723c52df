"""Keywords and exclude-keywords of experts: whole words and phrases that a prompt has, each counted once.

``n`` different keywords give the log-odds ``2 * log2(1 + n) - 1``: 1 for the first, about 2.2 for two, 3 for three. The
growth is slow so that a prompt stuffed with words does not outweigh everything else. One exclude-keyword is a veto.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from serving.router.policies.phrases import PhraseIndex
from serving.router.policy import SILENT, Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query

NEGATIONS = frozenset({"without", "not", "no", "never", "avoid", "ignore", "ohne", "kein", "keine", "nicht", "sans"})
REACH = 2
"""A keyword among so many words after a negation is not counted: "without using SQL"."""

_WORTH = tuple(2 * math.log2(1 + count) - 1 for count in range(64))
Owner = tuple[str, bool]
"""An expert's name, and whether the phrase rules it out."""


def worth(count: int) -> float:
    """Log-odds of ``count`` different keywords."""
    return _WORTH[min(count, len(_WORTH) - 1)]


class KeywordPolicy:
    """Experts whose keywords a prompt has; see the module."""

    name = "keywords"

    def __init__(self, profiles: Sequence[ExpertProfile]) -> None:
        self.index: PhraseIndex[Owner] = PhraseIndex(
            (phrase, (profile.name, excluded))
            for profile in profiles
            for excluded, phrases in ((False, profile.keywords), (True, profile.exclude_keywords))
            for phrase in phrases
        )

    def scores(self, query: Query) -> Verdict:
        """Log-odds of the experts of which a keyword was found, vetoes of those that are ruled out."""
        hits = self.index.find(query.tokens)
        if not hits:
            return SILENT
        words: dict[str, list[str]] = {}
        vetoed: dict[str, str] = {}
        negated: dict[str, None] = {}
        excluding: dict[str, None] = {}
        for phrase, place, owners in hits:
            denied = place and not NEGATIONS.isdisjoint(query.tokens[max(0, place - REACH) : place])
            if denied:
                negated[phrase] = None
            for name, excluded in owners:
                if excluded:
                    excluding[phrase] = None
                    vetoed.setdefault(name, f"the prompt has {phrase!r}, which rules it out")
                elif not denied:
                    mine = words.setdefault(name, [])
                    if phrase not in mine:
                        mine.append(phrase)
        features: dict[str, Any] = {"words": words}
        if vetoed:
            features["excluding"] = list(excluding)
        if negated:
            features["negated"] = list(negated)
        return Verdict({name: worth(len(found)) for name, found in words.items()}, vetoed=vetoed, features=features)
