"""LoRA whose B starts anywhere and whose A stands still: a kind of its own in one file."""

from llm_experts.adapters import lora
from llm_experts.adapters.kind import AdapterKind


def trains(key):
    return ".lora_B." in key


KIND = AdapterKind(
    name="lora_still",
    label="LoRA, A still",
    about="LoRA whose A never moves",
    make=lora.make,
    lr_range=(1e-4, 1e-2),
    rank_choices=(4, 8),
    peft_type="LORA",
    written_as="lora",
    trains_matrices=True,
    row_wise=True,
    parts=("lora_A", "lora_B"),
    delta=lora.delta,
    trains=trains,
    start=lora.start,
)
