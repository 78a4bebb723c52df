"""Files of a tuned role, under the names that users of the earlier tuner know.

``{dataset}_{role}_tuning_results.json``, ``{dataset}_{role}_best.safetensors``, ``{dataset}_{role}_best/`` (the
expert, as :func:`experts.loading.load_expert` reads it) and ``{dataset}_expert_tuning_summary.json``. Graph experts
have their network in the stem, so that they lie beside tabular ones: ``{dataset}_gcn_{role}_…``, ``{dataset}_gcn2_…``
with two layers.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.expert import ALIASES
from experts.graph.settings import GraphSettings
from experts.tuning.search_space import describe
from foundation.files import atomic_path, write_json

if TYPE_CHECKING:
    from experts.tuning.study import Tuning

EXPERT_TYPE = {**{role: alias for alias, role in ALIASES.items()}, "combined": "combined"}


def file_stem(dataset: str, graph: GraphSettings | None = None) -> str:
    """A task name as the start of a file name: ``adult:sex+race`` becomes ``adult_sex+race``.

    The name of a graph network follows.
    """
    stem = re.sub(r"[^A-Za-z0-9+.-]", "_", dataset)
    return stem if graph is None else f"{stem}_{graph.name}"


def results_path(folder: Path, dataset: str, role: str, graph: GraphSettings | None = None) -> Path:
    """Where a role's results are."""
    return folder / f"{file_stem(dataset, graph)}_{role}_tuning_results.json"


def best_path(folder: Path, dataset: str, role: str, graph: GraphSettings | None = None) -> Path:
    """Folder of the chosen expert; the same name with ``.safetensors`` is a copy of its weights."""
    return folder / f"{file_stem(dataset, graph)}_{role}_best"


def results(tuning: Tuning) -> dict[str, Any]:
    """A tuning as JSON: deterministic, without times and paths."""
    return {
        "dataset": tuning.dataset,
        **({} if tuning.graph is None else {"graph": dataclasses.asdict(tuning.graph)}),
        "task_hash": tuning.view_hash,
        "role": tuning.role,
        "expert_type": EXPERT_TYPE[tuning.role],
        "seed": tuning.seed,
        "n_trials": len(tuning.trials),
        "best_trial": tuning.best_trial,
        "best_params": tuning.best_params,
        "best_score": tuning.best_score,
        "best_metrics": tuning.best_metrics,
        "best_step": tuning.step,
        "feasible": tuning.feasible,
        "note": tuning.note,
        "utility_floor": tuning.floor,
        "epsilon": tuning.epsilon,
        "space": {"name": tuning.space, "parameters": describe(tuning.role, tuning.space)},
        "budget": dataclasses.asdict(tuning.budget),
        "pareto_front": tuning.pareto,
        "trials": tuning.trials,
    }


def save_tuning(tuning: Tuning, folder: Path) -> None:
    """Write the chosen expert, then the results: whoever finds results finds the expert."""
    folder = folder / tuning.place
    place = best_path(folder, tuning.dataset, tuning.role, tuning.graph)
    with atomic_path(place) as temporary:
        temporary.mkdir()
        tuning.expert.save(temporary)
    (weights,) = place.glob("*.safetensors")
    with atomic_path(place.with_name(f"{place.name}.safetensors")) as temporary:
        shutil.copyfile(weights, temporary)
    write_json(results_path(folder, tuning.dataset, tuning.role, tuning.graph), results(tuning))


def write_summary(tunings: Sequence[Tuning], folder: Path) -> Path:
    """Write ``{dataset}_expert_tuning_summary.json``: what each role of one data set came to.

    It lies beside the results: in ``seed_<n>`` below ``folder`` when several seeds were tuned together.

    Raises
    ------
    ValueError
        If the tunings are of different data sets, seeds or networks, or there are none.
    """
    owners = sorted({(file_stem(tuning.dataset, tuning.graph), tuning.seed) for tuning in tunings})
    if len(owners) != 1:
        raise ValueError(f"A summary is of one data set, seed and network; these tunings are of {owners or 'none'}.")
    path = folder / tunings[0].place / f"{owners[0][0]}_expert_tuning_summary.json"
    write_json(path, {tuning.role: _summary(tuning) for tuning in tunings})
    return path


def _summary(tuning: Tuning) -> dict[str, Any]:
    states = [row["state"] for row in tuning.trials]
    full = results(tuning)
    return {
        **{key: value for key, value in full.items() if key not in ("trials", "budget", "dataset")},
        "states": {state: states.count(state) for state in sorted(set(states))},
        "files": {
            "results": results_path(Path(), tuning.dataset, tuning.role, tuning.graph).name,
            "weights": f"{best_path(Path(), tuning.dataset, tuning.role, tuning.graph).name}.safetensors",
        },
    }
