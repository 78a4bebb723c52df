"""Mixtures inside the layers: known weights give known experts, a text is read once, and routers agree with others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from experts.expert import Expert
from foundation.seeding import torch_generator
from gates.dense import DenseGate, initial_tensors
from gates.gate import ProjectedGate
from gates.registry import load_gate
from llm_experts.adapters.error import AdapterError
from llm_experts.mixtures.dispatch import BayesDispatcher, responsibilities
from llm_experts.mixtures.routers import DispatchRouter, GateRouter
from llm_experts.mixtures.row_mixture import RowMixture, calibrate_mixture
from llm_experts.prompts.prompts import Packed
from llm_experts.reading.calibration import calibrated, fit_calibration
from llm_experts.reading.expert import LLMExpert, base_expert, load_llm_expert
from llm_experts.reading.reader import Reader
from moe.mixture import Mixture
from moe.routing import Routed
from tasks.task import TaskView
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM, make_adapter

ROLES = ("utility", "result", "procedural")
VALIDATION = SCM.split.validation[:40]


def experts(reader: Reader | None = None, seeds: tuple[int, ...] = (0, 1, 2)) -> tuple[LLMExpert, ...]:
    """Experts of one reader whose LoRA adapters are random."""
    shared = reader or Reader(BASE)
    return tuple(LLMExpert(ROLES[i], shared, make_adapter("lora", seed)) for i, seed in enumerate(seeds))


@dataclass
class Table:
    """A router that gives each row its own, known weights."""

    table: Tensor
    asked: list[int] = field(default_factory=list)
    kind: str = "table"

    def weights(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        self.asked.append(len(rows))
        return self.table[rows]

    def save(self, folder: Path) -> None:
        """Write the weights."""
        (folder / "table.json").write_text(json.dumps(self.table.tolist()))


def everywhere(*weights: float) -> Table:
    """The same weights for every row."""
    return Table(torch.tensor(weights).expand(len(SCM.labels), -1))


def random_table(m: int) -> Table:
    """Weights on the simplex that differ between rows."""
    scores = torch.randn(len(SCM.labels), m, generator=torch_generator(0, "weights"))
    return Table(torch.softmax(2 * scores, -1))


def dense_gate(m: int) -> ProjectedGate:
    """A random gate whose weights differ between rows."""
    features, generator = len(SCM.feature_names), torch_generator(0, "gate")
    tensors = initial_tensors(features, m, 8, torch.full((m,), 1 / m), generator)
    tensors |= {"score_weight": torch.randn(8, m, generator=generator)}
    return DenseGate(**tensors, temperature=torch.tensor(1.0), visible=torch.ones(features))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_one_hot_weight_is_that_expert(which: int) -> None:
    members = experts()
    found = RowMixture(members, everywhere(*torch.eye(3)[which].tolist())).margins(SCM, ROWS)
    close(found, members[which].margins(SCM, ROWS))
    assert float((found - members[(which + 1) % 3].margins(SCM, ROWS)).abs().min()) > 1e-4


def test_weight_on_the_base_alone_is_the_base() -> None:
    members = experts(seeds=(0, 1))
    base = base_expert(members[0].reader)
    found = RowMixture((base, *members), everywhere(1.0, 0.0, 0.0)).margins(SCM, ROWS)
    close(found, base.margins(SCM, ROWS))
    assert float((found - members[0].margins(SCM, ROWS)).abs().min()) > 1e-4


def test_the_place_of_the_base_among_the_experts_does_not_matter() -> None:
    one, two = experts(seeds=(0, 1))
    base = base_expert(one.reader)
    found = RowMixture((one, base, two), everywhere(0.5, 0.2, 0.3)).margins(SCM, ROWS)
    close(found, RowMixture((base, one, two), everywhere(0.2, 0.5, 0.3)).margins(SCM, ROWS))


def test_identical_experts_are_that_expert_whatever_the_weights() -> None:
    members = experts(seeds=(5, 5, 5))
    close(RowMixture(members, random_table(3)).margins(SCM, ROWS), members[0].margins(SCM, ROWS))


def test_each_row_has_its_own_weights() -> None:
    members, router = experts(), random_table(3)
    together = RowMixture(members, router).margins(SCM, VALIDATION)
    alone = [RowMixture(members, everywhere(*router.table[row].tolist())).margins(SCM, row[None]) for row in VALIDATION]
    close(together, torch.cat(alone))
    assert float(together.std()) > 1e-3


def test_a_half_of_one_adapter_is_the_adapter_with_half_its_b() -> None:
    """Hand-worked: W x + ½ B A x is what an adapter with B / 2 computes."""
    (member,) = experts(seeds=(3,))
    assert member.adapter is not None
    state = {key: value / 2 if ".lora_B." in key else value for key, value in member.adapter.state.items()}
    half = LLMExpert("utility", member.reader, type(member.adapter)(member.adapter.config, state))
    mixture = RowMixture((base_expert(member.reader), member), everywhere(0.5, 0.5))
    close(mixture.margins(SCM, ROWS), half.margins(SCM, ROWS))


class CountingReader(Reader):
    """Counts the prompts that go through the model."""

    read = 0

    def batches(self, packed: Packed, *args: Any, **options: Any) -> Iterator[Any]:
        self.read += len(packed)
        yield from super().batches(packed, *args, **options)


def test_a_text_is_read_and_routed_once() -> None:
    reader = CountingReader(BASE)
    router = random_table(3)
    mixture = RowMixture(experts(reader), router)
    first = mixture.margins(SCM, ROWS)
    assert reader.read == len(ROWS) and router.asked == [len(ROWS)]
    assert torch.equal(mixture.margins(SCM, ROWS.flip(0)), first.flip(0))
    assert torch.equal(mixture.logits(SCM, ROWS), first)
    assert reader.read == len(ROWS) and router.asked == [len(ROWS)]
    mixture.margins(SCM, torch.cat([ROWS, torch.tensor([1, 2, 4])]))
    assert reader.read == len(ROWS) + 3 and router.asked[1:] == [3]
    assert mixture.margins(SCM, ROWS[:0]).shape == (0,)


def test_rows_that_read_alike_keep_weights_of_their_own() -> None:
    """A gate sees features; two rows may be written alike and still be told apart by it."""
    changed = SCM.features.clone()
    changed[ROWS[1]] = changed[ROWS[0]] + 1
    frame = SCM.frame.copy()
    frame.iloc[int(ROWS[1])] = frame.iloc[int(ROWS[0])]
    view = _with(SCM, features=changed, frame=frame)
    pair = ROWS[:2]
    reader = Reader(BASE)
    packed = reader.pack(view, pair)
    assert len(set(packed.keys())) == 1
    members = experts(reader)
    mixture = RowMixture(members, GateRouter(members, dense_gate(3)))
    both = mixture.margins(view, pair)
    backwards = RowMixture(members, GateRouter(members, dense_gate(3))).margins(view, pair.flip(0)).flip(0)
    close(both, backwards)
    assert float((both[0] - both[1]).abs()) > 1e-5


def _with(view: TaskView, **changes: object) -> TaskView:
    import dataclasses

    return dataclasses.replace(view, **changes)  # type: ignore[arg-type]


def test_attributions_are_what_a_column_adds_and_are_remembered() -> None:
    reader = CountingReader(BASE)
    members = experts(reader)
    mixture = RowMixture(members, GateRouter(members, dense_gate(3)), temperature=1.3, bias=0.2)
    attributions = mixture.attributions(SCM, ROWS)
    read = reader.read
    assert attributions.shape == (len(ROWS), len(SCM.columns))
    for column in range(len(SCM.columns)):
        keep = torch.ones(len(ROWS), len(SCM.columns), dtype=torch.bool)
        keep[:, column] = False
        close(attributions[:, column], mixture.logits(SCM, ROWS) - mixture.logits(SCM, ROWS, keep))
    assert torch.equal(mixture.attributions(SCM, ROWS), attributions)
    assert reader.read == read
    assert float(attributions.abs().max()) > 1e-4


def test_is_an_expert_that_routes() -> None:
    members = experts()
    mixture = RowMixture(members, random_table(3))
    assert isinstance(mixture, Expert) and isinstance(mixture, Routed)
    assert mixture.parameter_count == sum(member.parameter_count - 2 for member in members) + 2


def test_calibration_fits_the_mixtures_own_margins() -> None:
    mixture = RowMixture(experts(), random_table(3))
    made = calibrate_mixture(mixture, SCM, VALIDATION)
    margins, labels = mixture.margins(SCM, VALIDATION), SCM.labels[VALIDATION]
    temperature, bias = fit_calibration(margins[None], labels)
    assert (made.temperature, made.bias) == (float(temperature[0]), float(bias[0]))
    close(made.logits(SCM, VALIDATION), calibrated(margins, made.temperature, made.bias))
    loss: Callable[[Tensor], Tensor] = lambda x: torch.nn.functional.binary_cross_entropy_with_logits(x, labels.float())  # noqa: E731
    assert loss(made.logits(SCM, VALIDATION)) <= loss(margins) + 1e-3
    assert made.memory is mixture.memory


def test_is_saved_with_experts_and_router(tmp_path: Path) -> None:
    members = experts(seeds=(0, 1))
    base = base_expert(members[0].reader, "base")
    gate = dense_gate(3)
    RowMixture((base, *members), GateRouter((base, *members), gate), temperature=2.0, bias=-0.5).save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text())
    assert (facts["temperature"], facts["bias"], facts["router"]) == (2.0, -0.5, "gate")
    assert facts["experts"] == ["expert_0_base_base", "expert_1_lora_utility", "expert_2_lora_result"]
    loaded = load_llm_expert(tmp_path / facts["experts"][2], BASE)
    assert torch.equal(loaded.margins(SCM, ROWS), members[1].margins(SCM, ROWS))
    assert load_llm_expert(tmp_path / facts["experts"][0], BASE).role == "base"
    assert torch.equal(load_gate(tmp_path / "router").score_weight, gate.score_weight)  # type: ignore[attr-defined]


def test_without_any_adapter_there_is_nothing_to_compose() -> None:
    reader = Reader(BASE)
    with pytest.raises(AdapterError, match="at least one expert with an adapter"):
        RowMixture((base_expert(reader),), everywhere(1.0)).margins(SCM, ROWS)


def test_two_mixtures_of_one_reader_do_not_disturb_each_other() -> None:
    members = experts()
    one, other = (RowMixture(members, everywhere(*torch.eye(3)[k].tolist())) for k in (0, 1))
    first = one.margins(SCM, ROWS[:3])
    close(other.margins(SCM, ROWS), members[1].margins(SCM, ROWS))
    close(torch.cat([first, one.margins(SCM, ROWS[3:])]), members[0].margins(SCM, ROWS))
    close(Reader(BASE).margins([None], SCM, ROWS)[0], base_expert(members[0].reader).margins(SCM, ROWS))


def test_a_gate_routes_as_it_does_in_an_output_mixture() -> None:
    members, gate = experts(), dense_gate(3)
    keep = torch.ones(len(ROWS), len(SCM.columns), dtype=torch.bool)
    keep[:, 1] = False
    for mask in (None, keep):
        found = GateRouter(members, gate).weights(SCM, ROWS, mask)
        assert torch.equal(found, Mixture(members, gate).weights(SCM, ROWS, mask))
    assert float(found.std(0).max()) > 1e-3


def dispatch_router(reader: Reader) -> DispatchRouter:
    router = DispatchRouter(BayesDispatcher(), reader)
    losses = torch.rand(len(SCM.split.train), 2, generator=torch_generator(0, "losses")) * 3
    router.dispatcher.fit(*router.evidence(SCM, SCM.split.train), responsibilities(losses, losses[:, 0] + 0.5))
    return router


def test_dispatch_weighs_the_base_and_every_expert(tmp_path: Path) -> None:
    reader = Reader(BASE)
    router = dispatch_router(reader)
    weights = router.weights(SCM, VALIDATION)
    assert weights.shape == (len(VALIDATION), 3) and weights.dtype == torch.float32
    close(weights.sum(-1), torch.ones(len(VALIDATION)))
    assert bool((weights >= 0).all())
    members = (base_expert(reader), *experts(reader, seeds=(0, 1)))
    mixture = RowMixture(members, router)
    assert torch.equal(mixture.weights(SCM, VALIDATION), weights)
    abstained = weights[:, 0] == 1
    if bool(abstained.any()):
        close(mixture.margins(SCM, VALIDATION)[abstained], members[0].margins(SCM, VALIDATION)[abstained])
    mixture.save(tmp_path)
    again = BayesDispatcher.load(tmp_path / "router" / "dispatcher")
    assert torch.equal(DispatchRouter(again, reader).weights(SCM, VALIDATION), weights)


def test_a_question_does_not_take_the_bank_from_another_that_is_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread stands still in the middle of its texts while another one asks for other answers."""
    reader = Reader(BASE)
    mixture = RowMixture(experts(reader), everywhere(0.2, 0.3, 0.5))
    packed, weights = reader.pack(SCM, ROWS), torch.tensor([0.2, 0.3, 0.5]).expand(len(ROWS), -1)
    answers = [reader.prompts(SCM).answer_ids, (5, 6)]
    alone = [mixture._read(packed, weights, ids) for ids in answers]
    middle, other = threading.Event(), threading.Event()
    batches = Reader.batches

    def halting(self: Reader, some: Packed, most: int | None = None) -> Iterator[Any]:
        if threading.current_thread() is first:
            middle.set()
            other.wait(1.0)  # the other thread may have to wait for this one
        yield from batches(self, some, most)

    monkeypatch.setattr(Reader, "batches", halting)
    found: dict[int, Tensor] = {}

    def ask(index: int) -> None:
        found[index] = mixture._read(packed, weights, answers[index])
        other.set()

    first, second = (threading.Thread(target=ask, args=(index,)) for index in (0, 1))
    first.start()
    middle.wait(10.0)
    second.start()
    first.join()
    second.join()
    for index, expected in enumerate(alone):
        close(found[index], expected)
