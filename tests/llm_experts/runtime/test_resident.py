"""A base with slots: rows of a batch compute what each composition computes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.composition.low_rank import as_lora
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.state import set_adapter_state
from llm_experts.adapters.store import FACTS, save_adapter
from llm_experts.adapters.svf import spectra_in
from llm_experts.runtime.composition import BASE as PLAIN
from llm_experts.runtime.composition import Composition, CompositionError
from llm_experts.runtime.resident import InUseError, ResidentBase, SlotsFullError
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.runtime.resident_fixtures import BASE, IDS, MATRICES, logits, peft_adapter, saved

A, B, C = (Composition.of({name: 1.0}) for name in "abc")


@pytest.fixture(autouse=True)
def no_svd_cache() -> Iterator[None]:
    with spectra_in(None):
        yield


def resident(*kinds: str, slots: int = 4, **options: int) -> ResidentBase:
    """A resident base that knows adapters a, b, c … of these kinds."""
    found = ResidentBase(BASE, slots=slots, **options)
    for seed, kind in enumerate(kinds):
        found.known("abcdefgh"[seed], saved(peft_adapter(kind, seed)))
    return found


def computed(on: ResidentBase, compositions: list[Composition], ids: Tensor = IDS) -> Tensor:
    with on.lease(compositions), on.run(compositions):
        return logits(on.base.model, ids)


@pytest.mark.parametrize("kind", MATRICES)
def test_one_adapter_of_weight_1_is_what_peft_computes(kind: str) -> None:
    model = peft_adapter(kind)
    on = resident(kind)
    found = computed(on, [A] * len(IDS))
    assert (found - logits(BASE.model)).abs().max() > 0.05
    torch.testing.assert_close(found, logits(model), atol=2e-5, rtol=1e-4)


PATTERNS = {
    "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 6},
    "alpha_pattern": {"model.layers.0.self_attn.q_proj": 3, "v_proj": 1, ".*_proj": 12},
}


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora"])
def test_ranks_and_alphas_of_single_matrices_are_those_that_peft_reads(kind: str) -> None:
    model = peft_adapter(kind, **PATTERNS)
    given = saved(model)
    ranks = {len(value) for key, value in given.state.items() if "lora_A" in key}
    assert ranks == {2, 4, 6}
    on = ResidentBase(BASE, rank=6)
    on.known("a", given)
    torch.testing.assert_close(computed(on, [A] * len(IDS)), logits(model), atol=2e-5, rtol=1e-4)
    alone = as_lora(given.config, given.state, BASE.model.get_decoder().layers)  # type: ignore[operator]
    copied = inject(own_copy(BASE).model, alone.config, None)
    set_adapter_state(copied, alone.state)
    torch.testing.assert_close(logits(copied), logits(model), atol=2e-5, rtol=1e-4)


def test_rows_of_a_batch_are_independent_and_the_base_is_exact() -> None:
    on = resident("lora", "dora", "ia3", "svf")
    four = [PLAIN, Composition.of({"a": 0.5, "b": 1, "c": -0.3, "d": 2}), B, Composition.of({"d": 1, "a": 0})]
    found, base = computed(on, four), logits(BASE.model)
    assert torch.equal(found[0], base[0])
    for row in range(1, 4):
        alone = computed(on, four[row : row + 1], IDS[row : row + 1])
        torch.testing.assert_close(found[row], alone[0], atol=1e-5, rtol=1e-4)
        assert (found[row] - base[row]).abs().max() > 0.02
    assert torch.equal(computed(on, [Composition.of({"a": 0.0})] * 4), base)
    assert torch.equal(logits(on.base.model), base) and torch.equal(logits(BASE.model), base)


def test_adapters_come_and_go_and_those_in_use_stay() -> None:
    on = resident("lora", "rslora", "ia3", slots=2)
    expected = {
        name: computed(resident("lora", "rslora", "ia3"), [c] * 4) for name, c in zip("abc", (A, B, C), strict=True)
    }
    for name, composition in [("a", A), ("b", B), ("c", C), ("a", A), ("b", B)]:
        torch.testing.assert_close(computed(on, [composition] * 4), expected[name])
    assert on.loaded == ("a", "b") and on.stats.evictions == 3 and on.stats.loads == 5
    with on.lease([A, B]):
        with pytest.raises(SlotsFullError), on.lease([C]):
            pass
        with on.run([A] * 4):
            torch.testing.assert_close(logits(on.base.model), expected["a"])
    on.pin("a")
    torch.testing.assert_close(computed(on, [C] * 4), expected["c"])
    assert on.loaded == ("a", "c") and on.pinned == ("a",)
    with pytest.raises(SlotsFullError) as never, on.lease([B, C]):
        pass
    assert never.value.permanent
    on.unpin("a")
    on.unload("c")
    assert on.loaded == ("a",)
    assert torch.equal(computed(on, [PLAIN] * 4), logits(BASE.model))


def test_an_adapter_that_is_in_use_is_neither_replaced_nor_taken_away() -> None:
    on = resident("lora")
    before = computed(on, [A] * 4)
    with on.lease([A]):
        with pytest.raises(InUseError, match="1 requests run on expert 'a'"):
            on.known("a", saved(peft_adapter("lora", 5)))
        on.forget("a")
        with on.run([A] * 4):
            assert torch.equal(logits(on.base.model), before)
        with pytest.raises(AdapterError, match="no expert 'a'"), on.lease([A]):
            pass
    assert on.loaded == () and on.names == ()
    first = on.fingerprint(A)
    on.known("a", saved(peft_adapter("lora", 5)))
    assert on.fingerprint(A) != first
    assert (computed(on, [A] * 4) - before).abs().max() > 0.01


def test_without_a_lease_nothing_runs() -> None:
    on = resident("lora", "soft_prompt")
    on.load("a")
    for name in "ab":
        with (
            pytest.raises(CompositionError, match=f"{name!r} runs without a lease"),
            on.run([Composition.of({name: 1})]),
        ):
            pass
    with on.run([PLAIN]):
        assert torch.equal(logits(on.base.model), logits(BASE.model))


def test_virtual_tokens_stand_ahead_in_their_order() -> None:
    on = resident("soft_prompt", "soft_prompt", "prefix", "prefix", "lora")
    assert on.prefix(PLAIN).length == 0
    soft = on.prefix(Composition.of({"a": 1, "b": 1, "e": 0.5}))
    assert soft.length == 8 and soft.cached == 0
    learnt = [saved(peft_adapter("soft_prompt", seed)).state["prompt_embeddings"] for seed in (0, 1)]
    assert torch.equal(soft.embeddings, torch.cat(learnt))
    on.known("a", saved(peft_adapter("soft_prompt", 0)), order=3)
    assert torch.equal(on.prefix(Composition.of({"a": 1, "b": 1})).embeddings, torch.cat(learnt[::-1]))
    both = on.prefix(Composition.of({"a": 1, "c": 1}))
    assert both.length == 8 and both.cached == 4 and both.keys_and_values.shape == (2, 2, 2, 4, 8)
    for parts, why in [({"a": 0.5}, "made of virtual tokens"), ({"c": 1, "d": 1}, "'c' and 'd' are both prefixes")]:
        with pytest.raises(CompositionError, match=why):
            on.prefix(Composition.of(parts))
        with pytest.raises(CompositionError, match=why), on.lease([Composition.of(parts)]):
            pass
    with on.lease([Composition.of({"a": 1})]):
        assert "a" in on.loaded and on.stats.taken == 0


@pytest.mark.parametrize("kind", ["soft_prompt", "prefix"])
def test_virtual_tokens_are_what_peft_computes(kind: str) -> None:
    from transformers import DynamicCache

    on = resident(kind)
    with on.lease([A]), on.run([A] * 4), torch.no_grad():
        ahead, model = on.prefix(A), on.base.model
        cache = DynamicCache()
        if ahead.keys_and_values is not None:
            for index, (keys, values) in enumerate(ahead.keys_and_values):
                cache.update(keys.expand(4, -1, -1, -1), values.expand(4, -1, -1, -1), index)
        text = model.get_input_embeddings()(IDS)
        embeddings = torch.cat([ahead.embeddings.expand(4, -1, -1), text], 1)
        found = model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True).logits[:, -IDS.shape[1] :]
    expected = logits(peft_adapter(kind))[:, -IDS.shape[1] :]
    assert (found - logits(BASE.model)).abs().max() > 0.05
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_folders_of_this_project_and_of_peft(tmp_path: Path) -> None:
    model = peft_adapter("lora")
    given = saved(model)
    save_adapter(tmp_path / "ours", BASE, given.config, given.state)
    save_adapter(tmp_path / "plain", BASE, given.config, given.state)
    (tmp_path / "plain" / FACTS).unlink()
    on = ResidentBase(BASE)
    on.load("ours", tmp_path / "ours")
    on.load("plain", tmp_path / "plain", base_hash=BASE.hash)
    expected = computed(on, [Composition.of({"ours": 1.0})] * 4)
    assert torch.equal(computed(on, [Composition.of({"plain": 1.0})] * 4), expected)
    with pytest.raises(AdapterError, match=r"fairmoe\.json is missing"):
        on.load("other", tmp_path / "plain")
    with pytest.raises(AdapterError, match="was trained on"):
        on.load("other", tmp_path / "plain", base_hash="0" * 64)
    wrong = ResidentBase(make_tiny_base(layers=2, hidden=32, seed=1))
    with pytest.raises(AdapterError, match="was trained on tiny with hash"):
        wrong.load("ours", tmp_path / "ours")
    assert wrong.loaded == () and "other" not in on.loaded


def test_a_folder_that_has_changed_is_read_again(tmp_path: Path) -> None:
    on = ResidentBase(BASE)
    found = []
    for seed in range(2):
        given = saved(peft_adapter("lora", seed))
        save_adapter(tmp_path / "a", BASE, given.config, given.state, {"seed": "x" * seed})
        on.load("a", tmp_path / "a")
        found.append(computed(on, [A] * 4))
    assert (found[1] - found[0]).abs().max() > 0.01 and on.stats.loads == 2
    on.load("a", tmp_path / "a")
    assert on.stats.loads == 2


def test_an_adapter_that_does_not_fit_is_refused_and_leaves_the_slots_whole() -> None:
    on = ResidentBase(BASE, slots=1, rank=2)
    on.load("a", saved(peft_adapter("lora", 0, rank=2)))
    expected = computed(on, [A] * 4)
    with pytest.raises(AdapterError, match="'b' has rank 4, and the slots of this base take 2 at most"):
        on.load("b", saved(peft_adapter("lora", 1)))
    other = make_tiny_base(layers=2, hidden=64)
    stranger = saved(peft_adapter("lora", 1, rank=2, base=other), BASE)
    with pytest.raises(AdapterError, match="belongs to another base"):
        on.load("c", stranger)
    torch.testing.assert_close(computed(on, [A] * 4), expected)


def test_little_memory_costs_time_only() -> None:
    on = resident("lora", "rslora", "soft_prompt", slots=1, memory_mb=0)
    other = resident("lora", "rslora", "soft_prompt")
    for composition in (A, B, C, A):
        assert torch.equal(computed(on, [composition] * 4), computed(other, [composition] * 4))
        assert on.prefix(composition).length == other.prefix(composition).length
    assert on.stats.memory == 0
