"""Streams by name: fixed numbers, because every result of a run hangs on them."""

from __future__ import annotations

import numpy as np
import torch

from foundation.seeding import derive_seed, named_generator, numpy_generator, torch_generator


def test_seeds_never_change() -> None:
    assert derive_seed(0, "a", 1) == 4424143583225978915
    assert derive_seed(7, "rows") == 3059747511988030611
    assert named_generator("pool", "dp@1", "a").integers(0, 2**63, 2).tolist() == [
        1441259348273631991,
        8051357391041837668,
    ]


def test_seeds_change_with_the_seed_and_with_every_word() -> None:
    seeds = {derive_seed(0, "a", "b"), derive_seed(1, "a", "b"), derive_seed(0, "a"), derive_seed(0, "ab")}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_of_one_name_draw_alike() -> None:
    assert np.array_equal(numpy_generator(3, "x").random(4), numpy_generator(3, "x").random(4))
    assert np.array_equal(named_generator("x").random(4), named_generator("x").random(4))
    first, second = (torch.rand(4, generator=torch_generator(3, "x")) for _ in range(2))
    assert torch.equal(first, second)
