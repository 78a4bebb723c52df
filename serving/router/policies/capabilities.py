"""Capabilities of experts that a prompt names: half a point each, beside what keywords say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from serving.router.policies.phrases import PhraseIndex
from serving.router.policy import SILENT, Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query, tokens

BONUS = 0.5
"""Log-odds of each capability that is named and is no keyword of the expert."""

_LAST_PART = re.compile(r"[^:/]+$")


class CapabilityPolicy:
    """Experts of which a prompt names a capability: ``language:german`` is named by "german".

    A capability that is also a keyword counts as a keyword only. It shifts experts that other policies propose and
    proposes none: "German" in a prompt alone is no reason to leave the base.
    """

    name = "capabilities"

    def __init__(self, profiles: Sequence[ExpertProfile]) -> None:
        self.index: PhraseIndex[str] = PhraseIndex(
            (phrase, profile.name) for profile in profiles for phrase in _phrases(profile)
        )

    def scores(self, query: Query) -> Verdict:
        """Half a point for every capability named."""
        words: dict[str, list[str]] = {}
        for phrase, _, owners in self.index.find(query.tokens):
            for name in owners:
                mine = words.setdefault(name, [])
                if phrase not in mine:
                    mine.append(phrase)
        if not words:
            return SILENT
        return Verdict(shifts={name: BONUS * len(found) for name, found in words.items()}, features={"words": words})


def _phrases(profile: ExpertProfile) -> list[str]:
    known = {tokens(word) for word in profile.keywords}
    parts = [found[0] for word in profile.capabilities if (found := _LAST_PART.search(word))]
    return [part for part in parts if tokens(part) and tokens(part) not in known]
