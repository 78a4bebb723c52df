"""Items of the families' own generators: verified by construction, of any number, nothing paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.families.family import Family
from llm_experts.families.registry import family_named
from llm_experts.families.shared.generated import Generated
from llm_experts.generation.draft import Draft
from llm_experts.generation.providers.provider import ProviderKind
from llm_experts.generation.spec import DataSpec, Topic

Key = tuple[str, int, float | None]
MOST = 16
"""Items of a published set that are had, times those that are wanted."""


class TemplateProvider:
    """Items of the part ``train`` of each topic's family; what was made once is kept."""

    name = "template"
    stopped = ""
    spent = 0.0

    def __init__(self) -> None:
        self.identity: dict[str, Any] = {}
        self._made: dict[Key, list[Example]] = {}
        self._more: dict[Key, Iterator[Example]] = {}

    def allow(self, dollars: float | None) -> None:
        """Nothing is paid."""

    def drafts(self, spec: DataSpec, topic: Topic, count: int, seed: int, start: int) -> Iterator[Draft]:
        """Items number ``start`` to ``start + count - 1`` of the family at the topic's difficulty."""
        family = family_named(topic.family)
        key = (topic.family, seed, None if family.published else topic.difficulty)
        if key not in self._made:
            self._made[key], self._more[key] = [], _walk(family, key, MOST * spec.count)
        made = self._made[key]
        made += islice(self._more[key], max(0, start + count - len(made)))
        for example in made[start : start + count]:
            yield Draft(_in_format(example, spec), topic.name, key[2])


def _walk(family: Family, key: Key, most: int) -> Iterator[Example]:
    """A family's items one after the other; at most ``most`` of a published set, which are made together."""
    _, seed, difficulty = key
    if isinstance(family.make, Generated):
        return family.make.walk("train", seed, difficulty)
    return iter(family.make("train", most, seed, difficulty))


def _in_format(example: Example, spec: DataSpec) -> Example:
    if spec.format == "chat" and isinstance(example.prompt, str):
        return replace(example, prompt=(Message("user", example.prompt),))
    return example


def _make(options: Mapping[str, Any]) -> TemplateProvider:
    if options:
        raise DataError(f"The provider template has no options, and {', '.join(options)} is given. Leave it out.")
    return TemplateProvider()


PROVIDER = ProviderKind(name="template", about="The families' own generators; offline, nothing paid.", make=_make)
