"""Several adapters of one PEFT model at once, computed as was asked: per row, as a weighted sum, active together."""

from llm_experts.adapters.composition.active import set_adapters
from llm_experts.adapters.composition.low_rank import as_lora
from llm_experts.adapters.composition.melted import melt, melted
from llm_experts.adapters.composition.mixed_batch import mixed_batch_forward
from llm_experts.adapters.composition.weighted import WeightedAdapter, add_adapter, weighted_adapter

__all__ = [
    "WeightedAdapter",
    "add_adapter",
    "as_lora",
    "melt",
    "melted",
    "mixed_batch_forward",
    "set_adapters",
    "weighted_adapter",
]
