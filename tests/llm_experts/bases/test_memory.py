"""How much of a device's memory lanes of adapters may fill."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foundation.numbers import GIB
from llm_experts.bases.base import Base
from llm_experts.bases.memory import CPU_FLOATS, activation_floats, floats_beside, take_share_of_gpu


def test_half_of_what_weights_leave() -> None:
    assert floats_beside(24 * GIB, 8 * GIB) == 2 * GIB  # 8 GiB of 4 bytes
    assert floats_beside(6 * GIB, 2 * GIB) == GIB // 2  # a quarter of that GPU, a quarter of those weights
    assert floats_beside(GIB, 2 * GIB) == 1  # no room: lane by lane, and then the batch is halved


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 38))
def test_never_more_than_there_is(memory: int, weights: int, more: int) -> None:
    floats = floats_beside(memory, weights)
    assert floats == 1 or 4 * floats + weights <= memory
    assert floats <= floats_beside(memory + more, weights)


def test_a_cpu_holds_what_its_caches_do(tiny_base: Base) -> None:
    assert activation_floats(tiny_base.model) == CPU_FLOATS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_share_of_a_gpu_bounds_what_a_process_takes() -> None:
    whole = torch.cuda.get_device_properties(0).total_memory
    try:
        take_share_of_gpu(0.25)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(whole // 2, dtype=torch.uint8, device="cuda:0")
        take_share_of_gpu(1.0)
        torch.empty(whole // 2, dtype=torch.uint8, device="cuda:0")
    finally:
        take_share_of_gpu(0.0)
        torch.cuda.empty_cache()
