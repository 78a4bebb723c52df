from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from experts.evidence import collect_evidence
from experts.expert import Expert
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from gates.dense import DenseGate, initial_tensors
from gates.gate import GateState, ProjectedGate
from gates.static_simplex import StaticSimplexGate
from gates.topk import TopKGate
from gates.uniform import UniformGate
from moe.explain import mixture_integrated_gradients
from moe.mixture import Mixture, load_mixture
from moe.projection import NetworkProjection

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.task import TaskView


@pytest.fixture
def view(make_view: Callable[..., TaskView]) -> TaskView:
    g = torch.Generator().manual_seed(0)
    features = torch.randn(40, 6, generator=g)
    return make_view(features, (features[:, 0] > 0).long(), torch.randint(0, 2, (40,), generator=g))


def expert(view: TaskView, role: str, seed: int, hidden: int = 8) -> MLPExpert:
    parameters = LaneParameters.initial(len(view.feature_names), hidden, [seed])
    return MLPExpert(role, LaneParameters(parameters.theta * 3, parameters.n_features, hidden), view.feature_names, "t")


def experts(view: TaskView) -> tuple[Expert, ...]:
    return expert(view, "utility", 1), expert(view, "result", 2, hidden=5), expert(view, "procedural", 3)


def dense_gate(view: TaskView) -> DenseGate:
    return DenseGate(**gate_tensors(view))


def gate_tensors(view: TaskView) -> dict[str, Tensor]:
    g, d = torch.Generator().manual_seed(4), len(view.feature_names)
    tensors = initial_tensors(d, 3, 16, torch.full((3,), 1 / 3), g)
    tensors |= {"score_weight": torch.randn(16, 3, generator=g), "temperature": torch.tensor(1.0)}
    return tensors | {"visible": torch.ones(d)}


def gates(view: TaskView) -> list[ProjectedGate]:
    tensors = gate_tensors(view)
    static = StaticSimplexGate(torch.tensor([0.5, 0.3, 0.2]))
    return [DenseGate(**tensors), TopKGate(**tensors, k=2), UniformGate(3), static]


ALL_GATES = pytest.mark.parametrize("index", range(4), ids=["dense", "topk", "uniform", "static"])


@ALL_GATES
def test_identical_experts_are_the_expert(view: TaskView, index: int) -> None:
    single, rows = expert(view, "utility", 1), torch.arange(40)
    mixture = Mixture((single,) * 3, gates(view)[index])
    torch.testing.assert_close(mixture.logits(view, rows), single.logits(view, rows), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mixture.attributions(view, rows), single.attributions(view, rows), rtol=0.02, atol=0.05)


@ALL_GATES
def test_a_mixture_is_an_expert_that_gives_evidence(view: TaskView, index: int) -> None:
    mixture = Mixture(experts(view), gates(view)[index])
    assert isinstance(mixture, Expert)
    evidence = collect_evidence(mixture, view, view.split.validation)
    assert evidence.explainer == "integrated_gradients"
    members = torch.stack([torch.sigmoid(e.logits(view, view.split.validation)) for e in mixture.experts], -1)
    assert bool((evidence.probability <= members.amax(-1) + 1e-6).all())
    assert bool((evidence.probability >= members.amin(-1) - 1e-6).all())


@pytest.mark.parametrize("index", [0, 2, 3], ids=["dense", "uniform", "static"])
def test_attributions_add_up_to_the_margin(view: TaskView, index: int) -> None:
    mixture, rows = Mixture(experts(view), gates(view)[index], steps=256), torch.arange(40)
    nothing = torch.zeros(40, 6, dtype=torch.bool)
    difference = mixture.logits(view, rows) - mixture.logits(view, rows, nothing)
    torch.testing.assert_close(mixture.attributions(view, rows).sum(1), difference, rtol=0.01, atol=0.02)


