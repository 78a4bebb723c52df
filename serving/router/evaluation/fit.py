"""Policies that are fitted on labelled prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.router.config import RouterConfig
from serving.router.evaluation.prompts import LabelledPrompt
from serving.router.outcomes import BASE, Outcomes
from serving.router.policies.calibrated import CalibratedPolicy, Calibration
from serving.router.policies.registry import FittedPolicy
from serving.router.profile import ExpertProfile

if TYPE_CHECKING:
    from torch import Tensor


def fit_policies(
    prompts: Sequence[LabelledPrompt],
    profiles: Sequence[ExpertProfile],
    states: Tensor | None = None,
    *,
    calibration: Calibration = "platt",
    seed: int = 0,
) -> list[FittedPolicy]:
    """The calibrated policy (on hidden states too, if there are any), then prototypes and Bayesian dispatch of states.

    Parameters
    ----------
    prompts : n prompts
        Those of more than one expert are left out: every prompt has one label.
    profiles : sequence of ExpertProfile
    states : [n, d] Tensor, optional
    calibration : {"platt", "isotonic"}
    seed : int

    Raises
    ------
    RouterError
        If there are too few prompts.
    """
    single = [i for i, one in enumerate(prompts) if len(one.experts) < 2]
    texts, labels = [prompts[i].text for i in single], [prompts[i].label for i in single]
    known = None if states is None else states[single]
    calibrated = CalibratedPolicy.fit(texts, labels, profiles, known, calibration=calibration, seed=seed)
    return [calibrated] if known is None else [calibrated, *_on_states(labels, known)]


def with_calibrated(config: RouterConfig) -> RouterConfig:
    """A config whose chain trusts the calibrated policy.

    Keywords are among what that policy was fitted on, and what prototypes and dispatch read is too: their weights would
    count the same evidence twice. Keywords keep their vetoes, at weight 0; dispatch keeps its prior.
    """
    order = [name for name in config.order if name not in ("prototypes", "calibrated", "dispatch")]
    weights = {**config.weights, "keywords": 0.0, "capabilities": 0.0}
    return dataclasses.replace(config, order=(*order, "calibrated", "dispatch"), weights=weights)


def _on_states(labels: Sequence[str], states: Tensor) -> list[FittedPolicy]:
    import torch

    from llm_experts.mixtures.dispatch import BayesDispatcher, one_hot
    from serving.router.policies.dispatch import DispatchPolicy
    from serving.router.policies.prototypes import PrototypePolicy

    names = sorted(set(labels) - {BASE})
    domains = torch.tensor([-1 if name == BASE else names.index(name) for name in labels])
    right = one_hot(domains, len(names))
    dispatcher = BayesDispatcher().fit(states, None, right, names)
    dispatcher.calibrate(states, None, right)
    return [PrototypePolicy.fit(states, labels), DispatchPolicy(Outcomes(), dispatcher)]
