"""Adapters as folders of PEFT's LoRA, which vLLM reads: exactly, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from foundation.files import atomic_path, write_json
from llm_experts.adapters.delta import Delta, Place, matrix, part_of
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.store import CONFIG, WEIGHTS, SavedAdapter, check_base, config_fields
from serving.error import ServingError
from serving.vllm.exported import RANKS, Exported
from serving.vllm.low_rank import LowRank, low_rank

if TYPE_CHECKING:
    from llm_experts.bases.base import Base

LAST = "fairmoe_export.json"


def export(name: str, saved: SavedAdapter, base: Base, folder: Path) -> Exported:
    """Write one adapter as a LoRA of scaling 1, in a folder of its name.

    LoRA, rsLoRA and LoRA-FA keep their matrices. SVF, IA³ and DoRA become products of the rank that their change of
    the weights has: as many as multipliers or gains differ from 1 (and the rank of DoRA's matrices beside).

    Parameters
    ----------
    name : str
    saved : SavedAdapter
    base : Base
        What it was trained on.
    folder : Path
        Gets a sub-folder ``name``.

    Raises
    ------
    ServingError
        ``undefined-composition``: virtual tokens; a change that is no product; a rank above vLLM's largest.
    AdapterError
        If it was trained on another base.
    """
    check_base(saved, base, folder / name)
    kind = kind_of(saved.config)
    if kind.needs_full_model:
        raise _refused(name, kind.label, "it is made of virtual tokens, and vLLM serves LoRA alone")
    model: Any = base.model
    layers = model.get_decoder().layers
    deltas: dict[Place, Delta] = adapter_deltas(saved.config, saved.state, layers)
    found: dict[Place, LowRank] = {}
    for place, delta in deltas.items():
        product = low_rank(delta, matrix(layers, place))
        if product is None:
            raise _refused(name, kind.label, f"it scales the bias of {place.name}, and LoRA changes no bias")
        found[place] = product
    rank = max(1, *(product.rank for product in found.values()))
    if rank > RANKS[-1]:
        raise _refused(name, kind.label, f"its change has rank {rank}, and vLLM serves ranks up to {RANKS[-1]}")
    made = Exported(name, folder / name, kind.name, rank)
    _write(made, _tensors(saved, found, rank), base, sorted({place.name.rpartition(".")[2] for place in found}))
    return made


def _tensors(saved: SavedAdapter, found: dict[Place, LowRank], rank: int) -> dict[str, Tensor]:
    """Weights under PEFT's keys, all of one rank: vLLM divides by that of the configuration."""
    prefixes = {part_of(key)[0]: key.removesuffix(".weight").rpartition(".")[0] for key in saved.state}
    tensors = {}
    for place, product in found.items():
        full = product.padded(rank)
        tensors[f"{prefixes[place]}.lora_A.weight"] = full.a.contiguous()
        tensors[f"{prefixes[place]}.lora_B.weight"] = full.b.contiguous()
    return dict(sorted(tensors.items()))


def _write(made: Exported, tensors: dict[str, Tensor], base: Base, targets: list[str]) -> None:
    from peft import LoraConfig
    from safetensors.torch import save_file

    config = LoraConfig(task_type="CAUSAL_LM", r=made.rank, lora_alpha=made.rank, target_modules=targets)
    fields: dict[str, Any] = config_fields(config, base)
    with atomic_path(made.folder) as folder:
        folder.mkdir()
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        write_json(folder / CONFIG, fields)
        write_json(folder / LAST, {"name": made.name, "was": made.kind, "rank": made.rank, "base": base.hash})


def _refused(name: str, label: str, why: str) -> ServingError:
    return ServingError(
        "undefined-composition",
        f"{name} ({label}) cannot be exported to vLLM: {why}. Serve it with fairmoe serve, without --engine vllm.",
    )
