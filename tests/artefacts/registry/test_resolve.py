"""The straight way through requirements finds what the search finds, and is left where the search would turn back."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import cast

import pytest
from resolvelib import BaseReporter, ResolutionImpossible, Resolver

from artefacts.registry.choosing import resolve as choosing
from artefacts.registry.choosing.candidates import Candidates, Rules
from artefacts.registry.choosing.resolve import Requirement, resolve
from artefacts.registry.error import RegistryError
from artefacts.registry.index import Index
from artefacts.registry.release import Needs, Release

RANGES = ("*", "^1", "<2", ">=1.1", "2.x", "==1.0.0")


@dataclass
class Lines:
    """An index without files."""

    needs: dict[tuple[str, str], Needs]
    name: str = "lines"
    asked: list[str] = field(default_factory=list)

    def releases(self, name: str) -> list[Release]:
        """The versions of a name."""
        self.asked.append(name)
        return [
            Release(name, version, "0" * 64, "0" * 64, 1, "files/x", "key", needs)
            for (other, version), needs in self.needs.items() if other == name
        ]  # fmt: skip

    def names(self) -> list[str]:
        """All names."""
        return sorted({name for name, _ in self.needs})


def of(lines: Lines) -> Candidates:
    return Candidates([cast(Index, lines)], Rules())


def world(seed: int) -> tuple[list[Requirement], Lines]:
    """Names in three levels, each requiring or forbidding some of the next ones."""
    random = Random(seed)
    needs = {}
    for level in range(3):
        below = [f"n{level + 1}{other}" for other in range(3)] if level < 2 else []
        for number in range(3):
            for version in random.sample(("1.0.0", "1.1.0", "2.0.0"), random.randint(2, 3)):
                wanted = {name: random.choice(RANGES) for name in below if random.random() < 0.4}
                against = {name: random.choice(RANGES) for name in below if random.random() < 0.05}
                needs[f"n{level}{number}", version] = Needs(wanted, against)
    return [Requirement(f"n0{number}", random.choice(RANGES[:3])) for number in range(2)], Lines(needs)


def test_both_ways_find_the_same() -> None:
    straight, turned = 0, 0
    for seed in range(400):
        wanted, lines = world(seed)
        found = choosing._straight(wanted, choosing._Provider(of(lines)))
        try:
            searched = dict(Resolver(choosing._Provider(of(lines)), BaseReporter()).resolve(wanted).mapping)
        except ResolutionImpossible:
            searched = None
        if found is None:
            turned += searched is not None
            continue
        assert searched is not None
        assert found == {name: one for name, one in searched.items() if one.version is not None}
        straight += 1
    assert straight > 100 and turned > 10  # both were tried


def test_every_name_of_a_large_closure_is_looked_up_once() -> None:
    """Not in steps that grow with the square of it."""
    count = 1_500
    lines = Lines({
        (f"n{number:04}", "1.0.0"): Needs({f"n{child:04}": "^1" for child in range(4 * number + 1, 4 * number + 5)
                                           if child < count})
        for number in range(count)
    })  # fmt: skip
    assert len(resolve([Requirement("n0000")], of(lines))) == count
    assert len(lines.asked) == count


def test_more_names_than_make_sense_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "ROUNDS", 20)
    lines = Lines({(f"n{number:02}", "1.0.0"): Needs() for number in range(30)})
    with pytest.raises(RegistryError, match="20 steps") as error:
        resolve([Requirement(f"n{number:02}") for number in range(30)], of(lines))
    assert error.value.reason == "too-deep"
