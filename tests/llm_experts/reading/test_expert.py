"""An LLM expert is an expert: logits, reasons and evidence, from stored margins; saved and read back."""

import dataclasses
import json
import logging
import math
from pathlib import Path

import pytest
import torch

from experts.evidence import collect_evidence
from experts.expert import Expert
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from gates.dense import DenseGate, initial_tensors
from gates.uniform import UniformGate
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import KINDS
from llm_experts.reading.calibration import CalibrationError
from llm_experts.reading.expert import LLMExpert, answer, base_expert, calibrate, load_llm_expert, probe
from llm_experts.reading.margin_memory import MarginMemory
from llm_experts.reading.reader import Reader
from metrics.score import score
from moe.mixture import Mixture
from tasks.load import load_task
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM, VIRTUAL, make_adapter

VALIDATION = SCM.split.validation[:40]


def expert(seed: int = 0, kind: str = "lora", reader: Reader | None = None) -> LLMExpert:
    return LLMExpert("utility", reader or Reader(BASE), make_adapter(kind, seed))


class Silent(Reader):
    """A reader that must not be asked."""

    def ask(self, *args: object, **kwargs: object) -> torch.Tensor:
        raise AssertionError("the model was asked")

    ask_branches = ask


def silenced(experts: list[LLMExpert]) -> list[LLMExpert]:
    """The experts with nothing but their memories."""
    return [dataclasses.replace(e, reader=Silent(BASE)) for e in experts]


def test_gives_evidence_that_is_scored_as_any_experts() -> None:
    made = expert()
    assert isinstance(made, Expert)
    evidence = collect_evidence(made, SCM, VALIDATION)
    assert evidence.explainer == "occlusion" and evidence.counterfactual is not None
    assert evidence.attributions is not None and evidence.masked is not None
    margins = made.logits(SCM, VALIDATION)
    torch.testing.assert_close(evidence.probability, torch.sigmoid(margins))
    top = evidence.attributions.abs().argmax(1)
    lost = evidence.attributions[torch.arange(40), top]
    torch.testing.assert_close(evidence.masked, torch.sigmoid(margins - lost), atol=1e-5, rtol=1e-5)
    for group in (0, 1):
        moved = made.logits(SCM.moved_to(group), VALIDATION)
        torch.testing.assert_close(evidence.counterfactual[:, group], torch.sigmoid(moved))
    labels, groups = SCM.labels[VALIDATION], SCM.groups[VALIDATION]
    scores = score(evidence, labels, groups, SCM.group_names, seed=0, draws=20, permutations=20)
    assert scores.values["cfr_soft@1"].status == "ok" and math.isfinite(scores.values["att_jsd@1"].estimate)


def test_attributions_are_what_a_column_adds() -> None:
    made = expert()
    attributions = made.attributions(SCM, ROWS)
    assert attributions.shape == (len(ROWS), len(SCM.columns))
    for column in range(len(SCM.columns)):
        keep = torch.ones(len(ROWS), len(SCM.columns), dtype=torch.bool)
        keep[:, column] = False
        expected = made.logits(SCM, ROWS) - made.logits(SCM, ROWS, keep)
        torch.testing.assert_close(attributions[:, column], expected, atol=1e-5, rtol=1e-5)


def test_after_a_probe_no_expert_asks_the_model_again() -> None:
    reader = Reader(BASE)
    experts = [expert(0, reader=reader), expert(1, "dora", reader), base_expert(reader, "result")]
    probe(experts, SCM, VALIDATION)
    single = [expert(0), expert(1, "dora"), base_expert(Reader(BASE), "result")]
    for quiet, alone in zip(silenced(experts), single, strict=True):
        found, expected = collect_evidence(quiet, SCM, VALIDATION), collect_evidence(alone, SCM, VALIDATION)
        for name in ("probability", "attributions", "masked", "counterfactual"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-5, rtol=1e-4)


