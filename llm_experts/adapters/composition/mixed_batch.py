"""One adapter per row of a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.guard import BASE_ROW, check_names
from llm_experts.adapters.registry import kind_of

if TYPE_CHECKING:
    from peft import PeftModel


def mixed_batch_forward(peft_model: PeftModel, batch: Mapping[str, Tensor], adapter_names: Sequence[str]) -> Tensor:
    """Logits [n, T, vocabulary] of a batch in which every row has its own adapter.

    Parameters
    ----------
    peft_model : PeftModel
        With adapters of any one kind.
    batch : mapping
        ``input_ids`` [n, T] and whatever else the model takes, all with a first dimension n.
    adapter_names : sequence of n str
        ``__base__`` is the base alone.

    Notes
    -----
    LoRA, rsLoRA, LoRA-FA and SVF run as one batch; other kinds run the rows of each adapter on their own, the model's
    active adapter and what requires gradients stay as they are.

    Raises
    ------
    AdapterError
        If a name is unknown or their number is not the batch's.
    """
    names, rows = list(adapter_names), len(batch["input_ids"])
    if len(names) != rows:
        raise AdapterError(f"The batch has {rows} rows, but {len(names)} adapters are named; name one for every row.")
    check_names(peft_model, set(names) - {BASE_ROW})
    model: Any = peft_model
    kinds = [kind_of(model.peft_config[name]) for name in set(names) - {BASE_ROW}]
    if kinds and all(kind.row_wise for kind in kinds):
        return model(**batch, adapter_names=names).logits  # type: ignore[no-any-return]
    return _by_adapter(model, batch, names)


def _by_adapter(model: Any, batch: Mapping[str, Tensor], names: list[str]) -> Tensor:
    """The rows of each adapter on their own; the last T tokens, as virtual tokens stand ahead of a text."""
    length = batch["input_ids"].shape[1]
    parts, places = [], []
    with _restored(model):
        for name in dict.fromkeys(names):
            rows = [row for row, named in enumerate(names) if named == name]
            if name != BASE_ROW:
                model.set_adapter(name)
            with model.disable_adapter() if name == BASE_ROW else contextlib.nullcontext():
                parts.append(model(**{key: value[rows] for key, value in batch.items()}).logits[:, -length:])
            places += rows
    return torch.cat(parts)[torch.tensor(places).argsort()]


@contextmanager
def _restored(model: Any) -> Iterator[None]:
    """Afterwards the active adapter and what requires gradients are as before: PEFT's ``set_adapter`` changes both."""
    active, trains = model.active_adapter, {name: p.requires_grad for name, p in model.named_parameters()}
    try:
        yield
    finally:
        if isinstance(active, str):
            model.set_adapter(active)
        else:
            model.base_model.set_adapter(active)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(trains[name])
