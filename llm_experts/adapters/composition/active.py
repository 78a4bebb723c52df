"""Several active adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.guard import check_names
from llm_experts.adapters.registry import kind_of

if TYPE_CHECKING:
    from peft import PeftModel


def set_adapters(peft_model: PeftModel, names: Sequence[str]) -> None:
    """Make several adapters active at once: what they add is summed.

    Raises
    ------
    AdapterError
        For kinds of which PEFT does not sum several active ones.
    """
    check_names(peft_model, set(names))
    model: Any = peft_model
    wrong = sorted({kind.name for kind in (kind_of(model.peft_config[name]) for name in names) if not kind.row_wise})
    if wrong and len(names) > 1:
        raise AdapterError(
            f"Several active adapters of kind {wrong[0]} do not add up in PEFT: of DoRA the second rescales "
            "what the first added, of IA³ gains are multiplied, and of prompts only one is used. Use a "
            "AdapterBank for a weighted sum, or make one active."
        )
    if len(names) == 1:
        model.set_adapter(names[0])
    else:
        model.base_model.set_adapter(list(names))  # PeftModel.set_adapter takes one name
