"""A baseline that a user adds in a plug-in folder: one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.methods import baselines
from benchmarks.methods.baseline_tuning import tune_baseline
from benchmarks.methods.baselines import baseline_names, load_baseline, needs_edges
from experts.expert import Expert
from foundation.discovery import PLUGINS, DiscoveryError
from tasks.load import load_task
from tests.examples import example

NEIGHBOURS = example("benchmarks/methods/baselines/neighbours.py")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plug-in folder with one baseline; what importing it changes is taken back."""
    path = tmp_path / "benchmarks" / "methods" / "baselines" / "neighbours.py"
    path.parent.mkdir(parents=True)
    path.write_text(NEIGHBOURS, encoding="utf-8")
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    monkeypatch.setattr(baselines, "__path__", list(baselines.__path__))
    yield path
    sys.modules.pop("benchmarks.methods.baselines.neighbours", None)


def test_a_baseline_of_a_plug_in_folder_is_found_tuned_and_fitted(plugin: Path) -> None:
    assert baseline_names()[-1] == "neighbours"
    assert "benchmarks.methods.baselines.neighbours" not in sys.modules
    assert not needs_edges("neighbours")
    method, view = load_baseline("neighbours"), load_task("scm", rows=300).view()
    tuned = tune_baseline(method, view, seed=0, trials=3, floor=0.0)
    assert isinstance(tuned.expert, Expert)
    assert tuned.expert.family == method.family
    assert 5 <= tuned.params["n_neighbors"] <= 50
    assert len({row["params"]["n_neighbors"] for row in tuned.trials}) > 1
    assert tuned.expert.logits(view, view.split.test).isfinite().all()


def test_without_the_folder_the_baseline_is_unknown() -> None:
    with pytest.raises(DiscoveryError, match="no 'neighbours' in benchmarks"):
        load_baseline("neighbours")
