"""A cut base computes what the library's own forward pass computes, only once and only where it is needed."""

import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from torch.func import functional_call

from llm_experts.bases.error import BaseError
from llm_experts.decoder.cut import CutBase
from llm_experts.decoder.layout import Layout
from tests.llm_experts.conftest import make_tiny_base

ANSWERS = (7, 9)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def packed(lengths: list[int], tails: tuple[int, int] = (3, 2)) -> tuple[torch.Tensor, Layout]:
    """Random prompts of several lengths with tails of different lengths, right padded."""
    generator = torch.Generator().manual_seed(3)
    width = max(lengths) + sum(tails)
    ids = torch.zeros(len(lengths), width, dtype=torch.int64)
    segment = torch.full((len(lengths), width), -1, dtype=torch.int8)
    positions, answers = torch.zeros_like(ids), torch.zeros(len(lengths), 2, dtype=torch.int64)
    for row, length in enumerate(lengths):
        first, second = length + tails[0], length + sum(tails)
        ids[row, :second] = torch.randint(3, 300, (second,), generator=generator)
        segment[row, :length], segment[row, length:first], segment[row, first:second] = 0, 1, 2
        positions[row, :first] = torch.arange(first)
        positions[row, first:second] = torch.arange(length, length + tails[1])
        answers[row] = torch.tensor([first - 1, second - 1])
    return ids, Layout(positions, segment, answers)


def one_by_one(model: torch.nn.Module, ids: torch.Tensor, layout: Layout) -> torch.Tensor:
    """[n, 2, 2] the library's logits, one unpadded text per row and order."""
    rows = []
    for row in range(len(ids)):
        tokens = [ids[row][(layout.segment[row] == 0) | (layout.segment[row] == tail)] for tail in (1, 2)]
        logits = [model(input_ids=t[None]).logits[0, -1, list(ANSWERS)] for t in tokens]
        rows.append(torch.stack(logits))
    return torch.stack(rows)


@pytest.mark.parametrize("start", [0, 1, 2, -1])
def test_equals_the_library(tiny_base, start):
    ids, layout = packed([17, 5, 11])
    cut = CutBase(tiny_base, start)
    found = cut.top(ANSWERS)(cut.lower(ids, layout), layout)
    torch.testing.assert_close(found.logits, one_by_one(tiny_base.model, ids, layout), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.attention.sum(1), torch.ones(3))
    assert float(found.attention[layout.segment < 0].abs().max()) == 0.0


def test_sees_adapters_that_peft_injects(tiny_base):
    config = LoraConfig(r=2, target_modules=TARGETS, layers_to_transform=[1, 2], init_lora_weights=False)
    model = get_peft_model(tiny_base.model, config)
    ids, layout = packed([9, 6])
    cut = CutBase(tiny_base, 1)
    found = cut.top(ANSWERS)(cut.lower(ids, layout), layout)
    torch.testing.assert_close(found.logits, one_by_one(model, ids, layout), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("start", [1, 2])
def test_lanes_are_separate_passes(tiny_base, start):
    get_peft_model(tiny_base.model, LoraConfig(r=2, target_modules=TARGETS, layers_to_transform=[1, 2]))
    ids, layout = packed([9, 6])
    cut = CutBase(tiny_base, start)
    top, hidden = cut.top(ANSWERS), cut.lower(ids, layout)
    generator = torch.Generator().manual_seed(0)
    shapes = {name: p.shape for name, p in top.named_parameters() if "lora" in name}
    lanes = {name: torch.randn(3, *shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    together = torch.vmap(lambda p: functional_call(top, p, (hidden, layout)))(lanes)
    for lane in range(3):
        alone = functional_call(top, {name: p[lane] for name, p in lanes.items()}, (hidden, layout))
        torch.testing.assert_close(together.logits[lane], alone.logits)
        torch.testing.assert_close(together.pooled[lane], alone.pooled)


def test_a_top_has_its_own_adapters_and_the_models_weights(tiny_base):
    cut = CutBase(tiny_base, 1)
    ids, layout = packed([9, 6])
    hidden, plain = cut.lower(ids, layout), cut.top(ANSWERS)
    changed = cut.top(ANSWERS)
    inject_adapter_in_model(LoraConfig(r=2, target_modules=TARGETS, init_lora_weights=False), changed)
    difference = (changed(hidden, layout).logits - plain(hidden, layout).logits).detach()
    assert float(difference.abs().max()) > 1e-3
    assert not any("lora" in name for name, _ in tiny_base.model.named_modules())
    own = {p.data_ptr() for p in tiny_base.model.parameters()}
    assert {p.data_ptr() for p in plain.layers.parameters()} <= own


def test_virtual_tokens_shift_the_layout():
    _, layout = packed([4])
    shifted = layout.shifted(2)
    assert shifted.positions[0, :6].tolist() == [0, 1, 2, 3, 4, 5]
    assert shifted.answers.tolist() == (layout.answers + 2).tolist()
    assert shifted.segment[0, :3].tolist() == [0, 0, 0]


def test_there_must_be_such_a_layer(tiny_base):
    with pytest.raises(BaseError, match="has 3 layers; adapters cannot start at layer 3"):
        CutBase(tiny_base, 3)


def test_an_architecture_that_computes_something_else_is_refused():
    base = make_tiny_base()
    base.model.model.layers[1].mlp.register_forward_hook(lambda module, args, out: out * 2 if out.ndim == 3 else out)
    CutBase(base)  # a hook is part of both passes
    base.model.model.layers[1].register_forward_hook(lambda module, args, out: out * 2)
    with pytest.raises(BaseError, match="a plain decoder does not"):
        CutBase(base)


def test_a_base_is_compared_once_for_a_length_whoever_asks():
    """Three passes of the whole base: not again for the next reader or expert, but again once a weight changed."""
    base, passes = make_tiny_base(), []
    forward = type(base.model).forward

    class Counted(type(base.model)):
        def forward(self, *args, **kwargs):
            passes.append(kwargs["input_ids"].shape[1])
            return forward(self, *args, **kwargs)

    base.model.__class__ = Counted
    for _ in range(2):
        CutBase(base, 1).compare(60)
    assert passes == [32, 32, 64, 64]
    CutBase(base, 2)
    assert len(passes) == 6  # another cut is another pass
    with torch.no_grad():
        base.model.model.layers[0].mlp.down_proj.weight[0, 0] += 1
    CutBase(base, 1)
    assert len(passes) == 8