def test_a_probe_asks_for_what_is_missing_only() -> None:
    reader, asked = Reader(BASE), []
    original = reader.ask_branches

    def counted(adapters, answers, plain, texts, source):  # type: ignore[no-untyped-def]
        asked.append((len(plain), len(texts)))
        return original(adapters, answers, plain, texts, source)

    reader.ask_branches = counted  # type: ignore[method-assign]
    first, second = expert(0, reader=reader), expert(1, reader=reader)
    probe([first], SCM, ROWS[:4])
    probe([first], SCM, ROWS[:4])
    assert len(asked) == 1
    probe([first], SCM, ROWS)
    assert asked[1][0] == 2
    before = first.logits(SCM, ROWS)
    probe([first, second], SCM, ROWS)
    assert torch.equal(first.logits(SCM, ROWS), before)  # an expert does not change its mind
    assert len(asked) == 3


def test_memory_is_by_text_and_can_be_forgotten() -> None:
    made = expert()
    first = made.logits(SCM, ROWS)
    size = len(made.memory)
    shuffled = ROWS.flip(0)
    assert torch.equal(silenced([made])[0].logits(SCM, shuffled), first.flip(0))
    keep = torch.ones(len(ROWS), len(SCM.columns), dtype=torch.bool)
    assert torch.equal(silenced([made])[0].logits(SCM, ROWS, keep), first)
    assert len(made.memory) == size
    made.forget()
    assert len(made.memory) == 0
    assert torch.equal(made.logits(SCM, ROWS), first)


def test_memory_is_bounded() -> None:
    memory = MarginMemory(limit=3)
    memory.learn([b"a", b"b"], torch.tensor([1.0, 2.0]))
    memory.learn([b"a", b"c", b"d"], torch.tensor([9.0, 3.0, 4.0]))
    assert len(memory) == 3
    assert memory.missing([b"a", b"b", b"c", b"d", b"a"]) == [0]
    assert memory.values([b"d", b"b"]).tolist() == [4.0, 2.0]


def test_experts_are_calibrated_together() -> None:
    reader = Reader(BASE)
    experts = [expert(0, reader=reader), expert(1, reader=reader), base_expert(reader)]
    for before, after in zip(experts, calibrate(experts, SCM, VALIDATION), strict=True):
        assert after.temperature > 0 and math.isfinite(after.bias)
        margins = before.margins(SCM, VALIDATION)
        torch.testing.assert_close(after.logits(SCM, VALIDATION), margins / after.temperature + after.bias)
        labels = SCM.labels[VALIDATION].float()
        loss = [
            torch.nn.functional.binary_cross_entropy_with_logits(e.logits(SCM, VALIDATION), labels)
            for e in (before, after)
        ]
        assert loss[1] <= loss[0] + 1e-3
    with pytest.raises(CalibrationError, match="found \\[-1"):
        calibrate(experts, SCM, SCM.split.test[:5])


def test_equal_questions_get_equal_answers_in_any_order() -> None:
    made = expert()
    answer([made], SCM, torch.cat([ROWS, ROWS]))
    assert len(made.memory) == len(ROWS)
    assert made.logits(SCM, torch.tensor([], dtype=torch.int64)).shape == (0,)
    assert made.attributions(SCM, torch.tensor([], dtype=torch.int64)).shape == (0, len(SCM.columns))


@pytest.mark.parametrize("kind", ["base", *KINDS])
def test_is_saved_and_read_back(kind: str, tmp_path: Path) -> None:
    reader = Reader(BASE, "list", start=0 if kind in VIRTUAL else -1)
    adapter = None if kind == "base" else make_adapter(kind)
    made = LLMExpert("procedural", reader, adapter, temperature=1.7, bias=-0.3)
    made.save(tmp_path)
    loaded = load_llm_expert(tmp_path, BASE)
    assert (loaded.role, loaded.kind, loaded.reader.template, loaded.family) == ("procedural", kind, "list", "llm")
    assert torch.equal(loaded.logits(SCM, ROWS), made.logits(SCM, ROWS))
    assert loaded.parameter_count == made.parameter_count and loaded.adapter_bytes == made.adapter_bytes
    shared = load_llm_expert(tmp_path, BASE, [Reader(BASE), reader])
    assert shared.reader is reader


