"""The training loop: what it learns, that lanes are what each would be alone, and that a kill changes nothing."""

import json
from pathlib import Path

import pytest
import torch

from foundation.folder_lock import FolderLockError, folder_lock
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.store import read_adapter
from llm_experts.bases.base import Base
from llm_experts.training.loop import group as group_module
from llm_experts.training.loop.assignment import Assignment, Fitted, Progress
from llm_experts.training.loop.fit import fit, groups
from llm_experts.training.loop.group import TrainingStopped
from llm_experts.training.loop.optimiser import optimiser_of
from llm_experts.training.loop.settings import SettingsError
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.loop.fixtures import assignment, examples, settings


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base()


def same(one: Fitted, two: Fitted) -> bool:
    """Bit for bit."""
    states = one.adapter.state, two.adapter.state
    return states[0].keys() == states[1].keys() and all(torch.equal(v, states[1][k]) for k, v in states[0].items())


def test_an_expert_learns_and_is_written(base: Base, tmp_path: Path) -> None:
    seen: list[Progress] = []
    (found,) = fit(base, [assignment(epochs=4)], folder=tmp_path, progress=seen.append)
    assert found.steps == 8 and found.history[0]["step"] == 0 and found.stopped == ""
    assert found.score > found.history[0]["score"] + 1
    assert [row["step"] for row in found.history] == [0, 2, 4, 6, 8]
    assert [each.step for each in seen] == list(range(1, 9)) and seen[-1].seconds_left == 0
    folder = tmp_path / "odd"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock", "adapter", "expert.json", "history.csv", "training.log",
    ]  # fmt: skip
    written = json.loads((folder / "expert.json").read_text())
    assert written["score"] == found.score and written["settings"]["rank"] == 4
    assert written["base"]["hash"] == base.hash and len(written["data"]["train"]) == 64
    saved = read_adapter(folder / "adapter")
    assert all(torch.equal(value, found.adapter.state[key]) for key, value in saved.state.items())
    assert "done: score" in (folder / "training.log").read_text()


def test_what_is_there_is_not_trained_again(base: Base, tmp_path: Path) -> None:
    (first,) = fit(base, [assignment()], folder=tmp_path)
    steps: list[Progress] = []
    (again,) = fit(base, [assignment()], folder=tmp_path, progress=steps.append)
    assert same(first, again) and not steps and again.history == first.history
    fit(base, [assignment(lr=2e-2)], folder=tmp_path, progress=steps.append)
    assert len(steps) == 4


def test_lanes_are_what_each_would_be_alone(base: Base, tmp_path: Path) -> None:
    different = [
        assignment("a", seed=0),
        Assignment("b", examples(11, 20), examples(3, 60), settings(seed=1, lr=3e-3, clip=0.5, weight_decay=0.1)),
        assignment("c", seed=0, lr=2e-3, schedule="constant", epochs=1),
    ]
    assert len(groups(different)) == 1
    together = fit(base, different, folder=tmp_path / "together")
    for each, found in zip(different, together, strict=True):
        (alone,) = fit(base, [each], folder=tmp_path / "alone")
        assert found.best_step == alone.best_step and found.score == pytest.approx(alone.score, abs=1e-3)
        for key, value in alone.adapter.state.items():
            assert torch.allclose(found.adapter.state[key], value, atol=2e-3), key


def test_micro_batches_and_packing_change_nothing(base: Base, tmp_path: Path) -> None:
    plain, split = (
        fit(base, [assignment(name, accumulation=n, lr=1e-3)], folder=tmp_path)[0] for name, n in (("a", 1), ("b", 3))
    )
    kept, again = (
        fit(base, [assignment(name, checkpointing=c, packing=c, batch_size=8, lr=1e-3)], folder=tmp_path)[0]
        for name, c in (("c", False), ("d", True))
    )
    for one, two in ((plain, split), (kept, again)):
        assert one.score == pytest.approx(two.score, abs=1e-4)
        for key, value in one.adapter.state.items():
            assert torch.allclose(two.adapter.state[key], value, atol=2e-4), key


def test_another_dtype_is_another_expert(tmp_path: Path) -> None:
    base = make_tiny_base()
    fit(base, [assignment()], folder=tmp_path)
    base.model.to(torch.bfloat16)  # of the same files, which is what the hash is of
    steps: list[Progress] = []
    fit(base, [assignment()], folder=tmp_path, progress=steps.append)
    assert len(steps) == 4
    assert json.loads((tmp_path / "odd" / "expert.json").read_text())["base"]["dtype"] == "bfloat16"