def test_few_steps_are_close_to_many(view: TaskView) -> None:
    rows = torch.arange(40)
    few, many = (Mixture(experts(view), gates(view)[0], steps=s).attributions(view, rows) for s in (32, 1024))
    assert float((few - many).abs().mean()) < 0.02 * float(many.abs().mean())


def test_attributions_include_the_gate(view: TaskView) -> None:
    """Constant experts leave the gate as the only reason."""
    theta = torch.zeros(1, 8 * 7 + 9)
    flat = [MLPExpert("utility", LaneParameters(theta.clone(), 6, 8), view.feature_names, "t") for _ in range(3)]
    for value, single in zip((-2.0, 0.0, 2.0), flat, strict=True):
        single.parameters.theta[0, -1] = value
    rows = torch.arange(40)
    assert float(Mixture(tuple(flat), gates(view)[0]).attributions(view, rows).abs().sum()) > 1
    assert float(Mixture(tuple(flat), gates(view)[2]).attributions(view, rows).abs().sum()) == 0


def test_masks_reach_experts_and_gate(view: TaskView) -> None:
    mixture, rows = Mixture(experts(view), gates(view)[0]), torch.arange(40)
    keep = torch.ones(40, 6, dtype=torch.bool)
    keep[:, 2] = False
    masked = view.features.clone()
    masked[:, 2] = 0
    assert torch.equal(mixture.logits(view, rows, keep), mixture.logits(view.with_features(masked), rows))
    assert not torch.equal(mixture.weights(view, rows, keep), mixture.weights(view, rows))


@ALL_GATES
def test_the_whole_system_is_saved(view: TaskView, index: int, tmp_path: Path) -> None:
    mixture, rows = Mixture(experts(view), gates(view)[index], steps=16), torch.arange(40)
    mixture.save(tmp_path)
    loaded = load_mixture(tmp_path, MLPExpert.load)
    assert [e.role for e in loaded.experts] == ["utility", "result", "procedural"]
    assert torch.equal(loaded.logits(view, rows), mixture.logits(view, rows))
    assert torch.equal(loaded.attributions(view, rows), mixture.attributions(view, rows))


def test_every_expert_is_given_a_folder_of_its_own(view: TaskView, tmp_path: Path) -> None:
    """Its contract: it writes into a folder that is there."""
    Mixture((FiledExpert("utility"), FiledExpert("result")), UniformGate(2)).save(tmp_path)
    assert sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("word")) == [
        "expert_0_utility/word", "expert_1_result/word",
    ]  # fmt: skip


@dataclass(frozen=True)
class StepExpert:
    """A decision stump: no useful gradient, so Shapley values have to explain it."""

    role: str = "utility"
    family: str = "stump"
    explainer: str = "shapley_sampling"

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        column = task.features[rows, 0] if keep is None else task.features[rows, 0] * keep[:, 0]
        return torch.where(column > 0, 1.0, -1.0)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError


class FiledExpert(StepExpert):
    """Writes a file, and makes no folder for it."""

    def save(self, folder: Path) -> None:
        (folder / "word").write_text(self.role)


def test_experts_without_gradient_are_explained_by_shapley_values(view: TaskView) -> None:
    mixture = Mixture((StepExpert(), *experts(view)[1:]), gates(view)[0])
    assert mixture.explainer == "shapley_sampling"
    rows = torch.arange(40)
    difference = mixture.logits(view, rows) - mixture.logits(view, rows, torch.zeros(40, 6, dtype=torch.bool))
    torch.testing.assert_close(mixture.attributions(view, rows).sum(1).float(), difference, rtol=1e-4, atol=1e-4)


@dataclass(frozen=True)
class AskedExpert(StepExpert):
    """An expert that is dear to ask: it counts the masks it was asked for."""

    explainer: str = "occlusion"
    parameter_count: int = 7
    asked: list[Tensor] = field(default_factory=list)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        if keep is not None:
            self.asked.append((~keep).sum(1))
        return super().logits(task, rows, keep)


