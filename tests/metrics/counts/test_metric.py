"""A metric of counts is one file: everything else about it follows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from foundation.discovery import PLUGINS, ROOT, DiscoveryError
from metrics.counts.metric import CountMetric, find_count_metrics
from metrics.counts.rates import SELECTION_RATE, Rate
from metrics.counts.statistics import Gap, Overall, Ratio
from metrics.points import COUNT_METRICS
from metrics.registry import COUNTS, METRICS

EXAMPLE = ROOT / "docs/examples/plugins/metrics/count_metrics/ppv_gap.py"

ASK = """
import json
from dataclasses import asdict
import torch
from metrics.evidence import Evidence
from metrics.points import point_values
from metrics.registry import COUNTS, METRICS
from metrics.score import score
from metrics.surrogates import surrogate
from reports.names import larger_is_better, metric_name, metric_symbol

g = torch.Generator().manual_seed(0)
labels, groups = torch.randint(0, 2, (600,), generator=g), torch.randint(0, 3, (600,), generator=g)
probability = torch.rand(600, generator=g, dtype=torch.float64)
names = ("a", "b", "c")
hard = (probability > 0.5).to(torch.float64)
soft = probability.clone().requires_grad_()
loss = surrogate(COUNTS["ppv_gap@1"], soft, labels, groups, 3)
loss.backward()
print(json.dumps({
    "value": asdict(score(Evidence(probability), labels, groups, names, seed=0).values["ppv_gap@1"]),
    "point": float(point_values(probability[None], labels, groups, 3)["ppv_gap@1"][0]),
    "by_hand": [float(labels[(groups == k) & (hard == 1)].double().mean()) for k in range(3)],
    "hard": float(surrogate(COUNTS["ppv_gap@1"], hard, labels, groups, 3)),
    "loss": float(loss.detach()),
    "slope": float(soft.grad.abs().sum()),
    "none": asdict(score(Evidence(0.4 * probability), labels, groups, names, seed=0).values["ppv_gap@1"]),
    "spec": asdict(METRICS["ppv_gap@1"]),
    "words": [metric_name("ppv_gap@1"), metric_symbol("ppv_gap@1"), larger_is_better("ppv_gap@1")],
    "order": list(METRICS),
}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process says that has predictive parity in its plug-in folder."""
    folder = tmp_path_factory.mktemp("plugins")
    path = folder / "metrics" / "count_metrics" / "ppv_gap.py"
    path.parent.mkdir(parents=True)
    shutil.copy(EXAMPLE, path)
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK],
        env={**os.environ, PLUGINS: str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    answer: dict[str, Any] = json.loads(found.stdout.replace("NaN", "null"))
    return answer


def test_a_plug_in_metric_is_scored_with_interval_and_null(answers: dict[str, Any]) -> None:
    value = answers["value"]
    assert value["estimate"] == answers["point"]
    assert value["estimate"] == pytest.approx(max(answers["by_hand"]) - min(answers["by_hand"]))
    assert value["status"] == "ok"
    assert 0 <= value["low"] <= value["estimate"] <= value["high"] <= 1
    assert value["low"] < value["high"]
    assert 0 < value["null_p95"] < 1


def test_its_surrogate_is_the_metric_at_hard_predictions(answers: dict[str, Any]) -> None:
    assert answers["hard"] == pytest.approx(answers["point"], abs=1e-12)
    assert 0 < answers["loss"] < 1
    assert answers["slope"] > 0


def test_its_words_and_its_direction_follow(answers: dict[str, Any]) -> None:
    assert answers["words"] == ["predictive parity difference", "ΔPPV", False]
    assert answers["spec"]["direction"] == "lower"
    assert (answers["spec"]["target"], answers["spec"]["bias"], answers["spec"]["null"]) == (0, "up", True)
    assert answers["spec"]["conditions"] == ["all"]
    assert [id for id in answers["order"] if id != "ppv_gap@1"] == list(METRICS)


def test_a_value_that_no_prediction_allows_says_why(answers: dict[str, Any]) -> None:
    assert answers["none"]["estimate"] is None
    assert answers["none"]["status"] == "not_estimable"
    assert answers["none"]["reason"] == "fewer than two groups have a positive prediction"


def test_a_second_file_with_the_same_id_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics" / "count_metrics" / "zz_dp_again.py"
    path.parent.mkdir(parents=True)
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("ppv_gap@1", "dp@1"), encoding="utf-8")
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    with pytest.raises(DiscoveryError, match=r"zz_dp_again\.py: there is a metric dp@1 already"):
        find_count_metrics()


def test_every_definition_is_in_the_registry() -> None:
    assert set(COUNT_METRICS) == set(COUNTS)
    for id, metric in COUNTS.items():
        assert asdict(METRICS[id]) == asdict(metric.spec)
        assert METRICS[id].interval == "counts"


def test_what_follows_from_a_statistic() -> None:
    spec = CountMetric("x@1", "x", "x", "x", Ratio(SELECTION_RATE)).spec
    assert (spec.kind, spec.direction, spec.target, spec.bias, spec.null) == ("result", "higher", 1.0, "down", False)
    assert CountMetric("x@1", "x", "x", "x", Gap(SELECTION_RATE), kind="composite").spec.kind == "composite"
    overall = CountMetric("x@1", "x", "x", "x", Overall(SELECTION_RATE), estimable="needs rows").spec
    assert (overall.kind, overall.bias, overall.conditions) == ("utility", "none", ())


def test_a_rate_that_depends_on_predictions_is_not_linear() -> None:
    import torch

    precision = Rate("precision", hits=((0, 0), (0, 1)), among=((0, 1), (0, 1)))
    assert not precision.is_linear
    with pytest.raises(ValueError, match="no mean prediction"):
        precision.weights(torch.tensor([0, 1]), torch.tensor([0, 0]), 1)
