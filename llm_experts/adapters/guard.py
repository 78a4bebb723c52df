"""Where PEFT 0.21 computes something other than was asked for, without a word: refused, or computed right.

- ``adapter_names`` (one adapter per row) is honoured by LoRA alone. IA³, prompts and prefixes take no notice: every
  row, also one marked ``__base__``, gets the active adapter. DoRA raises.
  ``mixed_batch_forward`` is right for all.
- ``add_weighted_adapter`` adds factors for ``linear``, ``ties`` and ``dare``: (Σ √w B)(Σ √w A) has cross terms B_i A_j.
  ``svd``, its default, cuts to the largest rank of its sources. For rsLoRA the new adapter is scaled by √r instead of
  1, DoRA's magnitudes and LoRA's biases are lost: even one adapter with weight 1 is not itself. For IA³ it returns
  Σ w l, so that weights of 0 silence keys and values instead of leaving the base. ``weighted_adapter`` is
  right, and says how much a lower rank costs.
- Several active adapters: ``PeftModel.set_adapter(list)`` raises ``unhashable type``; of DoRA the second rescales what
  the first added. ``set_adapters`` sums where PEFT sums, and refuses elsewhere.

Models of this project (:func:`llm_experts.adapters.injection.inject`) refuse PEFT's own ways into these
(:func:`guard`); the right ways are in :mod:`llm_experts.adapters.composition`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from torch import nn

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import kind_of

if TYPE_CHECKING:
    from peft import PeftModel

BASE_ROW = "__base__"
"""Name of no adapter: the base alone."""


def check_names(model: Any, names: set[str]) -> None:
    """Raise :class:`AdapterError` for a name that is no adapter of a PEFT model."""
    unknown = sorted(names - set(model.peft_config))
    if unknown:
        raise AdapterError(f"There is no adapter {unknown[0]!r}; there are {', '.join(sorted(model.peft_config))}.")


def refuse_add_weighted_adapter(*_args: Any, **_kwargs: Any) -> NoReturn:
    """What stands in the place of PEFT's method on the models of this project."""
    raise AdapterError(
        "PEFT's add_weighted_adapter does not compute a weighted sum: linear, ties and dare multiply sums of factors, "
        "which adds the cross terms of different adapters; svd cuts to the largest rank of the sources; and the "
        "scaling of rsLoRA, the magnitudes of DoRA and biases are lost even for one adapter with weight 1. Call "
        "llm_experts.adapters.composition.weighted_adapter(model, names, weights), with kind='exact' or 'recompress'."
    )


def _refuse_ignored_names(module: nn.Module, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Hook of PEFT models: ``adapter_names`` that would be ignored are an error."""
    names = kwargs.get("adapter_names")
    if names is None:
        return
    configs: Any = module.peft_config
    used = [name for name in names if name in configs] or list(configs)
    kinds = {kind.name: kind for kind in (kind_of(configs[name]) for name in used)}
    ignored = [name for name, kind in kinds.items() if not kind.row_wise]
    if ignored:
        raise AdapterError(
            f"PEFT takes no notice of adapter_names for adapters of kind {sorted(ignored)[0]}: every row, also one "
            f"marked {BASE_ROW}, would get the active adapter (for DoRA it raises). Call "
            "llm_experts.adapters.composition.mixed_batch_forward(model, batch, adapter_names)."
        )


def guard(peft_model: PeftModel) -> PeftModel:
    """Make a PEFT model refuse what it would get wrong; a second call does nothing.

    The hook and the method are plain functions: copies of the model refuse as well.
    """
    model: Any = peft_model
    if _refuse_ignored_names not in model._forward_pre_hooks.values():
        model.register_forward_pre_hook(_refuse_ignored_names, with_kwargs=True)
        model.add_weighted_adapter = refuse_add_weighted_adapter
    return peft_model
