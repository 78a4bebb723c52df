"""How an adapter gets into a base, and out again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from foundation.seeding import torch_generator
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.guard import guard
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.state import State, adapter_parameters, set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.bases.sharing import shared_copy

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn

FOREIGN = ("modules_to_save", "trainable_token_indices", "layer_replication", "target_parameters", "lora_bias")
"""Options of PEFT's LoRA that change more than the adapter of a matrix; no part of this project composes them."""


def own_copy(base: Base) -> Base:
    """The base with modules of its own and the very same weights.

    PEFT replaces modules of the model it is given. Injecting into a copy leaves the base as it is, and costs no memory.
    """
    return replace(base, model=shared_copy(base.model))


def check_foreign(config: Any) -> None:
    """Raise :class:`AdapterError` for options that this project cannot keep its promises with."""
    start = getattr(config, "init_lora_weights", True)
    if start not in (True, False, "gaussian"):
        raise AdapterError(
            f"init_lora_weights={start!r} changes the base's weights, which all adapters share; leave it out."
        )
    if getattr(config, "prompt_tuning_init", None) == "TEXT":
        raise AdapterError(
            "prompt_tuning_init='TEXT' makes PEFT load the tokenizer that the configuration names, from anywhere: "
            "refused. Make the configuration with text= and tokenizer=, which starts the same way."
        )
    if getattr(config, "megatron_config", None):
        raise AdapterError(
            "megatron_config makes PEFT import the module that the configuration names: refused. Leave it out."
        )
    set_ones = [option for option in FOREIGN if getattr(config, option, None)]
    if getattr(config, "bias", "none") != "none":
        set_ones.append("bias")
    if set_ones:
        raise AdapterError(
            f"{', '.join(set_ones)} changes more than the adapter's own matrices: it would be lost in a bank, a "
            "mixture or lanes. Leave it out."
        )


def _check_weights(model: nn.Module, config: Any) -> None:
    """Raise :class:`AdapterError` where PEFT cannot run a kind on the weights as they are kept."""
    if getattr(config, "use_dora", False) and any(
        type(p).__name__ == "Int8Params" and p.device.type == "cpu" for p in model.parameters()
    ):
        raise AdapterError(
            "PEFT cannot run DoRA on INT8 weights of a CPU: it loses their scales when it reads them for the norms. "
            "Load the base in NF4 or without quantisation, or choose another kind."
        )


def _check_name(name: str, config: Any) -> None:
    """Raise :class:`AdapterError` for names that PEFT cannot tell from its own words in the names of weights."""
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    prefix = PEFT_TYPE_TO_PREFIX_MAPPING.get(config.peft_type) or ""
    if not name or "." in name or name in prefix:
        raise AdapterError(
            f"An adapter cannot be called {name!r}: PEFT builds names of weights from it, and it is empty, has a dot "
            f"or is part of {prefix!r}. Choose another name."
        )


@contextmanager
def _peft_as_asked() -> Iterator[None]:
    """Leave torch's global generator, which PEFT draws from, as it is; silence what PEFT asks of transformers."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*base_model_name_or_path.*was renamed.*")
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


def inject(model: nn.Module, config: PeftConfig, seed: int | None, name: str = "default") -> PeftModel:
    """A PEFT model with one more adapter, whose first weights depend on ``seed`` and on nothing else.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        A base's model, changed in place as PEFT does (:func:`own_copy` spares it; :func:`remove` undoes it), or the
        result of an earlier call, which gets another adapter.
    config : PeftConfig
        From :meth:`AdapterKind.make_config`.
    seed : int or None
        None for an adapter whose weights are set next.
    name : str
        Name of the adapter in the PEFT model.

    Returns
    -------
    PeftModel
        In evaluation mode, the new adapter active; only its trainable parameters require gradients. What PEFT would
        compute wrongly with it is refused (:mod:`llm_experts.adapters.guard`).

    Raises
    ------
    AdapterError
        If the name is taken or cannot be used, if kinds cannot live in one PEFT model, if PEFT cannot run the kind on
        the base's weights, or if the configuration changes more than adapter weights (:data:`FOREIGN`) or starts by
        changing the base (PiSSA and the like).

    Notes
    -----
    PEFT draws first weights from torch's global generator. Its draws are thrown away (within a fork of the generator,
    so that nobody else's numbers change) and replaced by :func:`start_state`.
    """
    from peft import PeftModel, get_peft_model

    check_foreign(config)
    _check_weights(model, config)
    _check_name(name, config)
    with _peft_as_asked():
        if isinstance(model, PeftModel):
            if name in model.peft_config:
                raise AdapterError(f"There is an adapter {name!r} already; give the new one another name.")
            try:
                model.add_adapter(name, config)
            except (ValueError, TypeError) as error:
                raise AdapterError(f"PEFT cannot hold this adapter beside the others: {error} Use own_copy.") from error
            made = model
        else:
            made = get_peft_model(model, config, adapter_name=name)
        made.set_adapter(name)
    made.eval()
    if seed is not None:
        set_adapter_state(made, start_state(made, seed, name), name)
    trains = kind_of(config).trains
    for key, parameter in adapter_parameters(made, name).items():
        parameter.requires_grad_(trains(key))
    return guard(made)


def start_state(peft_model: Any, seed: int, name: str = "default") -> State:
    """First weights of an injected adapter for any seed: what lanes of different seeds start from.

    Every tensor has a generator of its own, named by its key: an adapter of fewer layers starts alike in those it has.
    Call it before training: what does not depend on the seed (DoRA's magnitudes) is read from the live adapter.
    """
    config = peft_model.peft_config[name]
    start, model = kind_of(config).start, peft_model.get_base_model()
    with torch.no_grad():
        return {
            key: start(key, value, torch_generator(seed, "adapter", key), model, config)
            for key, value in adapter_parameters(peft_model, name).items()
        }


def trainable_names(peft_model: Any, name: str = "default") -> tuple[str, ...]:
    """Keys of the state that train (LoRA-FA: not A); :func:`parameter_names` translates them."""
    trains = kind_of(peft_model.peft_config[name]).trains
    return tuple(key for key in adapter_parameters(peft_model, name) if trains(key))


def remove(peft_model: Any) -> nn.Module:
    """Take all adapters out again; the model is what it was, bit for bit."""
    if next(iter(peft_model.peft_config.values())).is_prompt_learning:
        model = peft_model.base_model
    else:
        model = peft_model.unload()
    if hasattr(model, "peft_config"):
        del model.peft_config
    return model  # type: ignore[no-any-return]