def test_counts_what_was_learnt() -> None:
    assert base_expert(Reader(BASE)).parameter_count == 2 and base_expert(Reader(BASE)).adapter_bytes == 0
    lora, frozen_a = make_adapter("lora"), make_adapter("lora_fa")
    weights = sum(value.numel() for value in lora.state.values())
    assert expert(0).parameter_count == weights + 2
    assert expert(0).adapter_bytes == 4 * weights
    b = sum(value.numel() for key, value in frozen_a.state.items() if ".lora_B." in key)
    assert LLMExpert("utility", Reader(BASE), frozen_a).parameter_count == b + 2


def test_another_base_is_refused(tmp_path: Path) -> None:
    expert().save(tmp_path)
    other = make_tiny_base(seed=1)
    with pytest.raises(AdapterError, match="made on tiny with hash"):
        load_llm_expert(tmp_path, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "mlp"}, "its family is 'mlp'"),
        ({"role": "king"}, "its role is 'king'"),
        ({"base": {}}, "names no base"),
        ({"temperature": 0.0}, "must be positive"),
        ({"template": 3}, "template is 3"),
    ],
)
def test_a_description_that_is_none_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    expert().save(tmp_path)
    path = tmp_path / "expert.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(AdapterError, match=message):
        load_llm_expert(tmp_path, BASE)
    path.write_text("{")
    with pytest.raises(AdapterError, match="is not JSON"):
        load_llm_expert(tmp_path, BASE)
    path.unlink()
    with pytest.raises(AdapterError, match="There is no"):
        load_llm_expert(tmp_path, BASE)


def test_a_base_that_does_not_answer_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = base_expert(Reader(BASE)).answer_mass(SCM, ROWS)
    assert 0 < found.mean < 0.1 and found.low == 1.0
    assert "does not answer the question" in caplog.text and "base on tiny" in caplog.text


def test_a_mixture_across_families_lives_on_what_was_asked() -> None:
    reader = Reader(BASE)
    llm = [expert(0, reader=reader), base_expert(reader, "result")]
    probe(llm, SCM, VALIDATION)
    network = MLPExpert.of_lane(SCM, "utility", LaneParameters.initial(len(SCM.feature_names), 8, [0]))
    features = len(SCM.feature_names)
    tensors = initial_tensors(features, 3, 8, torch.full((3,), 1 / 3), torch.Generator().manual_seed(0))
    tensors |= {"temperature": torch.tensor(1.0), "visible": torch.ones(features)}
    quiet = silenced(llm)
    for gate in (UniformGate(3), DenseGate(**tensors)):
        mixture = Mixture((network, *quiet), gate)
        assert mixture.explainer == "occlusion"
        evidence = collect_evidence(mixture, SCM, VALIDATION)
        members = torch.stack([torch.sigmoid(e.logits(SCM, VALIDATION)) for e in (network, *quiet)], -1)
        assert bool((evidence.probability <= members.amax(-1) + 1e-6).all())
        assert bool(evidence.attributions is not None and evidence.attributions.isfinite().all())
    assert mixture.parameter_count > network.parameters.theta.numel() + llm[0].parameter_count


def test_an_expert_reads_other_tasks() -> None:
    """Text has no fixed columns: rows of a task that drops the sensitive ones are read as they are."""
    dropped = load_task("scm", rows=300, use_sensitive="drop").view()
    made = expert()
    assert made.logits(dropped, ROWS).shape == (len(ROWS),)
    assert made.attributions(dropped, ROWS).shape == (len(ROWS), len(dropped.columns))
    assert collect_evidence(made, dropped, ROWS).counterfactual is None
