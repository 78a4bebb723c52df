"""Token sequences that begin alike, packed as a trunk with several tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

_LONGEST = 512  # tokens of a shared sequence: attention costs the square


@dataclass(frozen=True)
class Pack:
    """One sequence for the model that serves several token sequences.

    Attributes
    ----------
    ids : list of int
        Start token, the tokens that all members share (the trunk), then each member's own tokens (its tail).
    positions : list of int
        Position of each token in its own member.
    branch : list of int
        0 for the trunk, k for the k-th tail: a token sees the trunk and its own tail.
    asked : list of (place, token)
        Distinct questions: log-probability of ``token`` after the token at ``place`` of ``ids``.
    members : dict of token sequence -> list of (place, token)
        The questions that make up each member's answer, in reading order.
    """

    ids: list[int]
    positions: list[int]
    branch: list[int]
    asked: list[tuple[int, int]] = field(default_factory=list)
    members: dict[tuple[int, ...], list[tuple[int, int]]] = field(default_factory=dict)


def pack(wanted: Mapping[tuple[int, ...], int], begin: int, *, share: bool) -> list[Pack]:
    """Packs that answer all sequences.

    Parameters
    ----------
    wanted : mapping of token sequence -> index
        Distinct sequences, each with the index of the first token to be scored.
    begin : int
        Start token, put in front of every sequence.
    share : bool
        Whether sequences may share a trunk; else one pack per sequence.
    """
    ordered = sorted(wanted)
    groups = _groups(ordered) if share else [[sequence] for sequence in ordered]
    return [_packed(group, wanted, begin) for group in groups]


def _groups(ordered: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Neighbours in lexical order, joined as long as a longer group saves more tokens than a shorter trunk costs."""
    groups: list[list[tuple[int, ...]]] = []
    trunk = total = 0
    for before, sequence in pairwise([(), *ordered]):
        common = min(trunk, _common(before, sequence))
        size = len(groups[-1]) if groups else 0
        saves = size * common > (size - 1) * trunk and common >= len(sequence) // 4
        if size and saves and total + len(sequence) - size * common <= _LONGEST:
            groups[-1].append(sequence)
            trunk, total = common, total + len(sequence)
        else:
            groups.append([sequence])
            trunk, total = len(sequence), len(sequence)
    return groups


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Length of the longest common beginning."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def _packed(group: list[tuple[int, ...]], wanted: Mapping[tuple[int, ...], int], begin: int) -> Pack:
    trunk = min((_common(group[0], sequence) for sequence in group), default=0)
    p = Pack([begin, *group[0][:trunk]], list(range(trunk + 1)), [0] * (trunk + 1))
    asked: dict[tuple[int, int], None] = {}
    for number, sequence in enumerate(group, start=1):
        tail = len(p.ids)  # place of the tail's first token
        p.ids.extend(sequence[trunk:])
        p.positions.extend(range(trunk + 1, len(sequence) + 1))
        p.branch.extend([number] * (len(sequence) - trunk))
        # token i is predicted at the place of token i - 1: the trunk's places are 1 + index, a tail's start at `tail`
        places = [i if i <= trunk else tail + i - trunk - 1 for i in range(len(sequence))]
        p.members[sequence] = [(places[i], sequence[i]) for i in range(wanted[sequence], len(sequence))]
        asked.update(dict.fromkeys(p.members[sequence]))
    p.asked.extend(asked)
    return p
