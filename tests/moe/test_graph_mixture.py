"""A mixture of tabular and graph experts, end to end on real data."""

import pytest
import torch

from experts.evidence import collect_evidence
from experts.graph.expert import GraphExpert
from experts.graph.network import GraphNetwork
from experts.graph.settings import GraphSettings
from experts.loading import load_expert
from experts.networks.network import MLP
from experts.networks.trainer import OBJECTIVES, Budget, LaneConfig
from experts.networks.twin import train_fixed
from gates.static_simplex import StaticSimplexGate
from moe.mixture import Mixture, load_mixture
from tasks.load import load_task

ROLES = ("utility", "result", "procedural")
BUDGET = Budget(steps=60, eval_every=30, warm_up=20, hidden=8)


@pytest.mark.data
@pytest.mark.parametrize("layers", [1, 2])
def test_three_tabular_and_three_graph_experts_are_one_expert(tmp_path, layers):
    view = load_task("german", with_edges=True, progress=False).view()
    experts = [
        train_fixed(
            view, role, LaneConfig(0.01, 1e-5, dict.fromkeys(OBJECTIVES[role].lambdas, 0.5), 1), BUDGET, seed=0,
            network=network,
        )
        for network in (MLP, GraphNetwork(GraphSettings("gcn", layers))) for role in ROLES
    ]  # fmt: skip
    weights = torch.tensor([0.3, 0.1, 0.1, 0.3, 0.1, 0.1])
    mixture = Mixture(tuple(experts), StaticSimplexGate(weights))
    assert mixture.explainer == "shapley_sampling"
    rows = view.split.validation[:60]
    evidence = collect_evidence(mixture, view, rows)
    mixed = sum(w * torch.sigmoid(expert.logits(view, rows)) for w, expert in zip(weights, experts, strict=True))
    torch.testing.assert_close(evidence.probability, mixed, atol=1e-5, rtol=1e-4)
    unknown = torch.zeros(len(rows), len(view.columns), dtype=torch.bool)
    gained = mixture.logits(view, rows) - mixture.logits(view, rows, unknown)
    torch.testing.assert_close(evidence.attributions.sum(1).float(), gained, atol=1e-4, rtol=1e-3)
    assert evidence.counterfactual is not None
    assert mixture.parameter_count >= sum(e.parameter_count for e in experts if isinstance(e, GraphExpert))
    mixture.save(tmp_path)
    loaded = load_mixture(tmp_path, load_expert)
    assert torch.equal(loaded.logits(view, rows), mixture.logits(view, rows))
