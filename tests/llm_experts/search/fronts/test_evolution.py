import torch
from optuna.distributions import FloatDistribution

from llm_experts.search.fronts.evolution import Evolution, Verdict

TARGET = torch.tensor([0.2, 0.7, 0.5], dtype=torch.float64)


def evolve(seed, generations=15, start=None, population=20):
    evolution = Evolution(3, 2, population, seed, "test", start=start)
    asked = []
    for _ in range(generations):
        genes = evolution.ask()
        first = (genes - TARGET).square().sum(1)
        second = (genes - TARGET - 0.1).square().sum(1)
        evolution.tell(Verdict(torch.stack([first, second], 1), 0.4 - genes[:, 1:2]))
        asked.append(genes)
    return torch.stack(asked), evolution.study


def test_converges_to_the_pareto_set_within_the_constraint():
    asked, _ = evolve(0)
    distance = (asked - TARGET - 0.05).abs().amax(2).median(1).values
    assert distance[-1] < 0.15 < distance[0]
    assert bool((asked[-1][:, 1] >= 0.4).double().mean() > 0.9)


def test_seed_determines_every_proposal():
    assert torch.equal(evolve(1)[0], evolve(1)[0])
    assert not torch.equal(evolve(1)[0], evolve(2)[0])


def test_first_generation_begins_with_what_is_known():
    start = torch.tensor([[0.0, 1.0, 0.25], [0.125, 0.5, 0.75]], dtype=torch.float64)
    asked, study = evolve(0, 2, start)
    assert torch.equal(asked[0, :2], start)
    assert asked[0, 2:].std() > 0.1
    assert len(study.trials) == 40


def test_genes_keep_their_range_and_constraints_are_told():
    _, study = evolve(3, 4)
    assert {d for t in study.trials for d in t.distributions.values()} == {FloatDistribution(0.0, 1.0)}
    assert all(t.constraints == {"0": 0.4 - t.params["gene1"]} for t in study.trials)
