"""Multipliers as files: one vector z per module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from foundation.files import atomic_path
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf.layer import SVFLinear
from llm_experts.adapters.svf.multipliers import parameters_of
from llm_experts.bases.pickles import is_pickle

PEFT_PREFIX = "base_model.model."


def _named_layers(model: nn.Module) -> dict[str, SVFLinear]:
    return {
        name.removeprefix(PEFT_PREFIX): module
        for name, module in model.named_modules()
        if isinstance(module, SVFLinear)
    }


def _layers_with(model: nn.Module, name: str) -> dict[str, SVFLinear]:
    found = {module: layer for module, layer in _named_layers(model).items() if name in layer.svf_p}
    if not found:
        raise AdapterError(f"The model has no SVF adapter {name!r}; add it with SVFConfig.")
    return found


@torch.no_grad()
def expert_vectors(model: nn.Module, name: str = "default") -> dict[str, Tensor]:
    """[r] effective multipliers z of an adapter for every module that it adapts."""
    return {module: 1 + layer.offsets(name) for module, layer in _layers_with(model, name).items()}


@torch.no_grad()
def captured_energy(model: nn.Module, name: str = "default") -> dict[str, float]:
    """Share Σ_tuned σ² / Σ σ² of every module that an adapter's rank reaches, in [0, 1]."""
    found = {}
    for module, layer in _layers_with(model, name).items():
        energy = layer.svf_s.double().square()
        found[module] = float(energy[: len(layer.svf_p[name])].sum() / energy.sum())
    return found


@torch.no_grad()
def assign_vectors(model: nn.Module, vectors: Mapping[str, Tensor], name: str = "default") -> None:
    """Set an adapter's multipliers; modules that ``vectors`` leaves out become the identity.

    Raises
    ------
    AdapterError
        If a module is not adapted, a vector is negative or not of the adapter's rank, or the adapter renormalises.
    """
    layers = _layers_with(model, name)
    unknown = sorted(set(vectors) - set(layers))
    if unknown:
        raise AdapterError(f"The adapter {name!r} does not reach {unknown[0]}; add the module to target_modules.")
    for module, layer in layers.items():
        p = layer.svf_p[name]
        z = vectors.get(module, torch.ones(len(p)))
        if layer.settings[name].renormalise:
            raise AdapterError(f"The adapter {name!r} renormalises its multipliers; they cannot be given.")
        if z.shape != p.shape or bool((z < 0).any()):
            raise AdapterError(f"{module} needs {len(p)} multipliers of at least 0, not {tuple(z.shape)} others.")
        p.copy_(parameters_of(z.to(p)))


def write_expert_vectors(path: Path, vectors: Mapping[str, Tensor]) -> None:
    """Write multipliers as safetensors, ``{module}.z`` each."""
    from safetensors.torch import save_file

    tensors = {f"{module}.z": z.detach().to("cpu", torch.float32).contiguous() for module, z in vectors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def read_expert_vectors(path: Path) -> dict[str, Tensor]:
    """Multipliers z per module of a file of :func:`write_expert_vectors`, or of an adapter that PEFT saved.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file or the folder of an adapter.

    Raises
    ------
    AdapterError
        If the file is a pickle, holds no SVF vectors, or an adapter's multipliers depend on its base (renormalised).
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = path / "adapter_model.safetensors" if path.is_dir() else path
    if is_pickle(file):
        raise AdapterError(
            f"{file} is a pickle, which can run code when it is read, and is refused. Convert it where it was written: "
            "safetensors.torch.save_file({f'{module}.z': z for module, z in vectors.items()}, 'expert.safetensors'), "
            "with z the multipliers themselves; Transformer² stores p, and z = sigmoid(p) · max_mult · Σσ / Σ(σ · "
            "sigmoid(p) · max_mult)."
        )
    if not file.is_file():
        raise AdapterError(f"There are no expert vectors at {file}; give a safetensors file or an adapter's folder.")
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise AdapterError(f"{file} is not a safetensors file ({error}); write it again.") from error
    _refuse_renormalised(file.with_name("adapter_config.json"))
    vectors = {_module(key): z for key, value in tensors.items() if (z := _multipliers(key, value)) is not None}
    if not vectors:
        raise AdapterError(f"{file} holds no SVF vectors: no entry ends in .z or .svf_p.")
    return vectors


def _module(key: str) -> str:
    return key.rpartition(".")[0].removeprefix(PEFT_PREFIX)


def _multipliers(key: str, value: Tensor) -> Tensor | None:
    if key.endswith(".z"):
        return value.float()
    return value.float().exp() if key.endswith(".svf_p") else None


def _refuse_renormalised(config: Path) -> None:
    if config.is_file() and json.loads(config.read_text(encoding="utf-8")).get("renormalise"):
        raise AdapterError(
            f"The adapter beside {config} renormalises its multipliers by the base's singular values; load it onto its "
            "base with PEFT and take expert_vectors(model)."
        )
