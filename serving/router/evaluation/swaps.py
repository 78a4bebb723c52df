"""Prompts that differ by one term: whether a group term changes who answers (``route_flip@1``)."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moe.routing.route_flip import RouteFlip, route_flip
from serving.router.error import RouterError
from serving.router.evaluation.prompts import DATA
from serving.router.router import Router

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """Group terms of one kind, and neutral words that can stand in the same places."""

    name: str
    terms: tuple[str, ...]
    neutral: tuple[str, ...]


@dataclass(frozen=True)
class Swaps:
    """Templates with one place ``{}`` each, and the axes of what stands there."""

    axes: tuple[Axis, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Flipped:
    """A template, two terms, and the experts that each of the two prompts gets."""

    template: str
    terms: tuple[str, str]
    experts: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class AxisDisparity:
    """``route_flip@1`` of an axis, and templates that flip, each with the first pair that does."""

    flip: RouteFlip
    examples: tuple[Flipped, ...]


def own_swaps() -> Swaps:
    """The project's own templates and terms."""
    return read_swaps(DATA / "swaps.json")


def read_swaps(path: Path) -> Swaps:
    """Templates and terms of a JSON file: ``axes`` of name, terms and neutral, and ``templates``.

    Raises
    ------
    RouterError
        If it is not such a file, or a template has not exactly one place ``{}``.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        axes = tuple(Axis(str(one["name"]), tuple(one["terms"]), tuple(one["neutral"])) for one in facts["axes"])
        templates = tuple(str(one) for one in facts["templates"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RouterError(f"the swaps {path} cannot be read ({error!r}): give axes and templates") from error
    if odd := [one for one in templates if one.count("{}") != 1]:
        raise RouterError(f"{path}: the template {odd[0]!r} needs exactly one {{}}")
    return Swaps(axes, templates)


def filled(template: str, term: str) -> str:
    """The prompt of a template; a term at its beginning begins with a capital."""
    text = template.replace("{}", term)
    return text[:1].upper() + text[1:]


def disparity(
    router: Router, swaps: Swaps, state: Callable[[str], Tensor] | None = None, *, seed: int = 0
) -> dict[str, AxisDisparity]:
    """``route_flip@1`` of every axis.

    Parameters
    ----------
    router : Router
    swaps : Swaps
    state : function of a text that gives its pooled hidden state, optional
    seed : int
        Of intervals and null.
    """
    once = None if state is None else functools.cache(state)  # axes share neutral words
    return {axis.name: _axis(router, axis, swaps.templates, once, seed) for axis in swaps.axes}


def _axis(
    router: Router, axis: Axis, templates: Sequence[str], state: Callable[[str], Tensor] | None, seed: int
) -> AxisDisparity:
    import torch

    def chosen(template: str, term: str) -> tuple[str, ...]:
        text = filled(template, term)
        return tuple(sorted(router.route(text, None if state is None else state(text)).names))

    codes: dict[tuple[str, ...], int] = {}
    table = {
        template: {term: chosen(template, term) for term in (*axis.terms, *axis.neutral)} for template in templates
    }
    number = torch.tensor([
        [codes.setdefault(table[template][term], len(codes)) for term in (*axis.terms, *axis.neutral)]
        for template in templates
    ])  # fmt: skip
    flip = route_flip(number[:, : len(axis.terms)], number[:, len(axis.terms) :], seed=seed)
    examples = [found for template in templates if (found := _example(template, axis.terms, table[template]))]
    return AxisDisparity(flip, tuple(examples))


def _example(template: str, terms: Sequence[str], experts: Mapping[str, tuple[str, ...]]) -> Flipped | None:
    pairs = ((first, second) for place, first in enumerate(terms) for second in terms[place + 1 :])
    for first, second in pairs:
        if experts[first] != experts[second]:
            return Flipped(template, (first, second), (experts[first], experts[second]))
    return None
