"""The absmean quantiser by hand, against a plain reference and by its properties; codes in bytes; the module."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llm_experts.bases.error import BaseError
from llm_experts.bases.ternary import Ternary, TernaryLinear, ternary
from llm_experts.bases.ternary.absmean import check_packed, pack, unpack


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


MATRICES = st.builds(matrix, st.integers(1, 7), st.integers(1, 13), st.integers(0, 999))
GROUPS = st.one_of(st.none(), st.integers(1, 15))


def reference(weight: list[list[float]], fitted: bool = False) -> tuple[list[list[int]], float]:
    """Number by number, as the paper writes it."""
    sizes = [abs(w) for row in weight for w in row]
    gamma = sum(sizes) / len(sizes)
    codes = [[max(-1, min(1, round(w / gamma))) if gamma else 0 for w in row] for row in weight]
    kept = [abs(w) for row, told in zip(weight, codes, strict=True) for w, q in zip(row, told, strict=True) if q]
    return codes, (sum(kept) / len(kept) if kept else 0.0) if fitted else gamma


def test_a_matrix_by_hand() -> None:
    """γ = (4 + 1 + 0 + 3 + 2 + 2) / 6 = 2; W / γ = 2, −.5, 0, −1.5, 1, −1: a half goes to the even number."""
    found = ternary(torch.tensor([[4.0, -1, 0], [-3, 2, -2]]))
    assert found.codes.tolist() == [[1, 0, 0], [-1, 1, -1]]
    assert found.scales.tolist() == [[2.0]]
    assert found.dequantised().tolist() == [[2, 0, 0], [-2, 2, -2]]


def test_the_scale_that_fits_best_by_hand() -> None:
    """Kept are 4, 3, 2, 2, on average 2.75: squares of what is left are 5.75 instead of 8 with γ = 2."""
    weight = torch.tensor([[4.0, -1, 0], [-3, 2, -2]])
    found = ternary(weight, scale="fitted")
    assert found.scales.tolist() == [[2.75]]
    assert float((weight - found.dequantised()).square().sum()) == 1.25**2 + 1 + 0.25**2 + 2 * 0.75**2
    assert float((weight - ternary(weight).dequantised()).square().sum()) == 4 + 1 + 1


def test_groups_by_hand() -> None:
    """Two inputs share a scale, the fifth has one of its own: γ = 2, .5, 8 in the first row."""
    found = ternary(torch.tensor([[3.0, 1, 0.25, -0.75, 8], [0, 0, 2, 2, -1]]), group=2)
    assert found.scales.tolist() == [[2, 0.5, 8], [0, 2, 1]]
    assert found.codes.tolist() == [[1, 0, 0, -1, 1], [0, 0, 1, 1, -1]]
    assert found.dequantised().tolist() == [[2, 0, 0, -0.5, 8], [0, 0, 2, 2, -1]]


@given(MATRICES, st.booleans())
@settings(deadline=None, max_examples=60)
def test_as_the_paper_writes_it(weight: Tensor, fitted: bool) -> None:
    found = ternary(weight, scale="fitted" if fitted else "absmean")
    codes, scale = reference(weight.double().tolist(), fitted)
    assert found.codes.tolist() == codes
    assert float(found.scales) == pytest.approx(scale, rel=1e-6)


@given(MATRICES)
@settings(deadline=None, max_examples=30)
def test_as_transformers_rounds(weight: Tensor) -> None:
    """``WeightQuant`` of BitNet's integration, whose forward pass is this line."""
    scale = 1.0 / weight.abs().mean().clamp_(min=1e-5)
    expected = (weight * scale).round().clamp(-1, 1) / scale
    torch.testing.assert_close(ternary(weight).dequantised(), expected, rtol=1e-5, atol=1e-7)


@given(MATRICES, GROUPS)
@settings(deadline=None, max_examples=60)
def test_ternary_weights_are_quantised_to_themselves(weight: Tensor, group: int | None) -> None:
    fitted = ternary(weight, group, "fitted")
    again = ternary(fitted.dequantised(), group, "fitted")
    assert torch.equal(again.codes, fitted.codes) and torch.allclose(again.scales, fitted.scales, rtol=1e-6, atol=0)
    absmean = ternary(weight, group)
    once_more = ternary(absmean.dequantised(), group)
    assert torch.equal(once_more.codes, absmean.codes)
    kept = absmean.codes.abs().double().mean()
    if group is None:  # γ of codes is the share of them that is not 0
        assert float(once_more.scales) == pytest.approx(float(absmean.scales * kept), rel=1e-6)


