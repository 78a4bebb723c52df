"""Adapters as folders of PEFT's LoRA, which vLLM reads: exactly, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import atomic_path, write_json
from llm_experts.adapters.composition import as_lora
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.store import CONFIG, WEIGHTS, SavedAdapter, check_base, config_fields
from serving.error import ServingError
from serving.vllm.exported import RANKS, Exported

if TYPE_CHECKING:
    from llm_experts.adapters.composition import WeightedAdapter
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
    try:
        lora = as_lora(saved.config, saved.state, model.get_decoder().layers)
    except AdapterError as error:
        raise _refused(name, kind.label, str(error).rstrip(".")) from error
    config: Any = lora.config
    if config.r > RANKS[-1]:
        raise _refused(name, kind.label, f"its change has rank {config.r}, and vLLM serves ranks up to {RANKS[-1]}")
    made = Exported(name, folder / name, kind.name, config.r)
    _write(made, lora, base)
    return made


def _write(made: Exported, lora: WeightedAdapter, base: Base) -> None:
    from safetensors.torch import save_file

    config: Any = lora.config
    config.target_modules = sorted({place.name.rpartition(".")[2] for place in lora.errors})  # by suffix, for vLLM
    fields: dict[str, Any] = config_fields(config, base)
    with atomic_path(made.folder) as folder:
        folder.mkdir()
        save_file(lora.state, folder / WEIGHTS, metadata={"format": "pt"})
        write_json(folder / CONFIG, fields)
        write_json(folder / LAST, {"name": made.name, "was": made.kind, "rank": made.rank, "base": base.hash})


def _refused(name: str, label: str, why: str) -> ServingError:
    return ServingError(
        "undefined-composition",
        f"{name} ({label}) cannot be exported to vLLM: {why}. Serve it with fairmoe serve, without --engine vllm.",
    )
