import math

import optuna
import pytest
from optuna.distributions import FloatDistribution

from experts.tuning.sampler import batch_sampler

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = {"x": FloatDistribution(1e-3, 1.0, log=True), "y": FloatDistribution(0.0, 1.0)}


def valley(params):
    return (math.log10(params["x"]) + 1.5) ** 2 + (params["y"] - 0.3) ** 2


def new_study(seed, batch):
    return optuna.create_study(direction="minimize", sampler=batch_sampler(seed, batch))


def run(study, trials, batch):
    while len(study.trials) < trials:
        asked = [study.ask(SPACE) for _ in range(min(batch, trials - len(study.trials)))]
        for trial in asked:
            study.tell(trial, valley(trial.params))
    return [trial.params for trial in study.trials]


def test_same_seed_same_trials_other_seed_other_trials():
    first = run(new_study(1, 5), 15, 5)
    assert run(new_study(1, 5), 15, 5) == first
    other = run(new_study(2, 5), 15, 5)
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("stops", [(5,), (10,), (5, 10, 15)])
def test_a_study_rebuilt_from_its_trials_goes_on_as_if_never_stopped(stops):
    straight = run(new_study(3, 5), 20, 5)
    study = new_study(3, 5)
    for stop in stops:
        run(study, stop, 5)
        resumed = new_study(3, 5)
        resumed.add_trials(study.trials)
        study = resumed
    assert run(study, 20, 5) == straight


def test_an_abandoned_batch_is_asked_again_with_the_same_proposals():
    study = new_study(4, 5)
    run(study, 10, 5)
    finished = study.trials
    lost = [study.ask(SPACE).params for _ in range(5)]
    resumed = new_study(4, 5)
    resumed.add_trials(finished)
    assert [resumed.ask(SPACE).params for _ in range(5)] == lost


def test_trials_of_a_batch_differ():
    study = new_study(5, 4)
    run(study, 8, 4)
    batch = [study.ask(SPACE).params for _ in range(6)]
    assert len({tuple(params.values()) for params in batch}) == 6


def test_proposals_after_the_first_batch_lie_closer_to_the_optimum_than_random_ones():
    gains = []
    for seed in range(8):
        values = [valley(params) for params in run(new_study(seed, 10), 40, 10)]
        gains.append(sum(values[:10]) / 10 - sum(values[30:]) / 10)
    assert sum(gains) / len(gains) > 0
