"""A tuned role: what a study chose, and the expert that it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.expert import Expert, Role
from experts.tuning.trial_store import Row
from foundation.files import atomic_path


def file_stem(dataset: str) -> str:
    """A task name as the start of a file name: ``adult:sex+race`` becomes ``adult_sex+race``."""
    return re.sub(r"[^A-Za-z0-9+.-]", "_", dataset)


UNORDERED = "not reproducible in order"
"""What is said of a study that several drivers worked on: which trials it asked depends on who was faster."""


def unordered(drivers: int) -> str:
    """What is said of a study with so many drivers; nothing of one that a single driver asked."""
    return f"{UNORDERED}: {drivers} drivers asked for its trials" if drivers > 1 else ""


def results_name(owner: str, role: Role) -> str:
    """File of a tuned role's results."""
    return f"{owner}_{role}_tuning_results.json"


def seed_place(seeds: Sequence[int], seed: int) -> str:
    """Sub-folder of a seed's results: one only where several seeds are tuned together."""
    return f"seed_{seed}" if len(seeds) > 1 else ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a study chose for one seed.

    Attributes
    ----------
    owner : str
        Start of the names of the files of all roles: the data set, and the family where it is not the tabular network.
    best_score : float
        Role score of the chosen trial on validation rows: utility@1, fair_res@1, fair_proc@1 or final@1.
    step : int
        Optimiser step of the chosen checkpoint; 0 for models that have none.
    trials : list of dict
        number, params, metrics, objective, constraints (met when ≤ 0), feasible, degenerate, state, reason, step.
    pareto : list of int
        Numbers of the completed trials that no other one beats in both utility and the role's gap.
    floor, epsilon : float or None
        Least validation utility of a feasible trial, and how far below the utility expert's it lies.
    feasible : bool
        False: no trial met the constraints, and the trial of the highest utility was taken instead.
    note : str
        Says so, in words.
    place : str
        Sub-folder of the results: ``seed_<n>`` when several seeds were tuned together, else empty.
    drivers : int
        How many drivers asked for the trials; with more than one their order is not reproducible.
    """

    role: Role
    dataset: str
    owner: str
    seed: int
    best_trial: int
    best_params: dict[str, Any]
    best_metrics: dict[str, float | None]
    best_score: float
    step: int
    trials: list[Row]
    pareto: list[int]
    floor: float | None
    epsilon: float | None
    feasible: bool
    note: str
    view_hash: str
    place: str = ""
    drivers: int = 1


@dataclass(frozen=True, kw_only=True)
class Tuned(Choice):
    """A choice with its expert.

    Attributes
    ----------
    expert : Expert
        The chosen trial itself.
    """

    expert: Expert

    @property
    def stem(self) -> str:
        """Start of the names of the role's files."""
        return f"{self.owner}_{self.role}"

    @property
    def files(self) -> dict[str, str]:
        """Names of the files that a reader of the summary looks for."""
        return {"results": results_name(self.owner, self.role)}

    def details(self) -> dict[str, Any]:
        """What the results say beside that which all families share."""
        return {}

    def save_expert(self, folder: Path) -> None:
        """Write the chosen expert."""
        with atomic_path(folder / f"{self.stem}_best") as temporary:
            temporary.mkdir()
            self.expert.save(temporary)
