"""Why a prompt goes where it goes, and the smallest change that would send it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from serving.router.chain import Decision
from serving.router.config import RouterConfig
from serving.router.outcomes import BASE
from serving.router.policies.priority import SPAN
from serving.router.profile import ExpertProfile
from serving.router.query import Query, tokens

TOGETHER = 3
"""Words that are left out together at most, in search of a change."""
TRIED = 200
"""Prompts that are tried at most."""

Decide = Callable[[Query], Decision]


def why(decision: Decision) -> tuple[str, str]:
    """One sentence, and the policy that weighed most."""
    if decision.tally.decided is not None:
        policy, reason = decision.tally.decided
        return f"The base answers: {reason}.", policy
    if not decision.names:
        policy = "abstention" if decision.abstained else "none"
        return f"The base answers: {decision.reason}.", policy
    chosen = next(name for name in decision.margins if decision.choice.experts.get(name) == name)
    parts = decision.tally.parts(chosen)
    policy = max(parts, key=lambda name: (parts[name], name))
    spoken = ", ".join(f"{name} {value:+.2f}" for name, value in parts.items())
    against = f", base {decision.tally.base:+.2f}" if decision.tally.base else ""
    words = _words(decision, chosen)
    seen = f" (words {', '.join(map(repr, words))})" if words else ""
    return f"{' and '.join(decision.names)}: log-odds of {chosen} {spoken}{against}{seen}.", policy


def counterfactual(
    decide: Decide, query: Query, decision: Decision, profiles: Mapping[str, ExpertProfile], config: RouterConfig
) -> str:
    """The smallest change that would change the choice: words left out, a priority, or a word that is missing."""
    found = [_without_words(decide, query, decision), _other_priority(decision, profiles, config)]
    sentences = [sentence for sentence in found if sentence]
    if not sentences and not decision.margins:
        sentences = _missing_word(decide, query, decision, profiles)
    return " ".join(sentences) or "No small change of words or priorities would change the choice."


def _without_words(decide: Decide, query: Query, decision: Decision) -> str:
    words = _all_words(decision)
    if decision.tally.decided is not None:
        words = list(dict.fromkeys(query.tokens))
    for left_out in _sets(words):
        other = decide(query.without(frozenset(word for phrase in left_out for word in tokens(phrase))))
        if other.names != decision.names:
            return f"Without {_quoted(left_out)} {_answers(other)}."
    return ""


def _other_priority(decision: Decision, profiles: Mapping[str, ExpertProfile], config: RouterConfig) -> str:
    """The priority that would put the best of the others first, or lift it over the base."""
    weight = config.weights.get("priority", 1.0) * SPAN
    if "priority" not in config.order or weight == 0:
        return ""
    rivals = [name for name in decision.margins if name not in decision.names and name not in decision.choice.refused]
    if not rivals:
        return ""
    rival = rivals[0]
    least = max(0.0, max((decision.margins[name] for name in decision.names), default=0.0))
    needed = profiles[rival].priority + (least - decision.margins[rival]) / weight
    if needed >= 1:
        return ""
    what = "be first" if decision.names else "answer"
    return (
        f"The priority of {rival} would have to be above {needed:.2f} (it is {profiles[rival].priority:g}) to {what}."
    )


def _missing_word(decide: Decide, query: Query, decision: Decision, profiles: Mapping[str, ExpertProfile]) -> list[str]:
    """A keyword that would bring an expert in, tried on the first few."""
    for name, profile in list(profiles.items())[:8]:
        for word in profile.keywords[:1]:
            more = Query(query.text, None, (*query.tokens, *Query(word).tokens))
            other = decide(more)
            if other.names != decision.names:
                return [f"With the word {word!r} of {name}, for instance, {_answers(other)}."]
    return []


def _sets(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Sets of words, the small ones first."""
    tried = 0
    for size in range(1, TOGETHER + 1):
        for one in combinations(words, size):
            tried += 1
            if tried > TRIED:
                return
            yield one
    if len(words) > TOGETHER:
        yield tuple(words)


def _all_words(decision: Decision) -> list[str]:
    """Words that policies of words saw, those that ruled experts out among them."""
    found: dict[str, None] = {}
    for features in decision.tally.features.values():
        for words in features.get("words", {}).values():
            found |= dict.fromkeys(words)
        found |= dict.fromkeys(features.get("negated", ()))
        found |= dict.fromkeys(features.get("excluding", ()))
    return list(found)


def _words(decision: Decision, name: str) -> list[str]:
    found: dict[str, None] = {}
    for features in decision.tally.features.values():
        found |= dict.fromkeys(features.get("words", {}).get(name, ()))
    return list(found)


def _answers(decision: Decision) -> str:
    names = decision.names or (BASE,)
    verb = "answers" if len(names) == 1 else "answer"
    return f"{'the base' if names == (BASE,) else ' and '.join(names)} {verb}"


def _quoted(words: tuple[str, ...]) -> str:
    quoted = [repr(word) for word in words]
    if len(quoted) == 1:
        return f"the word {quoted[0]}"
    return f"the words {', '.join(quoted[:-1])} and {quoted[-1]}"
