"""Questions that were asked before, in the same words or nearly.

Items of one kind are alike by nature: numbers and names carry the difference. Likeness of their words alone (Broder
1997) would call most of them the same, so it only finds who may be: by MinHash signatures of words in a hash table
of bands (locality-sensitive hashing; Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, ch. 3). Two items
are nearly the same question where besides

- their answers are equal,
- every word of the one, as often as it stands there, is in the other, whatever the order; the other may have a few
  more, none of which is a number, a single letter or a denial,
- numbers and single letters stand in the same order.

Another case, other punctuation and spaces, sentences in another order and a polite word more are thus repetitions;
another name, number or word is another question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, cast

from datasketch import MinHash, MinHashLSH

from llm_experts.data.example import Example
from llm_experts.data.splitting import prompt_key

_WORDS = re.compile(r"\w+", re.UNICODE)
DENIALS = frozenset(["not", "no", "never", "none", "nor", "neither", "without", "except", "nothing", "nobody", "t"])
SEED = 1


class _Known(NamedTuple):
    """What is kept of an item."""

    id: str
    words: Counter[str]
    values: tuple[str, ...]
    answer: str
    row: str


class Repeats:
    """Items that were taken, and which of them another one repeats.

    Rows of a table (``facts["row"]``) are one item each whatever they say: two people of whom the same is known are
    two. They repeat each other where they are the same row of the same family.

    Parameters
    ----------
    near : float
        Least Jaccard likeness of the words of two items that may be nearly the same.
    permutations : int
        Numbers of a signature.
    """

    def __init__(self, examples: Iterable[Example] = (), *, near: float = 0.85, permutations: int = 128) -> None:
        self.near = near
        self._first = MinHash(num_perm=permutations, seed=SEED)
        self._bands = MinHashLSH(threshold=near, num_perm=permutations)
        self._exact: dict[str, str] = {}
        self._ids: set[str] = set()
        self._known: dict[int, _Known] = {}
        for example in examples:
            self.add(example)

    def __len__(self) -> int:
        return len(self._known)

    def add(self, example: Example) -> None:
        """Take an item."""
        known = _known(example)
        self._ids.add(example.id)
        self._exact.setdefault(known.row or prompt_key(example), example.id)
        number = len(self._known)
        self._known[number] = known
        if not known.row:
            self._bands.insert(number, self._signature(known.words))

    def same(self, example: Example) -> str:
        """Id of the item whose question or row this is; "" where it is none's."""
        return self._exact.get(_row(example) or prompt_key(example), "")

    def has_id(self, example: Example) -> bool:
        """Whether an item with this id was taken."""
        return example.id in self._ids

    def nearly(self, example: Example) -> str:
        """Id of the first item that asks nearly the same; "" where none does."""
        known = _known(example)
        if known.row or not known.words:
            return ""
        for number in sorted(cast("list[int]", self._bands.query(self._signature(known.words)))):
            if self._close(known, self._known[number]):
                return self._known[number].id
        return ""

    def likeness(self, one: Example, other: Example) -> float:
        """Jaccard likeness of the words of two items, each word as often as it stands there."""
        return _jaccard(_known(one).words, _known(other).words)

    def _close(self, one: _Known, other: _Known) -> bool:
        if one.answer != other.answer or one.values != other.values:
            return False
        more, fewer = one.words - other.words, other.words - one.words
        added = more or fewer
        if (more and fewer) or not DENIALS.isdisjoint(added):
            return False
        return _jaccard(one.words, other.words) >= self.near

    def _signature(self, words: Counter[str]) -> MinHash:
        made = self._first.copy()
        made.update_batch([f"{word}\x1f{nth}".encode() for word, times in words.items() for nth in range(times)])
        return made


def nearly_repeated(examples: Iterable[Example]) -> list[tuple[str, str]]:
    """Ids of items that ask nearly what an earlier one asks, each with that of the earlier one."""
    seen, found = Repeats(), []
    for example in examples:
        first = "" if seen.same(example) else seen.nearly(example)
        if first:
            found.append((example.id, first))
        seen.add(example)
    return found


def _known(example: Example) -> _Known:
    words = _WORDS.findall(prompt_key(example))
    values = tuple(word for word in words if len(word) == 1 or any(map(str.isdigit, word)))
    return _Known(example.id, Counter(words), values, " ".join(example.completion.casefold().split()), _row(example))


def _row(example: Example) -> str:
    """Name of the table's row that an item is; "" where it is none."""
    facts = example.facts
    return f"\x1e{facts.get('family', '')}\x1f{facts['row']}" if "row" in facts else ""


def _jaccard(one: Counter[str], other: Counter[str]) -> float:
    both = (one | other).total()
    return (one & other).total() / both if both else 0.0
