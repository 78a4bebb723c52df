"""The answer in plain sentences, from the pooled verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from reports.names import HEADLINE, metric_name
from reports.render.finds_words import finds_words
from reports.stats.contrasts import Pooled
from reports.summary import Report

UNNAMED = "This run wrote no methods.json, because it is older than it: methods are called by their ids."

PHRASES = {
    "better": "surely better than",
    "worse": "surely worse than",
    "not separable": "not separable from",
    "identical": "identical to",
}
"""Verdicts that say something, in the order of the sentence, and how they continue."""


def answers(report: Report, mixture: str = "mixture") -> list[tuple[str, str]]:
    """(metric, sentence) for the headline metrics on which a mixture was compared.

    Examples
    --------
    ``("utility", "surely better than the uniform mixture; not separable from LightGBM (finds ≥ 0.012)")``
    """
    found = []
    for metric in HEADLINE:
        own = {b: p for (a, b, m), p in report.pooled.items() if a == mixture and m == metric}
        verdicts = {b: p.verdict for b, p in own.items()}
        said = [(word, words) for word, words in PHRASES.items() if word in verdicts.values()]
        parts = [f"{words} {_listing(report, own, word)}" for word, words in said]
        if parts:
            found.append((metric_name(metric), "; ".join(parts)))
    return found


def _listing(report: Report, pooled: dict[str, Pooled], word: str) -> str:
    """Names, and what could have been found where nothing was."""
    return _join([f"{report.label(b)}{_finds(p)}" for b, p in pooled.items() if p.verdict == word])


def _finds(difference: Pooled) -> str:
    words = finds_words(difference)
    return f" ({words})" if words else ""


def _join(names: Sequence[str]) -> str:
    """``a, b and c``, with a lower-case first letter but for abbreviations."""
    words = [in_a_sentence(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def in_a_sentence(name: str) -> str:
    """A name with a lower-case first letter, unless it begins with an abbreviation or a name like LightGBM."""
    return name if any(c.isupper() for c in name.split()[0][1:]) else name[0].lower() + name[1:]


def first_layer(start: int) -> str:
    """Words for the first layer that adapters change; negative ones count from the end."""
    if start < 0:
        return "the last" if start == -1 else f"{-start} before the end"
    return "the first: all layers" if start == 0 else f"number {start + 1}"
