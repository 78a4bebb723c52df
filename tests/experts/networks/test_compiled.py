"""The compiled kernel takes the steps of the tensor program."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from tasks.arrays import view_of_arrays
from tasks.task import TaskView

ROOT = Path(__file__).resolve().parents[3]
BUDGET = Budget(steps=40, eval_every=20, warm_up=10, rungs=(), hidden=5, batch_rows=64)


def view_of(rows: int, groups: int = 2, features: int = 4) -> TaskView:
    """A task whose label and group both move the features."""
    draw = torch.Generator().manual_seed(rows)
    group = torch.randint(groups, (rows,), generator=draw)
    label = (torch.rand(rows, generator=draw) < 0.3 + 0.2 * group / groups).long()
    x = torch.randn(rows, features, generator=draw) + label[:, None] + 0.5 * group[:, None]
    half = torch.arange(rows) < rows // 2
    train, validation = (torch.nonzero(part).flatten().numpy() for part in (half, ~half))
    return view_of_arrays(x.numpy(), label.numpy(), group.numpy(), train, validation)


def trained(view: TaskView, role: str, lambdas: list[dict[str, float]], kernel: str, **more: object) -> LaneResult:
    """Lanes of different rates and weights."""
    configs = [LaneConfig(0.02 / (k + 1), 0.01 * k, weights, seed=k) for k, weights in enumerate(lambdas)]
    budget = dataclasses.replace(BUDGET, kernel=kernel)
    return train_lanes(view, role, configs, budget, seed=3, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [300, 5000], ids=["full batches", "mini-batches"])
@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize(
    ("role", "lambdas"),
    [
        ("utility", [{}, {}, {}]),
        ("result", [{"lambda_fair": 3.0}, {"lambda_rep": 2.0}, {"lambda_fair": 1.0, "lambda_rep": 0.5}, {}]),
    ],
)
def test_kernel_and_tensors_agree(rows: int, groups: int, role: str, lambdas: list[dict[str, float]]) -> None:
    """Both train the same networks, up to rounding."""
    view = view_of(rows, groups)
    one, two = (trained(view, role, lambdas, kernel) for kernel in ("compiled", "tensor"))
    assert one.step == two.step
    torch.testing.assert_close(one.parameters.theta, two.parameters.theta, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("role", ["utility", "result"])
def test_row_weights_are_those_of_each_lane(role: str) -> None:
    """A row of weight 0 is as good as not there, in one lane and not in the next."""
    view = view_of(240)
    n = len(view.split.train)
    weights = torch.ones(2, n)
    weights[0, ::3] = 0
    lambdas = [{"lambda_fair": 2.0, "lambda_rep": 1.0} if role == "result" else {}] * 2
    one, two = (trained(view, role, lambdas, kernel, row_weights=weights) for kernel in ("compiled", "tensor"))
    torch.testing.assert_close(one.parameters.theta, two.parameters.theta, rtol=2e-3, atol=2e-4)
    alone = trained(view, role, lambdas[:1], "compiled", row_weights=weights[:1])
    assert torch.equal(alone.parameters.theta[0], one.parameters.theta[0])


def test_a_diverging_lane_fails_and_the_others_go_on() -> None:
    """An absurd rate ends in undefined weights, which are reported."""
    view = view_of(300)
    configs = [LaneConfig(1e-2, 0.0, {}, 0), LaneConfig(1e38, 0.0, {}, 1)]
    found = train_lanes(view, "utility", configs, BUDGET, seed=0)
    assert found.state[0] != "failed"
    assert found.state[1] == "failed"
    assert "lower the learning rate" in found.reason[1]


PRINTED = """
import hashlib
from tests.experts.networks.test_compiled import trained, view_of

found = trained(view_of(2600), "result", [{"lambda_fair": 3.0, "lambda_rep": 1.0}] * 2, "compiled")
print(hashlib.sha256(found.parameters.theta.numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_process_that_compiles_and_one_that_reads_the_cache_train_the_same_bytes(tmp_path: Path) -> None:
    """A run that was killed goes on in a process that finds the kernel compiled."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def once() -> str:
        command = [sys.executable, "-c", PRINTED]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    first = once()
    assert list(tmp_path.rglob("*.nbc"))
    assert first == once() and first.strip()


def test_an_unknown_kernel_is_named() -> None:
    """The error says which there are."""
    with pytest.raises(ValueError, match="no kernel 'cuda'; known are compiled and tensor"):
        trained(view_of(300), "utility", [{}], "cuda")
