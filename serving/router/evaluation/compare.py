"""Policies alone and in chains, on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.router.config import RouterConfig
from serving.router.evaluation.fit import fit_policies, with_calibrated
from serving.router.evaluation.prompts import TEST, TRAIN, LabelledPrompt, split_of
from serving.router.policies.registry import FittedPolicy
from serving.router.profile import ExpertProfile
from serving.router.router import Router

if TYPE_CHECKING:
    from torch import Tensor

WORDS = ("generic", "keywords", "capabilities", "priority")


def compared(
    prompts: Sequence[LabelledPrompt], profiles: Sequence[ExpertProfile], states: Tensor | None = None, *, seed: int = 0
) -> dict[str, tuple[Router, Tensor | None]]:
    """Routers to compare, each with the hidden states of the test prompts that it may look at.

    Parameters
    ----------
    prompts : n prompts
        Those of the split ``train`` are fitted on, those of ``test`` are not looked at.
    profiles : sequence of ExpertProfile
    states : [n, d] Tensor, optional
        Without them only policies of words take part.
    seed : int
        Of the folds.
    """
    train = split_of(prompts, TRAIN)
    words = fit_policies(train, profiles, seed=seed)
    found: dict[str, tuple[Router, Tensor | None]] = {
        "keywords alone": _router(profiles, ("keywords",)),
        "words (the default)": _router(profiles, WORDS),
        "calibrated, words": _router(profiles, ("calibrated",), words),
        "chain of words": (Router.of(profiles, with_calibrated(RouterConfig()), fitted=words), None),
    }
    if states is None:
        return found
    rows = {split: [i for i, one in enumerate(prompts) if one.split == split] for split in (TRAIN, TEST)}
    fitted = fit_policies(train, profiles, states[rows[TRAIN]], seed=seed)
    test = states[rows[TEST]]
    alone = {one.name: one for one in fitted}
    for name in ("prototypes", "dispatch", "calibrated"):
        label = {"calibrated": "calibrated, words and states"}.get(name, name)
        found[label] = (_router(profiles, (name,), [alone[name]])[0], test)
    chain = Router.of(profiles, with_calibrated(RouterConfig()), fitted=[alone["calibrated"]])
    return found | {"chain of words and states": (chain, test)}


def _router(
    profiles: Sequence[ExpertProfile], order: tuple[str, ...], fitted: Sequence[FittedPolicy] = ()
) -> tuple[Router, None]:
    return Router.of(profiles, RouterConfig(order=order), fitted=fitted), None
