"""How well a router routes labelled prompts: accuracy, calibration, abstention, regret; each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foundation.seeding import numpy_generator
from metrics.proportions import wilson
from serving.router.error import RouterError
from serving.router.evaluation.prompts import LabelledPrompt
from serving.router.outcomes import BASE
from serving.router.route import Route
from serving.router.router import Router

if TYPE_CHECKING:
    from torch import Tensor

BINS = 5
"""Equal-width bins of confidence: there are a few hundred prompts, not tens of thousands."""
DRAWS = 2000


@dataclass(frozen=True)
class Figure:
    """An estimate over ``n`` prompts and its 95 % interval."""

    estimate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Bin:
    """Prompts of similar confidence: how many, how sure the router was on average, how often it was right."""

    n: int
    confidence: float
    right: Figure


@dataclass(frozen=True)
class Evaluation:
    """Figures of a router on prompts.

    Attributes
    ----------
    accuracy : dict of str to Figure
        Share of prompts that get exactly the right experts, by kind and of ``all``; Wilson.
    regret : Figure
        1 - mean overlap |chosen and right| / |chosen or right|, the base counting as an expert: what the oracle, whose
        overlap is 1, would add. Bootstrap over prompts.
    base_regret : Figure
        The same of a router that never chooses an expert.
    ece, brier : Figure
        Of the confidence that the choice is right, :data:`BINS` bins. Bootstrap; a bootstrapped ECE lies high.
    reliability : tuple of Bin
    abstained : Figure
        Share of prompts that the base answers for want of an expert that is likely enough; Wilson.
    wrong_expert : Figure
        Share of prompts that get an expert which is not right: the costly mistake; Wilson.
    wrong : tuple of (LabelledPrompt, Route)
    """

    accuracy: Mapping[str, Figure]
    regret: Figure
    base_regret: Figure
    ece: Figure
    brier: Figure
    reliability: tuple[Bin, ...]
    abstained: Figure
    wrong_expert: Figure
    wrong: tuple[tuple[LabelledPrompt, Route], ...]


def evaluate(
    router: Router, prompts: Sequence[LabelledPrompt], states: Tensor | None = None, *, seed: int = 0
) -> Evaluation:
    """Route prompts and compare with their labels.

    Parameters
    ----------
    router : Router
    prompts : n prompts
    states : [n, d] Tensor, optional
        Pooled hidden states of the prompts.
    seed : int
        Of the bootstrap.

    Raises
    ------
    RouterError
        If a prompt names an expert that the router does not know, or there is no prompt.
    """
    unknown = {name for prompt in prompts for name in prompt.experts} - set(router.profiles)
    if unknown or not prompts:
        reason = f"prompts name experts that are not here: {', '.join(sorted(unknown))}" if unknown else "no prompts"
        raise RouterError(f"{reason}: give prompts of the experts {', '.join(sorted(router.profiles)) or '(none)'}")
    routes = [router.route(one.text, None if states is None else states[i]) for i, one in enumerate(prompts)]
    right = np.array([set(route.names) == one.experts for route, one in zip(routes, prompts, strict=True)])
    overlap = np.array([_overlap(route.names, one.experts) for route, one in zip(routes, prompts, strict=True)])
    alone = np.array([float(not one.experts) for one in prompts])
    sure = np.array([_confidence(route) for route in routes])
    rng = numpy_generator(seed, "routing figures")
    places = rng.integers(0, len(prompts), (DRAWS, len(prompts)))
    kinds = dict.fromkeys(one.kind for one in prompts)
    masks = {kind: np.array([one.kind == kind for one in prompts]) for kind in kinds}
    misled = [bool(set(route.names) - one.experts) for route, one in zip(routes, prompts, strict=True)]
    return Evaluation(
        {"all": _share(right)} | {kind: _share(right[mask]) for kind, mask in masks.items()},
        _mean(1 - overlap, places),
        _mean(1 - alone, places),
        _ece(sure, right, places),
        _mean((sure - right) ** 2, places),
        tuple(_bins(sure, right)),
        _share(np.array([route.abstained for route in routes])),
        _share(np.array(misled)),
        tuple((one, route) for one, route, good in zip(prompts, routes, right, strict=True) if not good),
    )


def _overlap(names: Sequence[str], right: frozenset[str]) -> float:
    chosen, wanted = set(names) or {BASE}, set(right) or {BASE}
    return len(chosen & wanted) / len(chosen | wanted)


def _confidence(route: Route) -> float:
    """The router's probability that its choice is right."""
    return min(1.0, sum(route.posterior.get(name, 0.0) for name in route.names or (BASE,)))


def _share(hits: Any) -> Figure:
    low, high = wilson(float(hits.sum()), len(hits))
    return Figure(float(hits.mean()), low, high, len(hits))


def _mean(values: Any, places: Any) -> Figure:
    low, high = np.quantile(values[places].mean(axis=1), [0.025, 0.975])
    return Figure(float(values.mean()), float(low), float(high), len(values))


def _ece(sure: Any, right: Any, places: Any) -> Figure:
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    excess = np.zeros((len(sure), BINS))
    excess[np.arange(len(sure)), place] = sure - right
    draws = np.abs(excess[places].mean(axis=1)).sum(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    estimate = float(np.abs(excess.mean(axis=0)).sum())
    return Figure(estimate, min(float(low), estimate), max(float(high), estimate), len(sure))


def _bins(sure: Any, right: Any) -> list[Bin]:
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    masks = [place == number for number in range(BINS)]
    return [Bin(int(m.sum()), float(sure[m].mean()), _share(right[m])) for m in masks if m.any()]