def test_with_an_expert_explained_by_occlusion_the_mixture_is_too(view: TaskView) -> None:
    asked = AskedExpert()
    mixture, rows = Mixture((asked, *experts(view)[1:]), gates(view)[0]), torch.arange(40)
    assert mixture.explainer == "occlusion"
    attributions = mixture.attributions(view, rows)
    assert int(torch.cat(asked.asked).max()) == 1  # what the expert's own evidence asks for anyway
    keep = torch.arange(6) != 2
    difference = mixture.logits(view, rows) - mixture.logits(view, rows, keep.expand(40, -1))
    torch.testing.assert_close(attributions[:, 2].float(), difference, rtol=1e-5, atol=1e-5)
    evidence = collect_evidence(mixture, view, rows)
    assert evidence.explainer == "occlusion" and evidence.masked is not None
    top = attributions.abs().argmax(1)
    expected = mixture.logits(view, rows).double() - attributions[torch.arange(40), top]
    torch.testing.assert_close(evidence.masked, torch.sigmoid(expected).float(), rtol=1e-5, atol=1e-5)
    nested = Mixture((mixture, expert(view, "utility", 5)), UniformGate(2))
    assert nested.explainer == "occlusion"


def test_chained_reasons_pass_the_experts_own_on_with_their_share_of_the_margin(view: TaskView) -> None:
    """Under constant weights dM/dz_k = w_k p_k (1 - p_k) / (p (1 - p)), and the gate has no reasons of its own."""
    weights, rows = torch.tensor([0.5, 0.2, 0.3]), torch.arange(40)
    mixture = Mixture(experts(view), StaticSimplexGate(weights), chained=True)
    assert mixture.explainer == "chained"
    single = torch.stack([torch.sigmoid(e.logits(view, rows)) for e in mixture.experts], 1)
    mixed = single @ weights
    factors = weights * single * (1 - single) / (mixed * (1 - mixed))[:, None]
    own = torch.stack([e.attributions(view, rows) for e in mixture.experts], 1)
    expected = (factors[:, :, None] * own).sum(1)
    found = mixture.attributions(view, rows)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_chained_reasons_hold_the_gates_own(view: TaskView) -> None:
    """The gate's part is gradient times input; a trained gate's differ from those of constant weights."""
    gate, rows = dense_gate(view), torch.arange(40)
    mixture = Mixture(experts(view), gate, chained=True)
    state = mixture.state(view, rows)
    features, logits = state.features.double().requires_grad_(), state.logits.double()
    double = gate.to(torch.float64)

    def margin(x: Tensor, z: Tensor) -> Tensor:
        mixed = (double.weights(GateState(x, z)) * torch.sigmoid(z)).sum(-1)
        return torch.logit(mixed)

    (by_feature,) = torch.autograd.grad(margin(features, logits).sum(), features)
    z = logits.clone().requires_grad_()
    (by_logit,) = torch.autograd.grad(margin(features.detach(), z).sum(), z)
    own = torch.stack([e.attributions(view, rows) for e in mixture.experts], 1).double()
    expected = by_feature * features.detach() + torch.einsum("rm,rmc->rc", by_logit, own)
    torch.testing.assert_close(mixture.attributions(view, rows).double(), expected, rtol=1e-3, atol=1e-4)


def test_rows_are_explained_alike_however_many_at_once(view: TaskView, monkeypatch: pytest.MonkeyPatch) -> None:
    mixture, rows = Mixture(experts(view), gates(view)[0], steps=8), torch.arange(40)
    whole = mixture.attributions(view, rows)
    monkeypatch.setattr("moe.explain._CHUNK_FLOATS", 1)
    torch.testing.assert_close(mixture.attributions(view, rows), whole, rtol=1e-5, atol=1e-6)


class CountingProjection(NetworkProjection):
    """Notes how many rows it is asked for at once."""

    def __init__(self, parameters: LaneParameters) -> None:
        super().__init__(parameters)
        self.parts: list[int] = []

    def project(self, features: Tensor) -> Tensor:
        self.parts += [len(features)] if features.requires_grad else []
        return super().project(features)


