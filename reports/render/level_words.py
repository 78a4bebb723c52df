"""What is said about fairness levels, on the page and in the markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foundation.words import plural
from reports.levels.contenders import Contender
from reports.levels.levels import Levels
from reports.render.finds_words import finds_words
from reports.stats.contrasts import Pooled

WORDS = {"any": "any", "half": "≤ ½ unmitigated", "quarter": "≤ ¼ unmitigated"}


def level_words(level: str) -> str:
    """``≤ 0.05``, or which share of the unmitigated gap."""
    return WORDS.get(level, f"≤ {level}")


def nobody_words(unknown: int) -> str:
    """Who wins a level that no method is known to reach; ``unknown`` methods failed or have no gap."""
    if not unknown:
        return "none but a constant answer"
    who = "1 method failed or has" if unknown == 1 else f"{unknown} methods failed or have"
    return f"not known: {who} no gap that can be estimated"


PHRASES = {
    "better": "surely better than",
    "worse": "surely worse than",
    "not separable": "not separable from",
    "identical": "identical to",
    "one split": "seen on one split only beside",
}


def standing_sentences(found: Levels, mixture: Contender) -> list[tuple[str, str]]:
    """(levels, sentence) on a mixture's standing: what is established and what is not; levels that agree are one line.

    Examples
    --------
    ``("≤ 0.05", "surely better than FairGNN; not separable from LightGBM + thresholds (6 tasks)")``
    """
    lines = []
    for level in found.levels:
        differences = {
            rival: found.standing[mixture.id, rival.id, level]
            for rival in found.rivals(mixture)
            if (mixture.id, rival.id, level) in found.standing
        }
        if differences:
            lines.append((level_words(level), _sentence(differences)))
    return _merged(lines)


def _sentence(differences: Mapping[Contender, Pooled]) -> str:
    tasks = {d.tasks for d in differences.values()}
    parts = [
        f"{words} " + ", ".join(_with_tasks(r, d, len(tasks) > 1) for r, d in differences.items() if d.verdict == word)
        for word, words in PHRASES.items()
        if any(d.verdict == word for d in differences.values())
    ]
    end = f" ({_tasks(tasks.pop())})" if len(tasks) == 1 else ""
    return "; ".join(parts) + end


def _with_tasks(rival: Contender, difference: Pooled, differ: bool) -> str:
    said = [_tasks(difference.tasks)] if differ else []
    said += [words] if (words := finds_words(difference)) else []
    return f"{rival.label} ({', '.join(said)})" if said else rival.label


def _tasks(n: int) -> str:
    return plural(n, "task")


def _merged(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Lines with the same words become one, under all their levels."""
    words = dict.fromkeys(text for _, text in lines)
    return [(", ".join(level for level, own in lines if own == text), text) for text in words]


def gained_sentences(found: Levels) -> list[tuple[str, str]]:
    """(levels, how many methods thresholds improve there, surely)."""
    return _merged([(level_words(level), said) for level in found.levels if (said := gained_sentence(found, level))])


def gained_sentence(found: Levels, level: str) -> str:
    """How many methods thresholds improve at a level, surely; empty without a comparison."""
    own = [d for (_, at), d in found.gained.items() if at == level]
    if not own:
        return ""
    up, down = (sum(d.verdict == word for d in own) for word in ("better", "worse"))
    left = len(own) - up - down
    return f"of {plural(len(own), 'method')}, thresholds surely raise {up}, surely lower {down}, and {left} are open"
