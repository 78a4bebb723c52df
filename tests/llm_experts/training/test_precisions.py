"""Every kind and role trains on a base of every precision and quantisation, and says afterwards what it said then."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from itertools import product
from typing import Any, get_args

import pytest
import torch
from torch import nn

from experts.expert import Role
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.decoder.cut import CutBase
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import TopInput
from llm_experts.training.objectives import LAMBDAS, Options
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, train_lanes
from tests.experts.conftest import build_view
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.decoder.test_cut import packed
from tests.llm_experts.lane_fixtures import BinnedView, TokenReader

PRECISIONS = [*product(("float32", "bfloat16"), ("none", "nf4", "int8")), ("float32", "ternary")]
BRIEF = Budget(steps=3, eval_every=3, warm_up=1, batch_rows=16, rungs=(), explained_rows=4, final_rows=4)
LANES = 2

LoadBase = Callable[[str, str], Base]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> LoadBase:
    """The tiny base in a precision and quantisation."""
    made, folder = make_tiny_base(layers=2), tmp_path_factory.mktemp("base")
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    found: dict[tuple[str, str], Base] = {}

    def one(dtype: str, quantisation: str) -> Base:
        if (dtype, quantisation) not in found:
            found[dtype, quantisation] = load_base(str(folder), dtype=dtype, quantisation=quantisation)
        return found[dtype, quantisation]

    return one


def texts_for(base: Base, kind: str) -> TaskTexts:
    view = build_view(80, numeric=3, n_groups=2, seed=0)
    view = BinnedView(**{field.name: getattr(view, field.name) for field in dataclasses.fields(view)})
    return TaskTexts(view, TokenReader(base, start=0 if ADAPTERS[kind].needs_full_model else -1))


def check_trains(texts: TaskTexts, role: Role, kind: str, **options: Any) -> None:
    lambdas = dict.fromkeys(LAMBDAS[role], 0.1)
    configs = [LaneConfig(1e-2, 1e-4, 4, lambdas, seed) for seed in range(LANES)]
    result = train_lanes(texts, role, configs, BRIEF, seed=0, kind=kind, keep_last=True, options=Options(**options))
    assert result.state == ["completed"] * LANES
    assert bool((result.theta != result.lanes.start).any(1).all()), "a lane did not move"
    adapters = [result.adapter(lane) for lane in range(LANES)]
    again = texts.reader.margins(adapters, texts.view, texts.view.split.validation).double()
    exact = texts.cut.base.model.dtype == torch.float32
    torch.testing.assert_close(again, result.margins, atol=1e-4 if exact else 0.1, rtol=1e-3 if exact else 0.05)


@pytest.mark.parametrize(("dtype", "quantisation"), PRECISIONS)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_role_trains(load: LoadBase, dtype: str, quantisation: str, kind: str) -> None:
    texts = texts_for(load(dtype, quantisation), kind)
    for role in get_args(Role):
        check_trains(texts, role, kind)


@pytest.mark.parametrize(("dtype", "quantisation"), PRECISIONS)
@pytest.mark.parametrize("options", [{"attribution": "gradient"}, {"utility_loss": "reward", "kl": 0.1}])
def test_every_variant_of_the_objective_trains(
    load: LoadBase, dtype: str, quantisation: str, options: dict[str, Any]
) -> None:
    check_trains(texts_for(load(dtype, quantisation), "lora"), "combined", "lora", **options)


def plain_copy(base: Base) -> Base:
    """The same base with ordinary modules in the place of INT8 ones."""
    whole = copy.deepcopy(base.model)
    for parent in list(whole.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "EightBitLinear":
                made = nn.Linear(child.in_features, child.out_features, bias=False, dtype=child.weight.dtype)
                made.weight.data = child.weight
                setattr(parent, name, made.requires_grad_(False))
    return dataclasses.replace(base, model=whole)


def test_lanes_on_int8_learn_what_lanes_on_the_dequantised_matrices_learn(load: LoadBase) -> None:
    base = load("float32", "int8")
    ids, layout = packed([17, 5, 11])

    def gradient(of: Base) -> torch.Tensor:
        cut = CutBase(of, 0)
        lanes = AdapterLanes.fresh(cut, (7, 9), "lora", [4, 4], [0, 1])
        theta = (lanes.start + 0.01).requires_grad_()
        given = TopInput(cut.lower(ids, layout), layout, torch.zeros_like(ids))
        margin = lanes.answers(theta, slice(0, 2), given).margin
        (found,) = torch.autograd.grad(margin.sum(), theta)
        return torch.cat([margin.detach(), found], 1)

    torch.testing.assert_close(gradient(base), gradient(plain_copy(base)))
