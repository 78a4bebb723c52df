"""Lanes on a published base: what PEFT computes in the library's own forward pass, and answers that end."""

from pathlib import Path

import pytest
import torch

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.state import set_adapter_state
from llm_experts.bases.load import load_base
from llm_experts.data.encoding import prompt_ids
from llm_experts.data.example import Example
from llm_experts.training.loop.order import items_of
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.training.loop.fixtures import settings


@pytest.mark.slow
@pytest.mark.real_base
def test_two_lanes_in_the_last_layers(real_base_folder: Path) -> None:
    base = load_base(str(real_base_folder), dtype="float32")
    examples = [
        Example("a", "What is the capital of France?", "Paris"),
        Example("b", "Say blue.", "Blue, of course."),
    ]
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 1], -2)
    theta = lanes.start + 0.02 * torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(0))
    batch = collate([items_of(examples, base, settings(style="auto"), "completion")], base.device)
    adapter = lanes.adapter(1, theta[1])
    model = inject(own_copy(base).model, adapter.config, None)
    set_adapter_state(model, adapter.state)
    with torch.no_grad():
        found = lanes.token_logprobs(theta, batch)[1]
        for row, ids in enumerate(batch.ids):
            end = int((batch.segments[row] >= 0).sum())
            logprobs = model(input_ids=ids[None, :end], use_cache=False).logits[0].float().log_softmax(-1)
            for at in range(1, end):
                if batch.learnt[row, at]:
                    assert float(found[row, at]) == pytest.approx(float(logprobs[at - 1, ids[at]]), abs=5e-3)
    ((said,),) = SequenceLanes.fresh(base, "lora", [4], [0], -2).sample(
        lanes.start[:1], [prompt_ids(examples[0], base)], max_new_tokens=16
    )
    assert "Paris" in said.text and said.ended
