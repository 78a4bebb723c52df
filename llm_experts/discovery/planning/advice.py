"""A language model's advice on how to group domains: asked, read, compared, and followed only if one says so."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from foundation.numbers import finite_dict
from llm_experts.discovery.measuring.capability import CapabilityReport
from llm_experts.discovery.planning.clusters import FEWEST, MOST, labels_of, rand_index
from llm_experts.search.guiding.guidance import AdviceError, Advisor

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PlanAdvice:
    """What a model advised.

    Attributes
    ----------
    asked, followed : bool
    text : str
        Its answer.
    groups : tuple of tuple of str
        Domains of each expert that it names; empty where nothing could be read.
    reason : str
        Why nothing could be read; "" where it could.
    agreement : float or None
        Adjusted Rand index of its grouping and the measured one: 1 the same, 0 as chance has it.
    """

    asked: bool = False
    followed: bool = False
    text: str = ""
    groups: Groups = ()
    reason: str = ""
    agreement: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return finite_dict(asdict(self))


def ask_advice(
    advisor: Advisor, report: CapabilityReport, names: Sequence[str], measured: Groups, *, follow: bool = False
) -> PlanAdvice:
    """Ask for a grouping of domains and compare it with the measured one.

    Parameters
    ----------
    advisor : callable
    report : CapabilityReport
        Told with its shares.
    names : sequence of str
        Domains to group.
    measured : tuple of tuple of str
        The measured grouping.
    follow : bool
        Whether a readable answer is to be followed; the answer is no other.
    """
    text = ""
    try:
        text = advisor(question(report, names))
        groups = read_groups(text, names)
    except AdviceError as error:
        return PlanAdvice(True, False, text, (), str(error))
    agreement = float(rand_index(labels_of(measured, names), labels_of(groups, names)))
    return PlanAdvice(True, follow, text, groups, "", agreement)


def question(report: CapabilityReport, names: Sequence[str]) -> str:
    """What is asked."""
    lines = [f"A language model was measured in {len(names)} domains; share of right answers:"]
    lines += [f"- {name}: {report.row(name).share:.2f}" for name in names]
    example = json.dumps({"groups": [list(names[:2]), list(names[2:3])]})
    lines += [
        f"Which domains should one expert learn together? Make {FEWEST} to {min(MOST, len(names))} experts; each "
        "domain belongs to one. Answer with one JSON object, such as",
        example,
    ]
    return "\n".join(lines)


def read_groups(text: str, names: Sequence[str]) -> Groups:
    """The grouping that an answer states, in the order of the names.

    Raises
    ------
    AdviceError
        If there is none, or it is no partition of the names into 3 to 10 groups.
    """
    for group in (told := _groups(text)):
        if not isinstance(group, list) or not all(isinstance(name, str) for name in group):
            raise AdviceError("a group is no list of names")
    said = [name for group in told for name in group]
    odd = sorted(set(said) ^ set(names))
    if odd or len(said) != len(set(said)):
        raise AdviceError(f"it is no division of the domains: {', '.join(odd) or 'one stands there twice'}")
    groups = [group for group in told if group]
    if not FEWEST <= len(groups) <= MOST:
        raise AdviceError(f"it has {len(groups)} groups, not {FEWEST} to {MOST}")
    place = {name: at for at, name in enumerate(names)}
    ordered = (tuple(sorted(group, key=place.__getitem__)) for group in groups)
    return tuple(sorted(ordered, key=lambda group: place[group[0]]))


def _groups(text: str) -> list[Any]:
    """The first list of groups in a JSON object of a text."""
    decoder = json.JSONDecoder()
    for start in re.finditer(r"\{", text):
        try:
            found, _ = decoder.raw_decode(text, start.start())
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("groups"), list):
            return list(found["groups"])
    raise AdviceError('no JSON object with "groups" in the answer')
