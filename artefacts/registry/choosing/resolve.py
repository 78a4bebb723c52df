"""Which versions go together: one version of each name, every range kept, in the order in which they must come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from artefacts.format.names import Range
from artefacts.registry.choosing.candidates import Candidate, Candidates
from artefacts.registry.choosing.words import conflict
from artefacts.registry.error import RegistryError

ROUNDS = 2_000
"""Choices after which a search is given up: ten times those of any set of experts that makes sense."""


@dataclass(frozen=True)
class Requirement:
    """A range of versions that a name must have, or (``negated``) must not have.

    Attributes
    ----------
    name : str
    range : str
        As it was written.
    negated : bool
        Absent will do.
    """

    name: str
    range: str = "*"
    negated: bool = False


def resolve(requirements: Sequence[Requirement], candidates: Candidates) -> list[Candidate]:
    """Choose one version of every name that is needed.

    Parameters
    ----------
    requirements : sequence of Requirement
        What the user asks for, now and before.
    candidates : Candidates

    Returns
    -------
    list of Candidate
        Each after what it requires.

    Raises
    ------
    RegistryError
        ``unknown-name``, ``yanked``, ``downgrade``, ``version-conflict``, ``cyclic-requires``, ``chain-too-long``,
        ``wrong-base``, ``too-deep``.
    """
    provider = _Provider(candidates)
    found = _straight(requirements, provider)
    if found is None:
        try:
            found = dict(Resolver(provider, BaseReporter()).resolve(requirements, max_rounds=ROUNDS).mapping)
        except ResolutionImpossible as error:
            causes = [(cause.requirement, cause.parent) for cause in error.causes]
            raise conflict(causes, candidates) from error
        except ResolutionTooDeep as error:
            raise _too_deep() from error
    chosen = {name: candidate for name, candidate in found.items() if candidate.version is not None}
    ordered = [chosen[name] for name in order({name: c.needs.requires for name, c in chosen.items()})]
    _check_chains(ordered)
    _check_bases(chosen)
    return ordered


def _straight(requirements: Sequence[Requirement], provider: _Provider) -> dict[str, Candidate] | None:
    """What the search finds where it never takes a choice back; None where it would have to.

    The search looks at all names in each of its rounds; this looks at each name once, in the search's order: those that
    are wanted by the alphabet, each as its preferred candidate.
    """
    asked: defaultdict[str, list[Requirement]] = defaultdict(list)
    chosen: dict[str, Candidate] = {}
    names: list[str] = []
    new: Sequence[Requirement] = requirements
    while True:
        for one in new:
            asked[one.name].append(one)
            if one.name in chosen and not provider.is_satisfied_by(one, chosen[one.name]):
                return None
            if not one.negated:
                heappush(names, one.name)
        while names and names[0] in chosen:
            heappop(names)
        if not names:
            return chosen
        if len(chosen) == ROUNDS:
            raise _too_deep()
        name = heappop(names)
        matches = provider.find_matches(name, {name: iter(asked[name])}, {name: iter(())})
        if not matches:
            return None
        chosen[name] = matches[0]
        new = provider.get_dependencies(matches[0])


def _too_deep() -> RegistryError:
    return RegistryError(
        "too-deep", f"No set of versions was found in {ROUNDS} steps. Ask for narrower ranges, or for fewer names."
    )


def order(requires: Mapping[str, Iterable[str]]) -> list[str]:
    """Names, each after those that it requires, otherwise by the alphabet.

    Raises
    ------
    RegistryError
        ``cyclic-requires``, naming the circle.
    """
    sorter = TopologicalSorter({name: sorted(requires[name]) for name in sorted(requires)})
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " requires ".join(reversed(error.args[1]))
        raise RegistryError(
            "cyclic-requires",
            f"These packages require each other in a circle: {circle}. One of them must be published without that "
            "requirement; nothing was changed.",
        ) from error


def _check_chains(ordered: Sequence[Candidate]) -> None:
    length: dict[str, int] = {}
    for candidate in ordered:
        length[candidate.name] = 1 + max((length[name] for name in candidate.needs.requires), default=0)
        if length[candidate.name] > candidate.needs.max_chain:
            raise RegistryError(
                "chain-too-long",
                f"{candidate} ends a chain of {length[candidate.name]} packages that require each other; it may end "
                f"one of {candidate.needs.max_chain}.",
            )


def _check_bases(chosen: Mapping[str, Candidate]) -> None:
    for candidate in chosen.values():
        for name in candidate.needs.requires:
            bases = candidate.needs.base, chosen[name].needs.base
            if all(bases) and bases[0] != bases[1]:
                raise RegistryError(
                    "wrong-base",
                    f"{candidate} was trained on the base model with weights {bases[0][:16]}…, but {chosen[name]}, "
                    f"which it requires, on {bases[1][:16]}…: they cannot work together. Choose versions of one base.",
                )


class _Provider(AbstractProvider[Requirement, Candidate, str]):
    """Answers of the candidates to the search of resolvelib."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._inside: dict[tuple[str, int], bool] = {}

    def identify(self, requirement_or_candidate: Requirement | Candidate) -> str:
        """Its name."""
        return requirement_or_candidate.name

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],  # noqa: ARG002
        candidates: Mapping[str, Iterator[Candidate]],  # noqa: ARG002
        information: Mapping[str, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> tuple[bool, bool, str]:
        """Names that only must not be there come last; causes of the last conflict first."""
        unwanted = all(found.requirement.negated for found in information[identifier])
        blamed = any(cause.requirement.name == identifier for cause in backtrack_causes)
        return unwanted, not blamed, identifier

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Requirement]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> list[Candidate]:
        """Candidates within all ranges, the preferred one first; absent, when no requirement wants the name."""
        wanted, refused = list(requirements[identifier]), set(incompatibilities[identifier])
        found = self._candidates.of(identifier)
        if all(requirement.negated for requirement in wanted):
            found = [Candidate(identifier, None)]
        return [
            candidate
            for candidate in found
            if candidate not in refused and all(self.is_satisfied_by(one, candidate) for one in wanted)
        ]

    def is_satisfied_by(self, requirement: Requirement, candidate: Candidate) -> bool:
        """Whether a version is in the range, or must not be."""
        if candidate.version is None:
            return requirement.negated
        asked = requirement.range, id(candidate)  # asked thousands of times; the candidates outlive the search
        if asked not in self._inside:
            self._inside[asked] = candidate.version in Range.parse(requirement.range)
        return self._inside[asked] != requirement.negated

    def get_dependencies(self, candidate: Candidate) -> list[Requirement]:
        """What it requires, and what must not be there."""
        needs = candidate.needs
        return [
            *(Requirement(name, text) for name, text in needs.requires.items()),
            *(Requirement(name, text, negated=True) for name, text in needs.incompatible.items()),
        ]
