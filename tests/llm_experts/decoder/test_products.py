"""Products through oneDNN are the library's, forward and back, and leave alone what trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from llm_experts.bases.error import BaseError
from llm_experts.decoder import products
from llm_experts.decoder.products import CHOICE, _FrozenProducts, frozen_products, products_here, products_of
from tests.llm_experts.conftest import make_tiny_base

HAS_ONEDNN = products._agrees()
needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="this build of torch has no oneDNN")


@pytest.fixture(autouse=True)
def fresh_choice() -> None:
    """What was chosen before is forgotten."""
    products_here.cache_clear()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
def test_products_and_gradients_are_the_librarys(bias: bool) -> None:
    x, weight, added = drawn(3, 20, 64).requires_grad_(), drawn(48, 64, seed=1), drawn(48, seed=2) if bias else None
    expected = linear(x, weight, added)
    with _FrozenProducts():
        found = linear(x, weight, added)
    node = found.grad_fn.next_functions[0][0] if bias else found.grad_fn  # type: ignore[union-attr]
    assert node is not None and "FrozenLinear" in node.name()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    slope = drawn(3, 20, 48, seed=3)
    grads = [torch.autograd.grad(out, x, slope)[0] for out in (found, expected)]
    torch.testing.assert_close(*grads, atol=1e-4, rtol=1e-5)


@needs_onednn
def test_only_frozen_matrices_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, ...]] = []
    before = products._product

    def counted(x: Tensor, weight: Tensor) -> Tensor:
        taken.append(tuple(x.shape))
        return before(x, weight)

    monkeypatch.setattr(products, "_product", counted)
    x, weight = drawn(40, 64), drawn(48, 64)
    with _FrozenProducts():
        linear(x, weight.clone().requires_grad_())
        linear(drawn(4, 64), weight)
        linear(x.bfloat16(), weight.bfloat16())
        assert taken == []
        torch.vmap(lambda rows: linear(rows, weight))(drawn(2, 40, 64))
        torch.vmap(lambda w: linear(x, weight) * w)(drawn(2))
        linear(drawn(2, 20, 64), weight)
    assert taken == [(2, 40, 64), (40, 64), (2, 20, 64)]  # lanes are rows, and what they share is one product


def test_small_bases_and_other_precisions_keep_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "products_here", lambda: "onednn")
    wide = make_tiny_base(layers=1, hidden=256)
    assert products_of(wide) == "onednn"
    assert products_of(make_tiny_base(layers=1)) == "library"
    wide.model.bfloat16()
    assert products_of(wide) == "library"
    with frozen_products(wide):
        assert linear(drawn(20, 8), drawn(4, 8)).grad_fn is None


@pytest.mark.parametrize(
    ("maker", "capability", "expected"),
    [("AuthenticAMD", "AVX512", "onednn"), ("AuthenticAMD", "AVX2", "library"), ("GenuineIntel", "AVX512", "library")],
)
def test_the_processor_decides(maker: str, capability: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOICE, raising=False)
    monkeypatch.setattr(products, "_maker", lambda: maker)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "_agrees", lambda: True)
    assert products_here() == expected
    products_here.cache_clear()
    monkeypatch.setattr(products, "_agrees", lambda: False)
    assert products_here() == "library"


def test_the_environment_decides_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "library")
    assert products_here() == "library"
    products_here.cache_clear()
    monkeypatch.setenv(CHOICE, "fastest")
    with pytest.raises(BaseError, match="FAIRMOE_PRODUCTS=fastest asks for matrix products that are not here"):
        products_here()


def test_the_makers_name_is_read_where_the_system_tells_it() -> None:
    named = Path("/proc/cpuinfo")
    assert not named.exists() or "vendor_id" not in named.read_text(encoding="utf-8") or products._maker()