def test_as_many_rows_are_explained_at_once_as_there_is_room_for(
    view: TaskView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths of 8 steps through layers of 8, 5, 8 and the gate's 16 units take 296 numbers per row."""
    monkeypatch.setattr("moe.explain._CHUNK_FLOATS", 5000)
    projections = [CountingProjection(e.parameters) for e in experts(view) if isinstance(e, MLPExpert)]
    found = mixture_integrated_gradients(projections, gates(view)[0], view.features, 8)
    assert found.shape == view.features.shape and sum(projections[0].parts) == 40
    assert 5000 / 296 >= max(projections[0].parts) >= 5000 / 296 / 2


def test_a_layer_of_one_unit_has_its_reasons(view: TaskView) -> None:
    one, rows = expert(view, "utility", 1, hidden=1), torch.arange(40)
    mixture = Mixture((one, one), UniformGate(2))
    torch.testing.assert_close(mixture.attributions(view, rows), one.attributions(view, rows), rtol=0.02, atol=0.05)
    assert float(mixture.attributions(view, rows).abs().sum()) > 1


def test_the_rows_that_are_asked_for_are_explained_and_drawn_by_the_seed(view: TaskView) -> None:
    parts, gate = (StepExpert(), *experts(view)[1:]), gates(view)[0]
    some = torch.tensor([31, 4, 17])
    first, again, other = (Mixture(parts, gate, explainer_seed=s).attributions(view, some) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(Mixture(parts, gate).attributions(view, some), first)
    mixture = Mixture(parts, gate)
    difference = mixture.logits(view, some) - mixture.logits(view, some, torch.zeros(3, 6, dtype=torch.bool))
    torch.testing.assert_close(first.sum(1).float(), difference, rtol=1e-4, atol=1e-4)


def test_a_mixture_takes_as_many_steps_as_its_explainer_does_by_itself(view: TaskView) -> None:
    mixture, rows = Mixture(experts(view), gates(view)[0]), torch.arange(40)
    projections = [NetworkProjection(e.parameters) for e in experts(view) if isinstance(e, MLPExpert)]
    assert torch.equal(mixture.attributions(view, rows), mixture_integrated_gradients(
        projections, gates(view)[0], view.features
    ))  # fmt: skip


def test_a_mixture_knows_the_group_if_one_of_its_experts_does(view: TaskView) -> None:
    told = AskedExpert()
    object.__setattr__(told, "knows_group", True)
    assert Mixture((told, *experts(view)[1:]), UniformGate(3)).knows_group
    assert not Mixture(experts(view), UniformGate(3)).knows_group


@pytest.mark.parametrize("chained", [False, True])
def test_how_it_is_explained_is_saved(view: TaskView, chained: bool, tmp_path: Path) -> None:
    mixture = Mixture(experts(view), gates(view)[0], steps=7, explainer_seed=3, role="combined", chained=chained)
    mixture.save(tmp_path)
    found = load_mixture(tmp_path, MLPExpert.load)
    assert (found.steps, found.explainer_seed, found.role, found.chained) == (7, 3, "combined", chained)


def test_learnt_numbers_of_experts_that_count_them_are_counted(view: TaskView) -> None:
    sizes = [h * 7 + h + 1 for h in (5, 8)]
    assert Mixture((AskedExpert(), *experts(view)[1:]), UniformGate(3)).parameter_count == 7 + sum(sizes)
    assert Mixture((StepExpert(), *experts(view)[1:]), UniformGate(3)).parameter_count == sum(sizes)


def test_parameter_count_is_that_of_networks_and_gate(view: TaskView) -> None:
    sizes = [h * 7 + h + 1 for h in (8, 5, 8)]
    assert Mixture(experts(view), gates(view)[2]).parameter_count == sum(sizes)
    assert Mixture(experts(view), gates(view)[0]).parameter_count == sum(sizes) + (6 + 7 + 1) * 16 + 17 * 3
