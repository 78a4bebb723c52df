"""Gates are found by their files: those that come with fairmoe, and one that a user adds in a plug-in folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gates
from foundation.discovery import PLUGINS, facts, items
from gates.candidates import GateFit
from gates.definition import POOLS
from gates.fitting import fit_gate
from gates.gate import GateState, ProjectedGate
from gates.registry import gate_definition, gate_names, load_gate, save_gate
from tasks.task import TaskView
from tests.examples import example

CONFIDENCE = example("gates/confidence.py")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plug-in folder with one gate; what importing it changes is taken back."""
    path = tmp_path / "gates" / "confidence.py"
    path.parent.mkdir()
    path.write_text(CONFIDENCE, encoding="utf-8")
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    monkeypatch.setattr(gates, "__path__", list(gates.__path__))
    yield path
    sys.modules.pop("gates.confidence", None)


def planted(make_view: Callable[..., TaskView]) -> tuple[TaskView, Tensor]:
    """Each expert is surest, and right, about its own third of the rows, and guesses about the others."""
    g = torch.Generator().manual_seed(0)
    labels, groups, own = (torch.randint(0, count, (900,), generator=g) for count in (2, 2, 3))
    guess = torch.randn(900, 3, generator=g) * 2
    sure = 6.0 * (2 * labels - 1)[:, None] * torch.nn.functional.one_hot(own, 3)
    return make_view(torch.randn(900, 4, generator=g), labels, groups), guess + sure


def fitted(view: TaskView, logits: Tensor, name: str, **further: Any) -> GateFit:
    parts = {"logits_oof": logits[view.split.train], "logits_validation": logits[view.split.validation]}
    return fit_gate(view, name=name, seed=0, utility_floor=0.5, **parts, **further)


def test_a_gate_of_a_plug_in_folder_is_found_fitted_saved_and_loaded(
    plugin: Path, tmp_path: Path, make_view: Callable[..., TaskView]
) -> None:
    assert gate_names()[-1] == "confidence"
    assert facts(plugin, "GATE")["label"] == "Confidence gate"
    view, logits = planted(make_view)
    found, test = fitted(view, logits, "confidence"), view.split.test
    assert isinstance(found.gate, ProjectedGate)
    assert [getattr(gate, "power", None) for gate in found.finalists] == [0.0, 1.0, 4.0, 16.0]
    assert found.gate is not found.finalists[0]  # no power is the uniform mixture
    assert found.score.final > fitted(view, logits, "uniform").score.final

    save_gate(found.gate, tmp_path)
    state = GateState(view.features[test], logits[test])
    assert torch.equal(load_gate(tmp_path).weights(state), found.gate.weights(state))


def test_reasons_and_the_costlier_measure_take_part_in_the_choice(
    plugin: Path, make_view: Callable[..., TaskView]
) -> None:
    view, logits = planted(make_view)
    shape = (len(view.split.validation), 3, 4)
    reasons = {"attributions_validation": torch.randn(shape, generator=torch.Generator().manual_seed(1))}
    assert 0 < fitted(view, logits, "confidence", **reasons).score.fair_proc < 1
    assert fitted(view, logits, "confidence", procedural=lambda gate: 0.25, **reasons).score.fair_proc == 0.25


def test_without_the_folder_the_gate_is_unknown(tmp_path: Path) -> None:
    assert "confidence" not in gate_names()
    (tmp_path / "gate.json").write_text('{"name": "confidence", "settings": {}}')
    with pytest.raises(ValueError, match="names the gate 'confidence'; known gates are adaptive, best_single"):
        load_gate(tmp_path)


def test_a_class_with_another_name_than_its_file_is_refused(plugin: Path) -> None:
    plugin.write_text(CONFIDENCE.replace('= "confidence"', '= "assurance"'), encoding="utf-8")
    with pytest.raises(ValueError, match="the gate 'confidence' defines a class whose name is 'assurance'"):
        gate_definition("confidence")


@pytest.mark.parametrize("name", gate_names())
def test_words_of_a_gate_can_be_read_without_importing_it(name: str) -> None:
    definition, literal = gate_definition(name), facts(items("gates", "GATE")[name], "GATE")
    told = ("label", "about", "kind", "method", "pools", "colour", "place")
    assert {key: literal[key] for key in told} == {key: getattr(definition, key) for key in told}
    assert set(definition.pools) <= set(POOLS)
    assert not definition.about.endswith(".")
