"""The same configurations on all rows."""

from __future__ import annotations

import pytest
import torch

from benchmarks.run.rebuild import RebuildError, open_cell, rebuild
from benchmarks.run.rebuild.refit import refit_view
from experts.bagging import bag_rows
from moe.decision import Demand, fit_decisions
from tasks.load import load_task


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


def test_all_rows_are_dealt_into_two_parts():
    task = load_task("scm", protocol="robust", split=0, seed=0)
    view = refit_view(task, 3)
    train, validation, test = view.split.train, view.split.validation, view.split.test
    every = torch.cat([task.split.train, task.split.validation, task.split.test]).sort().values
    assert torch.equal(torch.cat([train, validation]).sort().values, every) and not len(test)
    share = len(task.split.validation) / (len(task.split.train) + len(task.split.validation))
    assert len(validation) == round(share * len(every))
    cells = view.labels * 2 + view.groups
    for cell in range(4):
        part, whole = ((cells[rows] == cell).double().mean() for rows in (validation, every))
        assert abs(float(part - whole)) <= 1 / len(validation)
    assert torch.equal(view.labels, task.labels) and int(view.labels.min()) == 0
    assert view.hash not in (task.hash, refit_view(task, 4).hash) and view.hash == refit_view(task, 3).hash
    assert not torch.equal(refit_view(task, 4).split.validation, validation)


@pytest.mark.parametrize("method", ["lightgbm", "reweighing", "utility", "result", "result_lambda0"])
def test_a_refit_is_another_model_of_the_same_configuration(run, method):
    handle = open_cell(run, "scm", 0, method)
    scored, first, second = rebuild(handle), rebuild(handle, refit=True), rebuild(handle, refit=True)
    view, rows = first.view, bag_rows(first.view)
    one, two, old = (r.expert().logits(view, rows).detach() for r in (first, second, scored))
    assert torch.equal(one, two) and not torch.allclose(one, old)
    with pytest.raises(RebuildError, match="refitted on all rows"):
        first.verify()


def test_bags_of_a_refit_are_honest_about_all_rows(run):
    rebuilt = rebuild(open_cell(run, "scm", 0, "lightgbm"), refit=True)
    view, rows = rebuilt.view, bag_rows(rebuilt.view)
    assert rebuilt.bag_margins.shape == (len(view.labels),) == rows.shape
    folds = torch.stack([e.logits(view, rows).detach() for e in rebuilt.bag().experts])
    assert bool((folds == rebuilt.bag_margins).any(0).all())
    torch.testing.assert_close(rebuilt.bag().logits(view, rows), folds.mean(0))


def test_another_trial_is_refitted_too(run):
    """Trees and networks: not the model of the study, and not that of the chosen trial."""
    for method in ("lightgbm", "utility"):
        handle = open_cell(run, "scm", 0, method)
        number = next(k for k in range(4) if k != handle.facts["params"]["best_trial"])
        scored, again = rebuild(handle), rebuild(handle, refit=True)
        rows = again.view.split.train
        said = [e.logits(again.view, rows).detach() for e in (again.expert(number), scored.expert(number))]
        assert not torch.allclose(*said)
        assert not torch.allclose(said[0], again.expert().logits(again.view, rows).detach())


@pytest.mark.slow
def test_mixtures_are_weighed_and_decided_again_on_all_rows(run):
    rebuilt = rebuild(open_cell(run, "scm", 0, "mixture"), refit=True)
    problem = rebuilt.problem()
    assert problem.members.shape == (len(problem.roles), len(rebuilt.view.labels))
    (found,) = fit_decisions(problem, [Demand("fair_res@1", 0.1, 1.0)])
    assert found is not None and 0 <= found.transfer <= 1
    for member, told in zip(rebuilt.members(), problem.members, strict=False):
        torch.testing.assert_close(member.logits(rebuilt.view, bag_rows(rebuilt.view)).detach(), told)
