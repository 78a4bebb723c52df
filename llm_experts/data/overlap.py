"""What a set that is examined has in common with a set that was learnt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llm_experts.data.example import Example
from llm_experts.data.splitting import prompt_key

_WORDS = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True)
class Overlap:
    """Contamination of an examination.

    Attributes
    ----------
    n : int
        Words of an n-gram.
    items : int
        Items of the examination.
    same_prompts : tuple of str
        Ids of those whose prompt was learnt.
    shares : tuple of float
        [items] share of an item's n-grams that occur in what was learnt.
    flagged : tuple of str
        Ids of those with a share of at least ``threshold``.
    threshold : float
    """

    n: int
    items: int
    same_prompts: tuple[str, ...]
    shares: tuple[float, ...]
    flagged: tuple[str, ...]
    threshold: float

    @property
    def clean(self) -> bool:
        """Whether no item was learnt as it stands and none is flagged."""
        return not self.same_prompts and not self.flagged

    def described(self) -> str:
        """One sentence for reports."""
        return (
            f"{len(self.same_prompts)} of {self.items} prompts were learnt as they stand; {len(self.flagged)} items "
            f"share at least {self.threshold:.0%} of their {self.n}-grams with what was learnt"
        )


class Learnt:
    """A set that others are compared with: its prompts and its n-grams of words.

    Parameters
    ----------
    examples : sequence of Example
    n : int
        Words of an n-gram.
    """

    def __init__(self, examples: Iterable[Example], *, n: int = 13) -> None:
        self.n = n
        self._grams: set[tuple[str, ...]] = set()
        self._prompts: set[str] = set()
        for example in examples:
            self._grams.update(_grams(example, n))
            self._prompts.add(prompt_key(example))

    def has_prompt(self, example: Example) -> bool:
        """Whether an item with the same prompt is in the set."""
        return prompt_key(example) in self._prompts

    def share(self, example: Example) -> float:
        """Share of the item's n-grams that occur in the set."""
        return _share(_grams(example, self.n), self._grams)


def overlap(learnt: Sequence[Example], examined: Sequence[Example], *, n: int = 13, threshold: float = 0.8) -> Overlap:
    """How much of an examination was learnt: equal prompts, and n-grams of words (n = 13: Brown et al. 2020).

    Words are compared without case and punctuation, of prompt and answer together. An item with fewer than ``n``
    words is compared as a whole. Generated families repeat the sentences of their templates, so a high share of
    n-grams says little there; equal prompts do.
    """
    known = Learnt(learnt, n=n)
    shares = tuple(known.share(example) for example in examined)
    return Overlap(
        n,
        len(examined),
        tuple(example.id for example in examined if known.has_prompt(example)),
        shares,
        tuple(example.id for example, share in zip(examined, shares, strict=True) if share >= threshold),
        threshold,
    )


def repeated(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """Ids of items with the same prompt and the same answers, two or more each."""
    groups: dict[tuple[str, str, str | None], list[str]] = {}
    for example in examples:
        groups.setdefault((prompt_key(example), example.completion, example.rejected), []).append(example.id)
    return [tuple(ids) for ids in groups.values() if len(ids) > 1]


def _grams(example: Example, n: int) -> list[tuple[str, ...]]:
    asked = example.prompt
    text = asked if isinstance(asked, str) else "\n".join(turn.content for turn in asked)
    words = _WORDS.findall(f"{text}\n{example.completion}".casefold())
    if len(words) <= n:
        return [tuple(words)] if words else []
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def _share(grams: Sequence[tuple[str, ...]], known: set[tuple[str, ...]]) -> float:
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0
