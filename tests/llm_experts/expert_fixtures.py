"""Adapters with weights that matter, and rows of a simulated population to read."""

import torch

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import kind_named
from llm_experts.adapters.state import adapter_state
from llm_experts.bases.base import Base
from llm_experts.decoder.program import Adapter
from tasks.load import load_task
from tests.llm_experts.conftest import make_tiny_base

BASE = make_tiny_base()
SCM = load_task("scm", rows=300).view()
ROWS = torch.tensor([3, 250, 17, 90, 44, 8])
VIRTUAL = ("soft_prompt", "prefix")


def make_adapter(kind: str, seed: int = 0, start: int = 2, base: Base = BASE, size: float = 0.1) -> Adapter:
    """An adapter of the layers from ``start`` on (of all layers for virtual tokens), moved away from its start."""
    own = own_copy(base)
    layers = None if start == 0 or kind in VIRTUAL else range(start, base.n_layers)
    config = kind_named(kind).make_config(None, layers, own.model)
    model = inject(own.model, config, seed)
    generator = torch.Generator().manual_seed(seed)
    state = {
        key: value + size * torch.randn(value.shape, generator=generator)
        for key, value in sorted(adapter_state(model).items())
    }
    return Adapter(model.peft_config["default"], state)
