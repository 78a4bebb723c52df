"""Consolidation on real lanes: the Fisher information per sample, and what it holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.reading import write_examples
from llm_experts.decoder.program import Adapter
from llm_experts.training.loop.assignment import Assignment, Fitted
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.order import items_of
from llm_experts.training.loop.settings import Settings, SettingsError
from llm_experts.training.methods.ewc import EWCOptions
from llm_experts.training.methods.fisher import (
    FILE,
    HELD,
    Fisher,
    fisher_of,
    flat,
    keep_fisher,
    read_fisher,
    write_fisher,
)
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.methods.method_fixtures import EXAMPLES, settings_of

PLAIN = [dataclasses.replace(example, facts={}) for example in EXAMPLES]
FIRST, SECOND = PLAIN[:2], PLAIN[2:]


def an_adapter(base: Base, kind: str = "lora") -> tuple[SequenceLanes, Adapter]:
    lanes = SequenceLanes.fresh(base, kind, [4], [0])
    moved = lanes.start[0] + 0.05 * torch.randn(lanes.start[0].shape, generator=torch.Generator().manual_seed(1))
    adapter = lanes.adapter(0, moved)
    return SequenceLanes.of(base, [adapter]), adapter


def by_brute_force(lanes: SequenceLanes, base: Base, settings: Settings) -> Tensor:
    rows = []
    for item in items_of(EXAMPLES, base, settings, "completion"):
        theta = lanes.start.clone().requires_grad_()
        logprob = lanes.token_logprobs(theta, collate([[item]], base.device)).sum()
        rows.append(torch.autograd.grad(logprob, theta)[0][0])
    return torch.stack(rows).square().mean(0)


@pytest.mark.parametrize("kind", ["lora", "svf", "lora_fa", "soft_prompt"])
def test_every_sample_counts_by_its_own_gradient(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base, settings = make_tiny_base(layers=2), settings_of("sft")
    lanes, adapter = an_adapter(base, kind)
    monkeypatch.setattr("llm_experts.training.methods.fisher.TOGETHER", 3)  # four items: a full batch and a rest
    found = fisher_of(base, adapter, EXAMPLES, settings)
    expected = by_brute_force(lanes, base, settings)
    assert expected.max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


def test_the_true_fisher_draws_answers_and_the_same_ones_again() -> None:
    base, settings = make_tiny_base(layers=2), settings_of("sft")
    _, adapter = an_adapter(base)
    drawn = fisher_of(base, adapter, EXAMPLES, settings, labels="model", longest=4)
    assert torch.equal(drawn, fisher_of(base, adapter, EXAMPLES, settings, labels="model", longest=4))
    other = fisher_of(base, adapter, EXAMPLES, dataclasses.replace(settings, seed=1), labels="model", longest=4)
    assert not torch.equal(drawn, other)
    assert not torch.equal(drawn, fisher_of(base, adapter, EXAMPLES, settings))


def trained(base: Base, folder: Path, name: str, after: Path | None = None, **options: object) -> Fitted:
    method = "sft" if after is None else "ewc"
    items = FIRST if after is None else SECOND
    settings = settings_of(method, options, steps=8, patience=99, schedule="constant")
    (found,) = fit(base, [Assignment(name, items, items, settings, after=after)], folder=folder)
    return found


def test_what_the_first_task_needs_is_held(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    first = trained(base, tmp_path, "first")
    with pytest.raises(SettingsError, match="has no Fisher information"):
        trained(base, tmp_path, "early", first.folder)
    data = tmp_path / "first.jsonl"
    write_examples(data, FIRST)
    lanes = SequenceLanes.of(base, [first.adapter])
    moves = []
    for name, strength in (("plain", 0.0), ("firm", 1e6)):
        found = trained(base, tmp_path, name, first.folder, strength=strength, data=str(data))
        fisher = flat(lanes, read_fisher(first.folder / FILE))
        moved = lanes.theta_of([found.adapter])[0] - lanes.start[0]
        moves.append(float((fisher * moved.square()).sum()))
        assert torch.equal(flat(lanes, read_fisher(found.folder / HELD)), fisher)
    assert moves[0] > 4 * moves[1]


def test_a_sequence_of_tasks_remembers_all_of_them_and_older_ones_less(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    first = trained(base, tmp_path, "first")
    settings = settings_of("ewc")
    earlier = keep_fisher(first.folder, base, FIRST, settings)
    second = trained(base, tmp_path, "second", first.folder)
    alone = fisher_of(base, second.adapter, SECOND, settings)
    keep_fisher(second.folder, base, SECOND, settings, decay=0.5)
    lanes = SequenceLanes.of(base, [second.adapter])
    found = flat(lanes, read_fisher(second.folder / FILE))
    torch.testing.assert_close(found, 0.5 * flat(lanes, earlier) + alone)


def test_a_fisher_of_other_weights_is_measured_again(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    first = trained(base, tmp_path, "first")
    found = keep_fisher(first.folder, base, FIRST, settings_of("ewc"))
    write_fisher(first.folder / FILE, dataclasses.replace(found, adapter="0" * 64))
    with pytest.raises(SettingsError, match="has no Fisher information of its adapter"):
        trained(base, tmp_path, "second", first.folder)


def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      rest")
    with pytest.raises(SettingsError, match=r"fisher\.safetensors is no Fisher information"):
        read_fisher(tmp_path / FILE)


def test_the_same_information_is_the_same_bytes_and_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    found = Fisher({"b": torch.tensor([0.5, 2.0]), "a": torch.tensor([0.0])}, "f" * 64, 3, "model")
    written = set()
    for attempt in range(8):  # with several entries in the header two writes would differ at half of the attempts
        write_fisher(tmp_path / str(attempt), found)
        written.add((tmp_path / str(attempt)).read_bytes())
    assert len(written) == 1
    facts = json.dumps({"adapter": "f" * 64, "samples": 3, "labels": "model"})
    save_file(found.values, tmp_path / "earlier", metadata={"format": "pt", "fisher": facts})
    for name in ("0", "earlier"):
        again = read_fisher(tmp_path / name)
        assert (again.adapter, again.samples, again.labels) == ("f" * 64, 3, "model")
        assert {key: value.tolist() for key, value in again.values.items()} == {"a": [0.0], "b": [0.5, 2.0]}


def test_an_earlier_expert_must_be_named(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    with pytest.raises(SettingsError, match="name the folder of the earlier expert"):
        fit(base, [Assignment("x", FIRST, FIRST, settings_of("ewc"))], folder=tmp_path)


@pytest.mark.parametrize("options", [{"strength": -1.0}, {"items": 0}, {"labels": "guess"}, {"decay": 1.5}])
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        EWCOptions(**options)  # type: ignore[arg-type]
