"""Items of the families' own generators: verified by construction, of any number, nothing paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.families.family import Family
from llm_experts.families.registry import family_named
from llm_experts.generation.draft import Draft
from llm_experts.generation.providers.provider import ProviderKind
from llm_experts.generation.spec import DataSpec, Topic

Key = tuple[str, int, float | None]
MOST = 16
"""Items of a published set that are had, times those that are wanted."""


class TemplateProvider:
    """Items of the part ``train`` of each topic's family.

    Items that were made once are kept, because a family makes its first n items again for every n.
    """

    name = "template"
    stopped = ""
    spent = 0.0

    def __init__(self) -> None:
        self.identity: dict[str, Any] = {}
        self._made: dict[Key, Sequence[Example]] = {}
        self._all: set[Key] = set()

    def allow(self, dollars: float | None) -> None:
        """Nothing is paid."""

    def drafts(self, spec: DataSpec, topic: Topic, count: int, seed: int, start: int) -> Iterator[Draft]:
        """Items number ``start`` to ``start + count - 1`` of the family at the topic's difficulty."""
        family = family_named(topic.family)
        key = (topic.family, seed, None if family.published else topic.difficulty)
        self._fill(family, key, start + count, MOST * spec.count)
        for example in self._made.get(key, ())[start : start + count]:
            yield Draft(_in_format(example, spec), topic.name, key[2])

    def _fill(self, family: Family, key: Key, count: int, most: int) -> None:
        """Have the first ``count`` items, or all where there are fewer; of a published set ``most``."""
        known = len(self._made.get(key, ()))
        if known >= count or key in self._all:
            return
        if family.published:  # at once: of some, the first of more are not the first of fewer
            self._made[key] = family.make("train", most, key[1], None)
            self._all.add(key)
            return
        try:
            self._made[key] = family.make("train", max(count, 2 * known), key[1], key[2])
        except DataError:
            self._made[key] = _as_many_as_there_are(family, key, known, count)
            if len(self._made[key]) < count:
                self._all.add(key)


def _as_many_as_there_are(family: Family, key: Key, known: int, count: int) -> Sequence[Example]:
    """The most items that a family makes, at most ``count``, found by bisection from those ``known``."""
    low, high = known, count + 1
    found: Sequence[Example] = family.make("train", known, key[1], key[2])
    while high - low > 1:
        middle = (low + high) // 2
        try:
            found, low = family.make("train", middle, key[1], key[2]), middle
        except DataError:
            high = middle
    return found


def _in_format(example: Example, spec: DataSpec) -> Example:
    if spec.format == "chat" and isinstance(example.prompt, str):
        return replace(example, prompt=(Message("user", example.prompt),))
    return example


def _make(options: Mapping[str, Any]) -> TemplateProvider:
    if options:
        raise DataError(f"The provider template has no options, and {', '.join(options)} is given. Leave it out.")
    return TemplateProvider()


PROVIDER = ProviderKind(name="template", about="The families' own generators; offline, nothing paid.", make=_make)
