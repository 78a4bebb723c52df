"""Tree-structured Parzen estimation whose randomness belongs to the trial, not to the process.

A sampler with one random stream forgets where it was when the process dies: the same seed after a resume is not
the same study. Here every trial has its own stream, derived from (seed, trial number), so that a proposal
depends on the seed, the number and the history alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from foundation.seeding import derive_seed


class PerTrialSeeded(BaseSampler):
    """A fresh sampler for every trial, seeded by (seed, trial number).

    Parameters
    ----------
    make : callable
        Gives a sampler for a 32-bit seed.
    seed : int
        Seed of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._of_trial: dict[int, BaseSampler] = {}

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number not in self._of_trial:
            self._of_trial[trial.number] = self._make(derive_seed(self._seed, "trial", trial.number) % 2**32)
        return self._of_trial[trial.number]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Parameters that the trial's own sampler draws jointly."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Joint draw of the trial's own sampler."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Single draw of the trial's own sampler."""
        return self._sampler(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Hand on to the trial's own sampler."""
        self._sampler(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Hand on, then forget the trial's sampler."""
        self._sampler(trial).after_trial(study, trial, state, values)
        self._of_trial.pop(trial.number, None)


def batch_sampler(seed: int, startup: int) -> PerTrialSeeded:
    """Multivariate TPE for batches: trials still running count as bad ones, so that a batch spreads out.

    Parameters
    ----------
    seed : int
        Seed of the study.
    startup : int
        Trials drawn at random before the estimator takes over (the first batch).
    """

    def make(trial_seed: int) -> TPESampler:
        return TPESampler(multivariate=True, constant_liar=True, n_startup_trials=startup, seed=trial_seed)

    return PerTrialSeeded(make, seed)
