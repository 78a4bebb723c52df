"""Mixtures of SVF experts as adapters: α is what decides, and a search can use them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import kind_named
from llm_experts.adapters.state import adapter_state
from llm_experts.adapters.svf import SVFConfig
from llm_experts.decoder.program import Adapter
from llm_experts.mixtures.svf_mixtures import SVFMixtures, mixed_adapter
from llm_experts.reading.expert import LLMExpert, base_expert, load_llm_expert
from llm_experts.reading.reader import Reader
from llm_experts.search import Objective, SearchRows, SearchSettings, search_mixtures
from tests.llm_experts.adapters.svf.svf_fixtures import own_cache  # noqa: F401
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM, make_adapter

ROLES = ("utility", "result", "procedural")
RANKS = (None, 12, 40)


def svf(rank: int | None, seed: int, size: float = 0.2) -> Adapter:
    """An SVF adapter of the last layer with random multipliers for its largest singular values."""
    own = own_copy(BASE)
    model = inject(own.model, kind_named("svf").make_config(rank, range(2, BASE.n_layers), own.model), seed)
    generator = torch.Generator().manual_seed(seed)
    state = {k: size * torch.randn(v.shape, generator=generator) for k, v in sorted(adapter_state(model).items())}
    return Adapter(model.peft_config["default"], state)


ADAPTERS = [svf(rank, seed) for seed, rank in enumerate(RANKS)]
HALF = torch.tensor([0.4, 0.3, -0.2])


def margins(*adapters: Adapter | None) -> Tensor:
    return Reader(BASE).margins(adapters, SCM, ROWS)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_zero_is_the_base() -> None:
    found = margins(mixed_adapter(ADAPTERS, torch.zeros(3)), None)
    close(found[0], found[1])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_hot_is_that_expert(which: int) -> None:
    found = margins(mixed_adapter(ADAPTERS, torch.eye(3)[which]), ADAPTERS[which], None)
    close(found[0], found[1])
    assert float((found[0] - found[2]).abs().min()) > 1e-4


def test_multipliers_are_mixed_and_those_not_tuned_are_one() -> None:
    """Hand-worked for every matrix: z = 1 + Σ α_k (z_k − 1), with z_k = 1 beyond expert k's rank."""
    mixed = mixed_adapter(ADAPTERS, HALF)
    sizes = set()
    for key, p in mixed.state.items():
        expected = torch.ones(len(p), dtype=torch.float64)
        for adapter, weight in zip(ADAPTERS, HALF.tolist(), strict=True):
            own = adapter.state[key].double()
            sizes.add(len(own))
            expected[: len(own)] += weight * (own.exp() - 1)
        torch.testing.assert_close(p.double().exp(), expected.clamp_min(0), atol=1e-6, rtol=1e-6)
    assert len(sizes) > 1


def test_the_order_of_the_experts_does_not_matter() -> None:
    forwards, backwards = mixed_adapter(ADAPTERS, HALF), mixed_adapter(ADAPTERS[::-1], HALF.flip(0))
    for key, value in forwards.state.items():
        torch.testing.assert_close(value, backwards.state[key], atol=1e-6, rtol=1e-6)


def test_a_multiplier_that_would_be_negative_is_zero() -> None:
    mixed = mixed_adapter(ADAPTERS, torch.tensor([-30.0, 0.0, 0.0]))
    z = torch.cat([value.exp() for value in mixed.state.values()])
    assert float(z.min()) == 0.0 and bool(z.isfinite().all())
    assert bool(margins(mixed).isfinite().all())


def test_other_kinds_are_refused() -> None:
    with pytest.raises(AdapterError, match="one is of kind lora"):
        mixed_adapter([ADAPTERS[0], make_adapter("lora")], torch.ones(2))


def test_renormalised_spectra_are_refused() -> None:
    config = SVFConfig(task_type="CAUSAL_LM", layers_to_transform=[2], renormalise=True)
    with pytest.raises(AdapterError, match="renormalised spectra cannot be mixed"):
        mixed_adapter([ADAPTERS[0], Adapter(config, ADAPTERS[0].state)], torch.ones(2))


def test_adapters_of_other_matrices_are_refused() -> None:
    state = dict(list(ADAPTERS[2].state.items())[1:])
    with pytest.raises(AdapterError, match="same matrices"):
        mixed_adapter([ADAPTERS[0], Adapter(ADAPTERS[2].config, state)], torch.ones(2))


def test_as_many_weights_as_experts_are_needed() -> None:
    with pytest.raises(AdapterError, match="2 weights for 3 experts"):
        mixed_adapter(ADAPTERS, torch.ones(2))


def mixtures(rows: Tensor = ROWS, adapters: list[Adapter] | None = None) -> SVFMixtures:
    reader = Reader(BASE)
    chosen = ADAPTERS if adapters is None else adapters
    return SVFMixtures(tuple(LLMExpert(r, reader, a) for r, a in zip(ROLES, chosen, strict=True)), SCM, rows)


ALPHAS = torch.tensor([[0.0, 0.0, 0.0], [0.4, 0.3, -0.2], [1.0, 0.0, 0.0], [0.2, 0.2, 0.9]], dtype=torch.float64)


def test_many_mixtures_at_once_are_each_alone() -> None:
    model = mixtures()
    found, moved = model.margins(ALPHAS), model.moved(ALPHAS)
    assert model.names == ROLES
    assert found.shape == (4, len(ROWS)) and moved.shape == (4, len(ROWS), 2)
    for index, alpha in enumerate(ALPHAS):
        alone = mixed_adapter(ADAPTERS, alpha)
        close(found[index], margins(alone)[0])
        for group in (0, 1):
            close(moved[index, :, group], Reader(BASE).margins([alone], SCM.moved_to(group), ROWS)[0])


def test_a_row_in_its_own_group_is_not_moved() -> None:
    moved = mixtures().moved(ALPHAS)
    own = moved.gather(-1, SCM.groups[ROWS].expand(4, -1)[..., None])[..., 0]
    close(own, mixtures().margins(ALPHAS))
    assert float((moved[..., 0] - moved[..., 1]).abs().max()) > 1e-4


def test_the_hash_is_of_experts_task_and_rows() -> None:
    assert mixtures().hash == mixtures().hash
    shaken = Adapter(ADAPTERS[0].config, {k: v + 1e-3 for k, v in ADAPTERS[0].state.items()})
    other = [
        mixtures(ROWS.flip(0)), mixtures(adapters=[shaken, *ADAPTERS[1:]]), mixtures(adapters=ADAPTERS[::-1]),
        dataclasses.replace(mixtures(), view=SCM.moved_to(0)),
    ]  # fmt: skip
    assert mixtures().hash not in {model.hash for model in other[:3]}
    assert len({model.hash for model in other[:3]}) == 3


def test_the_base_is_no_expert_of_a_mixture() -> None:
    reader = Reader(BASE)
    model = SVFMixtures((base_expert(reader), LLMExpert("result", reader, ADAPTERS[0])), SCM, ROWS)
    with pytest.raises(AdapterError, match="α = 0 is it"):
        model.margins(torch.zeros(1, 2))


def test_a_search_uses_them_from_start_to_end(tmp_path: Path) -> None:
    rows = SCM.split.validation
    parts = [mixtures(part) for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :])]
    known = [SearchRows(SCM.labels[m.rows], SCM.groups[m.rows], SCM.group_names) for m in parts]
    settings = SearchSettings(
        objectives=(Objective("utility@1"), Objective("cfr_soft@1")), generations=6, population=8, spread_anchors=2,
        candidates=4, refuse_constant=False,
    )  # fmt: skip
    result = search_mixtures(parts[0], known[0], settings, held_out=(parts[1], known[1]), folder=tmp_path)
    winner = result.winner
    assert set(winner.alphas) == set(ROLES) and winner.statement
    alpha = torch.tensor([[winner.alphas[role] for role in ROLES]], dtype=torch.float64)
    mixed = mixed_adapter(ADAPTERS, alpha[0])
    close(parts[1].margins(alpha)[0], Reader(BASE).margins([mixed], SCM, parts[1].rows)[0])
    again = search_mixtures(parts[0], known[0], settings, held_out=(parts[1], known[1]), folder=tmp_path)
    assert again.winner.alphas == winner.alphas and again.true_evaluations <= result.true_evaluations


def test_a_mixture_with_multipliers_of_zero_is_saved_and_read_again(tmp_path: Path) -> None:
    """α = 3 on multipliers below 2/3 asks for z < 0, which is 0; its logarithm is no number."""
    low = Adapter(ADAPTERS[0].config, {key: torch.full_like(p, -1.0) for key, p in ADAPTERS[0].state.items()})
    mixed = mixed_adapter([low, ADAPTERS[0]], torch.tensor([3.0, 0.0]))
    assert all(bool(p.isfinite().all()) for p in mixed.state.values())
    assert all(not p.exp().any() for p in mixed.state.values()), "the multipliers are 0, exactly"
    expert = LLMExpert("mixture", Reader(BASE), mixed)
    expert.save(tmp_path)
    again = load_llm_expert(tmp_path, BASE)
    close(again.margins(SCM, ROWS), expert.margins(SCM, ROWS))
    assert again.adapter is not None
    once_more = mixed_adapter([again.adapter], torch.ones(1))
    assert all(torch.equal(once_more.state[key], mixed.state[key]) for key in mixed.state)
