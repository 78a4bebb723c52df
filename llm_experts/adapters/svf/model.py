"""SVF as PEFT sees it: injects layers, binds adapters to the weights they were made for."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.kind import ALL_LINEAR
from llm_experts.adapters.svf.config import SVFConfig
from llm_experts.adapters.svf.layer import SVFLinear
from llm_experts.adapters.svf.mixture import svf_layers, svf_mixture

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
BASE_ROW = "__base__"
"""PEFT's word for a row without adapter."""


def spectrum_hash(model: nn.Module, name: str) -> str:
    """sha256 of the weights that an adapter scales the singular values of, in the model's order."""
    hashes = [layer.weight_hash for layer in svf_layers(model) if name in layer.svf_p]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


class SVFModel(BaseTuner):
    """A model with SVF layers; see :class:`SVFConfig`. Made by ``peft.get_peft_model``."""

    prefix = "svf_"
    tuner_layer_cls = SVFLinear
    target_module_mapping = {family: list(ALL_LINEAR) for family in FAMILIES}  # noqa: RUF012 - as PEFT declares it

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Add an adapter at the identity, bound to the weights that it finds.

        Raises
        ------
        AdapterError
            If the configuration was saved with an adapter for other weights. The model then is as before.
        """
        given: Any = self.peft_config[adapter_name]
        config = copy.copy(given)  # PEFT writes into it; the caller may use the same one for another base
        self.peft_config[adapter_name] = config
        try:
            super().inject_adapter(model, adapter_name, *args, **kwargs)
            self._bind(model, adapter_name, config)
        except Exception:
            self._withdraw(model, adapter_name)
            raise
        given.bind(config.spectrum_hash)

    def _bind(self, model: nn.Module, adapter_name: str, config: SVFConfig) -> None:
        found = spectrum_hash(model, adapter_name)
        if config.binding and config.spectrum_hash != found:
            raise AdapterError(
                f"The SVF adapter {adapter_name!r} is an adapter for another base: it scales the singular values of "
                f"weights with hash {str(config.spectrum_hash)[:12]}, this model's have {found[:12]}. Load the base "
                "that it was trained on, in the same precision and quantisation, or train it again."
            )
        config.bind(found)

    def _withdraw(self, model: nn.Module, adapter_name: str) -> None:
        """Take a half-made adapter out again."""
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if not isinstance(child, SVFLinear) or adapter_name not in child.svf_p:
                    continue
                del child.svf_p[adapter_name]
                child.settings.pop(adapter_name, None)
                if not child.svf_p:
                    setattr(parent, name, child.unmerged_layer)

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,  # noqa: ARG002 - PEFT's signature
    ) -> None:
        if isinstance(target, SVFLinear):
            target.update_layer(adapter_name, peft_config)
            return
        if isinstance(target, BaseTunerLayer):
            raise AdapterError(
                f"{current_key} carries an adapter of another method already; SVF needs the base's own weight. Unload "
                "that adapter first, or adapt other modules."
            )
        try:
            layer = SVFLinear(target, adapter_name, peft_config)
        except AdapterError as error:
            raise AdapterError(f"{current_key}: {error}") from error
        if adapter_name not in self.active_adapters:
            layer.svf_p.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    @contextmanager
    def _enable_peft_forward_hooks(self, *_args: Any, **kwargs: Any) -> Iterator[None]:
        """PEFT's mixed batches: ``adapter_names`` gives every row its adapter, ``__base__`` none."""
        names: Sequence[str] | None = kwargs.get("adapter_names")
        if names is None:
            yield
            return
        distinct = sorted(set(names) - {BASE_ROW}) or [self.active_adapters[0]]
        rows = [[float(name == one) for one in distinct] for name in names]
        with svf_mixture(self.model, distinct, torch.tensor(rows)):
            yield