def test_packing_of_what_cannot_share_a_row_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="dpo needs each alone; leave packing out"):
        fit(base, [assignment(method="dpo", packing=True)], folder=tmp_path)


@pytest.mark.parametrize("optimiser", ["adamw", "adamw_8bit"])
def test_decay_draws_to_the_base(optimiser: str) -> None:
    """Without a gradient a step goes lr · decay of the way to the anchor, whatever the optimiser's moments are."""
    own = [settings(optimiser=optimiser, weight_decay=decay) for decay in (0.0, 0.5)]
    start, anchor = torch.full((2, 8), 3.0), torch.ones(2, 8)
    made = optimiser_of(own, [0.1, 0.1], start, anchor)
    made.step(torch.zeros(2, 8), torch.tensor([1.0, 1.0]))
    assert torch.equal(made.theta[0], start[0])
    assert torch.allclose(made.theta[1], torch.full((8,), 3.0 - 0.1 * 0.5 * 2.0))
    made.select(torch.tensor([1]))
    made.step(torch.zeros(1, 8), torch.tensor([2.0]))
    assert torch.allclose(made.theta[0], torch.full((8,), 2.9 - 0.2 * 0.5 * 1.9))


@pytest.mark.parametrize("kind", ["lora_fa", "svf", "ia3", "prefix"])
def test_other_kinds_learn(base: Base, kind: str, tmp_path: Path) -> None:
    (found,) = fit(base, [assignment(kind=kind, lr=None, epochs=4)], folder=tmp_path)
    assert found.score > found.history[0]["score"]
    assert found.parameters == found.adapter.parameter_count


def killed_after(base: Base, steps: int, folder: Path, given: list[Assignment]) -> None:
    """A run that ends after so many steps, without a word, as a killed process does."""

    class Killed(BaseException):
        pass

    def count(progress: Progress) -> None:
        if progress.step == steps:
            raise Killed

    with pytest.raises(Killed):
        fit(base, given, folder=folder, progress=count)


@pytest.mark.parametrize("optimiser", ["adamw", "adamw_8bit"])
def test_a_kill_changes_nothing(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimiser: str) -> None:
    monkeypatch.setattr(group_module, "CHECKPOINT_SECONDS", 0.0)
    given = [assignment(name, optimiser=optimiser, seed=seed, rank=8) for seed, name in enumerate("ab")]
    whole = fit(base, given, folder=tmp_path / "whole")
    for step in (1, 3):
        killed_after(base, step, tmp_path / "killed", given)
    assert list((tmp_path / "killed" / "a" / "checkpoint").glob("step-3.json"))
    for one, two in zip(whole, fit(base, given, folder=tmp_path / "killed"), strict=True):
        assert same(one, two) and one.history == two.history
        assert (one.best_step, one.score) == (two.best_step, two.score)
        for file in ("history.csv", "adapter/adapter_model.safetensors", "adapter/fairmoe.json"):
            assert (one.folder / file).read_bytes() == (two.folder / file).read_bytes(), file
    assert not (tmp_path / "killed" / "a" / "checkpoint").exists()


