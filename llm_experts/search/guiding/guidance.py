"""Narrowing the box as the front takes shape: by a rule, or by advice that has to prove itself against the rule.

Advice is tried, not trusted: from the same population one branch searches the rule's box, another the advised box, for
the same number of generations with the same seed; the branch with the larger hypervolume goes on (a tie: the rule's).
So advice cannot harm, and how often it helped is known.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from scipy.stats import kendalltau
from torch import Tensor

from llm_experts.search.box import Box
from llm_experts.search.settings import SearchSettings

Bounds = dict[str, tuple[float, float]]


class Advisor(Protocol):
    """Somebody who reads a summary of the front and answers with bounds.

    The answer is text that holds a JSON object ``{"bounds": {"expert": [low, high], …}}``; experts that are left out
    keep the rule's bounds.
    """

    def __call__(self, summary: str, /) -> str:
        """The answer to a summary."""
        ...


class AdviceError(ValueError):
    """An answer that holds no usable advice."""


@dataclass
class Guidance:
    """One look at the front.

    Attributes
    ----------
    round, generation : int
        When.
    rule : Bounds
        The rule's box.
    status : {"rule", "followed", "beaten", "malformed"}
        What became of the advice: none was asked; its branch won; the rule's branch won; it could not be read.
    advice : Bounds or None
        The advised box, cut to the full one.
    reason : str
        Why advice was malformed.
    volume_rule, volume_advice : float
        Hypervolume at the end of each branch; nan without advice.
    tau_rule, tau_advice : float
        Kendall's τ between a box's midpoints and the final front's mean weights, over the experts; nan until the
        search ends, and with fewer than two experts.
    """

    round: int
    generation: int
    rule: Bounds
    status: str = "rule"
    advice: Bounds | None = None
    reason: str = ""
    volume_rule: float = math.nan
    volume_advice: float = math.nan
    tau_rule: float = math.nan
    tau_advice: float = math.nan


@dataclass(frozen=True)
class AdviceSummary:
    """What advice was worth.

    ``asked``, ``malformed``, ``followed`` count answers; ``helped`` is the share of readable advice whose branch ended
    with a larger hypervolume than the rule's; ``gain`` the mean relative difference of the two; ``tau_*`` the mean
    Kendall τ of midpoints and final weights.
    """

    asked: int
    malformed: int
    followed: int
    helped: float
    gain: float
    tau_rule: float
    tau_advice: float


@dataclass
class GuidanceLog:
    """All looks of a search, in order."""

    entries: list[Guidance] = field(default_factory=list)

    def finish(self, front: Tensor, names: Sequence[str]) -> None:
        """Compare every box with the weights [F, K] of the final front."""
        means = front.mean(0)
        for entry in self.entries:
            entry.tau_rule = _tau(entry.rule, means, names)
            entry.tau_advice = math.nan if entry.advice is None else _tau(entry.advice, means, names)

    def summary(self) -> AdviceSummary:
        """What advice was worth over the search."""
        asked = [e for e in self.entries if e.status != "rule"]
        read = [e for e in asked if e.status != "malformed"]
        gains = [e.volume_advice / e.volume_rule - 1 for e in read if e.volume_rule > 0]
        return AdviceSummary(
            len(asked),
            len(asked) - len(read),
            sum(e.status == "followed" for e in read),
            _mean([float(e.volume_advice > e.volume_rule) for e in read]),
            _mean(gains),
            _mean([e.tau_rule for e in self.entries]),
            _mean([e.tau_advice for e in read]),
        )


def rule_box(full: Box, front: Tensor, margin: float) -> Box:
    """The hull of the front's weights [F, K] and ``margin`` of its extent on either side, cut to the full box."""
    low, high = front.amin(0), front.amax(0)
    room = margin * (high - low)
    return full.narrowed(low - room, high + room)


def read_advice(answer: str, full: Box, rule: Box, names: Sequence[str]) -> Box:
    """The box of an advisor's answer.

    Raises
    ------
    AdviceError
        If there is no JSON object with bounds, or bounds name nobody, are no pair of finite numbers, or miss the
        expert's range.
    """
    bounds = _bounds_of(answer)
    unknown = sorted(set(bounds) - set(names))
    if unknown or not bounds:
        raise AdviceError(f"bounds for {', '.join(unknown) or 'no expert'}; experts are {', '.join(names)}")
    low, high = rule.low.clone(), rule.high.clone()
    for k, name in enumerate(names):
        if name in bounds:
            low[k], high[k] = _range(name, bounds[name], full, k)
    box = full.narrowed(low, high)
    if float(box.low.sum()) >= box.ceiling:
        raise AdviceError("the lower bounds leave the base less than its floor")
    return box


def summarise(
    front: Tensor, values: Mapping[str, Tensor], rule: Box, names: Sequence[str], settings: SearchSettings
) -> str:
    """The front in words: what an advisor reads."""
    order = torch.argsort(settings.objectives[0].sign * values[settings.objectives[0].metric], stable=True)
    shown = order[torch.linspace(0, len(order) - 1, min(8, len(order))).round().long()]
    lines = [
        f"A search mixes the experts {', '.join(names)}; each has a weight.",
        f"Goals: {'; '.join(map(str, settings.objectives))}.",
        f"Limits: {'; '.join(map(str, settings.constraints)) or 'none'}.",
        f"{len(front)} mixtures are on the Pareto front. Some of them:",
    ]
    for i in shown.tolist():
        weights = ", ".join(f"{n} {w:.2f}" for n, w in zip(names, front[i].tolist(), strict=True))
        lines.append(f"- {weights}: " + ", ".join(f"{id} {float(v[i]):.3f}" for id, v in values.items()))
    ranges = ", ".join(f'"{n}": [{a:.2f}, {b:.2f}]' for n, (a, b) in rule.pairs(names).items())
    lines += [
        "Where should the search look next? Answer with one JSON object of weight ranges, such as",
        f'{{"bounds": {{{ranges}}}}}',
    ]
    return "\n".join(lines)


def _bounds_of(answer: str) -> dict[str, object]:
    """The first JSON object in a text that has bounds."""
    decoder = json.JSONDecoder()
    for start in re.finditer(r"\{", answer):
        try:
            found, _ = decoder.raw_decode(answer, start.start())
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict) and isinstance(found.get("bounds"), dict):
            return dict(found["bounds"])
    raise AdviceError('no JSON object with "bounds" in the answer')


def _range(name: str, pair: object, full: Box, k: int) -> tuple[float, float]:
    numbers = pair if isinstance(pair, list) else []
    if len(numbers) != 2 or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers):
        raise AdviceError(f"the bounds of {name} are no pair of numbers")
    try:
        low, high = float(numbers[0]), float(numbers[1])
    except OverflowError:
        raise AdviceError(f"the bounds of {name} are too large") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise AdviceError(f"the bounds of {name} are {low:g} to {high:g}")
    if high < float(full.low[k]) or low > float(full.high[k]):
        raise AdviceError(f"the bounds of {name} lie outside {float(full.low[k]):g} to {float(full.high[k]):g}")
    return low, high


def _tau(bounds: Bounds, means: Tensor, names: Sequence[str]) -> float:
    middles = [sum(bounds[name]) / 2 for name in names]
    if len(names) < 2 or len(set(middles)) < 2 or float(means.max() - means.min()) == 0:
        return math.nan
    return float(kendalltau(middles, means.tolist()).statistic)


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan
