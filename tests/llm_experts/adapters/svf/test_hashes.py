"""A weight that many injections decompose is hashed once, and again when it is another one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import kind_named
from llm_experts.adapters.svf import decomposition, spectrum_hash
from llm_experts.adapters.svf.decomposition import kept_hash, weight_hash
from llm_experts.bases.base import Base
from tests.llm_experts.conftest import make_tiny_base


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The weights that were hashed."""
    seen: list[Tensor] = []
    monkeypatch.setattr(decomposition, "weight_hash", lambda weight: (seen.append(weight), weight_hash(weight))[1])
    return seen


def injected(base: Base) -> Any:
    own = own_copy(base).model
    return inject(own, kind_named("svf").make_config(None, None, own), seed=0)


def test_copies_of_a_base_share_its_hashes(hashed: list[Tensor]) -> None:
    base = make_tiny_base(layers=2, hidden=32, seed=5)
    first = spectrum_hash(injected(base), "default")
    once = len(hashed)
    assert once > 0
    assert spectrum_hash(injected(base), "default") == first
    assert len(hashed) == once
    assert spectrum_hash(injected(make_tiny_base(layers=2, hidden=32, seed=5)), "default") == first
    assert len(hashed) == 2 * once  # a base that was loaded again


@pytest.mark.parametrize("how", ["in place", "behind the counter", "replaced"])
def test_a_changed_weight_is_another_one(hashed: list[Tensor], how: str) -> None:
    weight = torch.nn.Parameter(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), requires_grad=False)
    before = kept_hash(weight, weight.detach())
    assert kept_hash(weight, weight.detach()) == before == weight_hash(weight)
    if how == "in place":
        weight[1, 2] += 0.5
    elif how == "behind the counter":
        weight.data[1, 2] += 0.5
    else:
        weight.data = weight.data * 2
    assert kept_hash(weight, weight.detach()) == weight_hash(weight) != before
    assert len(hashed) == 2


def test_hashes_of_weights_that_are_gone_are_forgotten() -> None:
    before = len(decomposition._HASHES)
    weight = torch.randn(3, 3)
    kept_hash(weight, weight)
    assert len(decomposition._HASHES) == before + 1
    del weight
    assert len(decomposition._HASHES) == before
