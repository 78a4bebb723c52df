"""A part of a set for people to read, with what was found of each item."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from foundation.escaping import markdown
from foundation.seeding import numpy_generator
from llm_experts.data.example import Example
from llm_experts.generation.checks.check import Finding
from llm_experts.generation.draft import Draft

SHARE = 0.1


def sampled(count: int, seed: int, share: float = SHARE) -> list[int]:
    """Places of a seeded sample, in order: the share rounded up, so that a set that has items shows one."""
    chosen = numpy_generator(seed, "generation", "sample").permutation(count)[: math.ceil(share * count)]
    return sorted(int(place) for place in chosen)


def sample_page(
    expert: str, items: Sequence[tuple[Draft, Mapping[str, Finding]]], seed: int, share: float = SHARE
) -> str:
    """Markdown page of a seeded sample of the accepted items; the same arguments give the same bytes.

    Parameters
    ----------
    expert : str
    items : sequence of (Draft, findings by name of the check)
    seed : int
    share : float
        Of the items.
    """
    places = sampled(len(items), seed, share)
    head = [
        f"# Items of {markdown(expert)} to read",
        "",
        f"{len(places)} of {len(items)} accepted items (seed {seed}).",
    ]
    parts = [line for place in places for line in _item(*items[place])]
    return "\n".join([*head, *parts]) + "\n"


def _item(draft: Draft, findings: Mapping[str, Finding]) -> list[str]:
    example = draft.example
    topic = draft.topic if draft.difficulty is None else f"{draft.topic} at difficulty {draft.difficulty:g}"
    rows = [("topic", topic), ("prompt", _prompt(example)), ("answer", example.completion)]
    if example.rejected is not None:
        rows.append(("rejected answer", example.rejected))
    if draft.variant_of:
        rows.append(("made in place of", draft.variant_of))
    rows += [(f"check {name}", _said(finding)) for name, finding in findings.items()]
    table = [f"| {markdown(name)} | {markdown(text)} |" for name, text in rows]
    return ["", f"## {markdown(example.id)}", "", "| | |", "|---|---|", *table]


def _prompt(example: Example) -> str:
    asked = example.prompt
    return asked if isinstance(asked, str) else "\n".join(f"{turn.role}: {turn.content}" for turn in asked)


def _said(finding: Finding) -> str:
    value = "" if math.isnan(finding.value) else f" ({finding.value:.3g})"
    return f"{'ok' if finding.ok else 'no'}{value}{': ' if finding.reason else ''}{finding.reason}"
