"""Files of a tuned role, under the names that users of the earlier tuner know.

``{dataset}_{role}_tuning_results.json``, ``{dataset}_{role}_best/`` (the expert, as
:func:`experts.loading.load_expert` reads it) and ``{dataset}_expert_tuning_summary.json``. Other families than the
tabular network have their name in the stem, so that they lie beside it: ``{dataset}_gcn_{role}_…``,
``{dataset}_gcn2_…`` with two layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experts.tuning.tuned import Tuned, unordered
from foundation.files import write_json


def results(tuned: Tuned) -> dict[str, Any]:
    """A tuned role as JSON: deterministic, without times and paths."""
    return {
        "dataset": tuned.dataset,
        "task_hash": tuned.view_hash,
        "role": tuned.role,
        "seed": tuned.seed,
        "n_trials": len(tuned.trials),
        "best_trial": tuned.best_trial,
        "best_params": tuned.best_params,
        "best_score": tuned.best_score,
        "best_metrics": tuned.best_metrics,
        "best_step": tuned.step,
        "feasible": tuned.feasible,
        "note": tuned.note,
        "utility_floor": tuned.floor,
        "epsilon": tuned.epsilon,
        "pareto_front": tuned.pareto,
        "trials": tuned.trials,
        **({"order": unordered(tuned.drivers)} if tuned.drivers > 1 else {}),
        **tuned.details(),
    }


def save_tuned(tuned: Tuned, folder: Path) -> None:
    """Write the chosen expert, then the results: whoever finds results finds the expert."""
    folder = folder / tuned.place
    tuned.save_expert(folder)
    write_json(folder / tuned.files["results"], results(tuned))


def write_summary(tuned_roles: Sequence[Tuned], folder: Path) -> Path:
    """Write ``{dataset}_expert_tuning_summary.json``: what each role of one data set came to.

    It lies beside the results: in ``seed_<n>`` below ``folder`` when several seeds were tuned together.

    Raises
    ------
    ValueError
        If the roles are of different data sets, seeds or families, or there are none.
    """
    owners = sorted({(tuned.owner, tuned.seed) for tuned in tuned_roles})
    if len(owners) != 1:
        raise ValueError(f"A summary is of one data set, seed and network; these roles are of {owners or 'none'}.")
    path = folder / tuned_roles[0].place / f"{owners[0][0]}_expert_tuning_summary.json"
    write_json(path, {tuned.role: _summary(tuned) for tuned in tuned_roles})
    return path


def _summary(tuned: Tuned) -> dict[str, Any]:
    states = [row["state"] for row in tuned.trials]
    full = results(tuned)
    return {
        **{key: value for key, value in full.items() if key not in ("trials", "budget", "dataset")},
        "states": {state: states.count(state) for state in sorted(set(states))},
        "files": tuned.files,
    }