@given(MATRICES, GROUPS, st.floats(1e-20, 1e20))
@settings(deadline=None, max_examples=60)
def test_a_larger_matrix_has_the_same_codes_and_a_larger_scale(weight: Tensor, group: int | None, by: float) -> None:
    plain, larger = ternary(weight.double(), group), ternary(weight.double() * by, group)
    halves = (weight.double().abs() / plain.scales.double().max()).sub(0.5).abs().min()
    if group is None and float(halves) > 1e-9:  # not on an edge, where a last digit decides
        assert torch.equal(plain.codes, larger.codes)
    torch.testing.assert_close(larger.scales, plain.scales * by, rtol=1e-5, atol=0)
    mirrored = ternary(-weight, group)
    assert torch.equal(mirrored.codes, -ternary(weight, group).codes)


def test_zeros_stay_zeros_and_what_is_no_number_is_refused() -> None:
    found = ternary(torch.zeros(3, 4), group=2, scale="fitted")
    assert not found.codes.any() and not found.scales.any() and not found.dequantised().any()
    for broken in (math.nan, math.inf):
        with pytest.raises(BaseError, match="not finite"):
            ternary(torch.tensor([[1.0, broken]]))
    with pytest.raises(BaseError, match="at least 1"):
        ternary(torch.ones(1, 1), group=0)


def test_half_precision_is_quantised_as_the_numbers_that_it_holds() -> None:
    weight = matrix(6, 10).bfloat16()
    plain, half = ternary(weight.float()), ternary(weight)
    assert torch.equal(plain.codes, half.codes) and torch.equal(plain.scales, half.scales)


def test_codes_in_bytes_by_hand() -> None:
    """1, −1, 0, 0, 1 is 2·81 + 0·27 + 1·9 + 1·3 + 2 = 176; −1 and four zeros behind it 0·81 + 27 + 9 + 3 + 1 = 40."""
    packed = pack(torch.tensor([[1, -1, 0], [0, 1, -1]], dtype=torch.int8))
    assert packed.tolist() == [176, 40]
    assert unpack(packed, (2, 3)).tolist() == [[1, -1, 0], [0, 1, -1]]


@given(st.integers(1, 9), st.integers(1, 11), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_packing_loses_nothing_and_takes_a_fifth_of_a_byte_a_weight(rows: int, columns: int, seed: int) -> None:
    codes = torch.randint(-1, 2, (rows, columns), generator=torch.Generator().manual_seed(seed), dtype=torch.int8)
    packed = pack(codes)
    assert packed.dtype == torch.uint8 and len(packed) == -(-rows * columns // 5)
    assert torch.equal(unpack(packed, (rows, columns)), codes)
    check_packed(packed, (rows, columns), "it")


def test_bytes_that_can_be_no_codes() -> None:
    with pytest.raises(BaseError, match="stand for no codes"):
        check_packed(torch.tensor([243], dtype=torch.uint8), (1, 5), "it")
    with pytest.raises(BaseError, match="takes 2 bytes"):
        check_packed(torch.tensor([0], dtype=torch.uint8), (2, 5), "it")
    with pytest.raises(BaseError, match="takes 1 bytes"):
        check_packed(torch.tensor([0]), (1, 5), "it")


@pytest.mark.parametrize("group", [None, 5])
def test_the_module_multiplies_with_the_matrix_of_its_codes(group: int | None) -> None:
    """Any shape, lanes, slopes, a bias; what is kept is a fifth of a byte a weight."""
    given_ = ternary(matrix(12, 16), group)
    bias = torch.arange(12.0)
    module = TernaryLinear.of(given_, bias, torch.float32)
    dense = given_.dequantised()
    assert torch.equal(module.weight, dense) and len(module.codes) == -(-12 * 16 // 5)
    x = matrix(24, 16, 1).reshape(2, 3, 4, 16)
    torch.testing.assert_close(module(x), x @ dense.T + bias)
    assert torch.equal(module(x[1]), torch.vmap(module)(x)[1])
    (slope,) = torch.autograd.grad(torch.vmap(module)(x.requires_grad_()).square().sum(), x)
    torch.testing.assert_close(slope, 2 * (x @ dense.T + bias).detach() @ dense, rtol=1e-4, atol=1e-3)
    assert not [p for p in module.parameters() if p.requires_grad]


def test_the_module_in_half_precision() -> None:
    module = TernaryLinear.of(Ternary(torch.tensor([[1, 0, -1]], dtype=torch.int8), torch.tensor([[0.5]])), None,
                              torch.bfloat16)  # fmt: skip
    found = module(torch.tensor([[2.0, 4, 6]]))
    assert module.weight.dtype == torch.bfloat16 and found.dtype == torch.float32 and found.tolist() == [[-2.0]]