def test_a_kill_within_a_checkpoint(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of step 2 are there, its facts are not: training goes on from step 1."""
    monkeypatch.setattr(group_module, "CHECKPOINT_SECONDS", 0.0)
    (whole,) = fit(base, [assignment()], folder=tmp_path / "whole")
    killed_after(base, 1, tmp_path / "killed", [assignment()])
    place = tmp_path / "killed" / "odd" / "checkpoint"
    (place / "tensors-2.safetensors").write_bytes(b"cut short")
    (found,) = fit(base, [assignment()], folder=tmp_path / "killed")
    assert same(whole, found)
    assert "goes on from the checkpoint of step 1" in (tmp_path / "killed" / "odd" / "training.log").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"key": 1}', "\\xff"])
def test_a_checkpoint_that_was_damaged_is_not_read(base: Base, tmp_path: Path, text: str) -> None:
    place = tmp_path / "odd" / "checkpoint"
    place.mkdir(parents=True)
    (place / "step-1.json").write_bytes(text.encode().decode("unicode_escape").encode("latin-1"))
    (found,) = fit(base, [assignment()], folder=tmp_path)
    assert found.steps == 4 and not place.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}"])
def test_facts_that_were_damaged_are_told_of(base: Base, tmp_path: Path, text: str) -> None:
    fit(base, [assignment()], folder=tmp_path)
    path = tmp_path / "odd" / "expert.json"
    path.write_text(text)
    if text == "{}":  # of no run that is known: made anew
        assert fit(base, [assignment()], folder=tmp_path)[0].steps == 4
        return
    with pytest.raises(AdapterError, match=r"expert.json.*damaged.*Remove"):
        fit(base, [assignment()], folder=tmp_path)


def test_a_kill_between_the_experts_of_a_run(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [assignment("a"), assignment("b", seed=1)]
    whole = fit(base, given, folder=tmp_path / "whole")

    class Killed(BaseException):
        pass

    from llm_experts.training.loop import fit as module

    write = module.write_expert  # type: ignore[attr-defined]

    def first_alone(base: Base, member: Assignment, fitted: Fitted) -> None:
        if member.name == "b":
            raise Killed
        write(base, member, fitted)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_expert", first_alone)
        with pytest.raises(Killed):
            fit(base, given, folder=tmp_path / "killed")
    steps: list[Progress] = []
    for one, two in zip(whole, fit(base, given, folder=tmp_path / "killed", progress=steps.append), strict=True):
        assert same(one, two)
    assert not steps


def test_a_run_that_is_asked_to_stop_goes_on_later(base: Base, tmp_path: Path) -> None:
    answers = iter([False, False, True])
    with pytest.raises(TrainingStopped, match="stopped at step 2"):
        fit(base, [assignment()], folder=tmp_path / "b", stop=lambda: next(answers))
    (found,) = fit(base, [assignment()], folder=tmp_path / "b")
    assert same(found, fit(base, [assignment()], folder=tmp_path / "a")[0])


def test_judges_choose_the_checkpoint_and_patience_ends(base: Base, tmp_path: Path) -> None:
    asked: list[str] = []

    def judge(example: object, answer: str) -> float:
        asked.append(answer)
        return 1.0 if len(asked) <= 4 else 0.0  # the base itself is best

    given = Assignment("odd", examples(8), examples(4, 100), settings(epochs=9, patience=2), judge, longest_answer=3)
    (found,) = fit(base, [given], folder=tmp_path)
    assert found.best_step == 0 and found.score == 1.0 and found.steps == 4
    assert found.stopped == "No better score in 2 evaluations." and len(asked) == 12


def test_a_lane_that_breaks_keeps_its_best_and_leaves_the_others(base: Base, tmp_path: Path) -> None:
    given = [assignment("wild", lr=1e30, clip=1e9, warm_up=0.0), assignment("calm")]
    wild, calm = fit(base, given, folder=tmp_path / "both")
    assert "infinite or undefined" in wild.stopped and wild.steps < calm.steps
    assert all(bool(value.isfinite().all()) for value in wild.adapter.state.values())
    (alone,) = fit(base, [given[1]], folder=tmp_path / "alone")
    assert calm.score == pytest.approx(alone.score, abs=1e-3)


def test_memory_that_does_not_suffice_makes_batches_smaller(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = group_module.Group._gradients
    sizes: list[int] = []

    def scarce(self: group_module.Group, items: object) -> object:
        sizes.append(self.tokens)
        if self.tokens > 1024:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, items)  # type: ignore[arg-type]

    (plain,) = fit(base, [assignment(lr=1e-3, epochs=1)], folder=tmp_path / "plain")
    monkeypatch.setattr(group_module.Group, "_gradients", scarce)
    (found,) = fit(base, [assignment(lr=1e-3, epochs=1)], folder=tmp_path / "scarce")
    assert sizes[0] == 2048 and sizes[1:] == [1024, 1024] and len(found.notes) == 1
    assert found.score == pytest.approx(plain.score, abs=1e-4)


def test_what_cannot_be_trained_is_said_first(base: Base, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Two experts are called 'odd'"):
        fit(base, [assignment(), assignment()], folder=tmp_path)
    with pytest.raises(SettingsError, match="no training method 'guess'; methods are"):
        fit(base, [assignment(method="guess")], folder=tmp_path)
    with pytest.raises(SettingsError, match="has no option 'beta'"):
        fit(base, [assignment(options={"beta": 1})], folder=tmp_path)
    with pytest.raises(SettingsError, match="cannot be called"):
        assignment("../x")
    with pytest.raises(SettingsError, match="has no train items"):
        Assignment("a", [], examples(1), settings())
    with pytest.raises(SettingsError, match="warm_up is 1"):
        settings(warm_up=1.5)
    with folder_lock(tmp_path / "odd", "a test"), pytest.raises(FolderLockError, match="in use by"):
        fit(base, [assignment()], folder=tmp_path)
