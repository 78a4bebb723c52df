"""The domains that a discovery looks at unless others are named, and domains by their names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.families.registry import FAMILIES, OF_TASKS, family_named
from llm_experts.families.rows import DEFAULT


def domains_named(*texts: str) -> tuple[Domain, ...]:
    """Domains of texts such as ``arithmetic``, ``arithmetic@0.5`` and ``rows:adult:sex@1500``.

    What stands behind ``@`` is the difficulty, 0 where nothing does; rows of a data card have none, and their ``@`` is
    the task's own number of rows.

    Raises
    ------
    DataError
        If there is no such family or difficulty, or a domain is named twice.
    """
    found = _told_apart([_domain(text.strip()) for text in texts])
    names = [domain.name for domain in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"The domain {twice[0]} is named twice; name each domain once.")
    return found


def _domain(text: str) -> Domain:
    kind, _, task = text.partition(":")
    if kind == OF_TASKS:
        family_named(text)
        card = re.split(r"[:@]", task or DEFAULT)[0]
        return Domain(f"{OF_TASKS}-{_word(card)}", text, None)
    family, _, told = text.partition("@")
    if family not in FAMILIES:
        family_named(family)  # says which there are
    difficulty = _difficulty(text, told) if told else 0.0
    name = _word(family) if not difficulty else f"{_word(family)}-{round(100 * difficulty)}"  # in hundredths
    return Domain(name, family, difficulty)


def _told_apart(domains: Sequence[Domain]) -> tuple[Domain, ...]:
    """Domains of one data card that differ in what is protected, or in the rows, have that in their names."""
    names = [domain.name for domain in domains]
    return tuple(
        replace(domain, name=_word(domain.family))
        if names.count(domain.name) > 1 and domain.difficulty is None
        else domain
        for domain in domains
    )


def _difficulty(text: str, told: str) -> float:
    try:
        value = float(told)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise DataError(
            f"{text!r} is no domain: {told!r} is no difficulty. Difficulties go from 0 to 1, such as arithmetic@0.5."
        )
    return value


def _word(text: str) -> str:
    """A text as a name: letters, digits and single hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


DEFAULT_DOMAINS = domains_named(
    "arithmetic", "classification", "dates", "json_task", "lookup", "sql", "sql@0.5",
    "rows:compas:race", "rows:adult:sex@1500", "rows:law_school:race@1500",
)  # fmt: skip
"""Six families, one of them at two difficulties, and rows of three data cards; each has 100 items for every use.

What nano learns of them (LoRA of rank 8 in its last two layers, steps of 16 items at twice the kind's rate; right
choices on 80 watched items before and after, one seed):

- in 60 steps, 400 items: sql@0.5 .42 and .79, rows of law_school .17 and .93 (its base rate), of adult .64 and .82, of
  compas .50 and .62; sql, on 30 items, .37 and 1.00 in 24 steps;
- in 160 steps, 1,200 items: classification .50 and .99 (still .50 after 40), json_task .42 and .54, lookup .53 and .58;
- nothing of dates and arithmetic (.05 and less), at twice or four times the rate: they are here because a report has to
  say so. strings fell, from .47 to .25 in 80 steps at four times the rate, and is left out.
"""
