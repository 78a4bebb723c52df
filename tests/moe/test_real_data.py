"""From tuned experts to a fine-tuned mixture on published data, without looking at test labels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from experts.evidence import collect_evidence
from experts.expert import ROLES
from experts.networks.trainer import Budget
from experts.tuning.networks import tune
from experts.tuning.out_of_fold import out_of_fold_logits
from gates.fitting import fit_gate
from gates.settings import GateBudget
from moe.finetune import FineTuneConfig, fine_tune
from moe.mixture import Mixture
from moe.routing import routing_report
from tasks.load import load_task

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("FAIRMOE_DATA_MIRROR" not in os.environ, reason="FAIRMOE_DATA_MIRROR is not set"),
]

BUDGET = Budget(steps=100, eval_every=25, warm_up=25, rungs=())


def test_german_from_experts_to_a_mixture(tmp_path: Path) -> None:
    view = load_task("german", protocol="robust", split=0).view()
    settings = {"seed": 0, "folder": tmp_path, "budget": BUDGET, "trials": 3, "batch": 3, "space": "wide"}
    utility = tune(view, "utility", **settings)
    fair = [tune(view, role, utility_floor=utility, **settings) for role in ROLES[1:]]
    experts = tuple(tuning.expert for tuning in (utility, *fair))
    floor = fair[0].floor
    assert floor is not None
    train, validation = view.split.train, view.split.validation
    fit = fit_gate(
        view,
        out_of_fold_logits(view, [t.recipe for t in (utility, *fair)], budget=BUDGET, seed=0, folds=3),
        "dense",
        seed=0,
        utility_floor=floor,
        logits_validation=torch.stack([e.logits(view, validation) for e in experts], 1),
        attributions_train=torch.stack([e.attributions(view, train) for e in experts], 1),
        attributions_validation=torch.stack([e.attributions(view, validation) for e in experts], 1),
        budget=GateBudget(steps=50),
    )
    config = FineTuneConfig(steps=20, evaluate_every=10)
    tuned = fine_tune(view, Mixture(experts, fit.gate), [config], seed=0, utility_floor=floor)
    assert not tuned.before.better_than(tuned.after, floor)

    evidence = collect_evidence(tuned.mixture, view, view.split.test)
    assert evidence.attributions is not None
    nothing = torch.zeros(len(view.split.test), len(view.columns), dtype=torch.bool)
    margin = tuned.mixture.logits(view, view.split.test) - tuned.mixture.logits(view, view.split.test, nothing)
    torch.testing.assert_close(evidence.attributions.sum(1), margin, rtol=0.02, atol=0.02)

    values = routing_report(tuned.mixture, view, validation, seed=0, shuffles=20).values
    parts = values["soft_dp_routing@1"].estimate + values["soft_dp_within@1"].estimate
    assert parts == pytest.approx(values["soft_dp@1"].estimate, abs=1e-9)
    assert values["routing_flip_tv@1"].status == "ok"
