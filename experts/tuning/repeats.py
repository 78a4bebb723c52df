"""The chosen configuration of a tuned network, trained again with other seeds: what a seed alone changes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from experts.networks.trainer import LaneConfig, LaneResult, train_lanes
from experts.tuning.networks import TunedNetwork, lane_seed
from experts.tuning.trials import TuningError
from foundation.seeding import derive_seed
from tasks.task import TaskView


def repeat(view: TaskView, tuned: TunedNetwork, seeds: Sequence[int]) -> list[TunedNetwork]:
    """Train the chosen configuration of a tuned role again.

    All repeats are lanes of one program. Each seed decides a lane's initial weights; batch order and dropout are
    those of the first seed. No repeat is pruned, and each chooses its checkpoint as the tuned expert did, so
    :func:`experts.networks.twin.twin` and :func:`experts.tuning.out_of_fold.out_of_fold_logits` train a repeat's own
    lane.

    Parameters
    ----------
    view : TaskView
        The view that was tuned on.
    tuned : TunedNetwork
    seeds : sequence of int

    Returns
    -------
    list of TunedNetwork
        In the order of ``seeds``; trials and their weights are those of the search.

    Raises
    ------
    TuningError
        If a repeat failed; the text gives its seed and the reason.
    ValueError
        If there is no seed, or the view is not the one that was tuned on.
    """
    check_repeats(view, tuned.view_hash, seeds)
    train_seed = derive_seed(seeds[0], "lanes")
    lanes = [dataclasses.replace(tuned.lane, seed=lane_seed(seed, tuned.role, tuned.best_trial)) for seed in seeds]
    result = train_lanes(
        view,
        tuned.role,
        lanes,
        dataclasses.replace(tuned.budget, rungs=()),
        seed=train_seed,
        utility_floor=tuned.floor,
        network=tuned.network,
    )
    again = dataclasses.replace(tuned, train_seed=train_seed)
    return [_repeated(view, again, seed, result, (place, lanes[place])) for place, seed in enumerate(seeds)]


def _repeated(
    view: TaskView, tuned: TunedNetwork, seed: int, result: LaneResult, lane: tuple[int, LaneConfig]
) -> TunedNetwork:
    """The record with what came out of a lane: its place and configuration."""
    place, config = lane
    if reason := result.failure(place):
        raise TuningError(f"The {tuned.role} role on {view.name}, trained again with seed {seed}, failed: {reason}")
    feasible = result.feasible[place]
    return dataclasses.replace(
        tuned,
        seed=seed,
        lane=config,
        expert=tuned.network.expert(view, tuned.role, result.parameters, place),
        best_metrics={key: value if math.isfinite(value) else None for key, value in result.metrics[place].items()},
        best_score=result.objective[place],
        step=int(result.step[place]),
        feasible=feasible,
        note="" if feasible else infeasible_note(seed),
        place=f"seed_{seed}",
    )


def check_repeats(view: TaskView, view_hash: str, seeds: Sequence[int]) -> None:
    """Raise ``ValueError`` where there is no seed, or the view is not the one that was tuned on."""
    if not seeds or view.hash != view_hash:
        raise ValueError(
            f"Repeats need seeds (given: {list(seeds)}) and the view that was tuned on (hash {view_hash[:12]}, "
            f"given: {view.hash[:12]})."
        )


def infeasible_note(seed: int) -> str:
    """What is said of a repeat that misses the constraints."""
    return f"trained again with seed {seed} the configuration does not meet the constraints."
