"""SVF, singular-value fine-tuning, as a method of PEFT; importing this package registers it.

``get_peft_model(model, SVFConfig(...))`` and everything else that PEFT does with an adapter then works, including
``PeftModel.from_pretrained`` of saved ones and mixed batches by ``adapter_names``.
"""

from __future__ import annotations

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils import register_peft_method

from llm_experts.adapters.kind import AdapterKind
from llm_experts.adapters.svf.config import SVF, SVFConfig
from llm_experts.adapters.svf.decomposition import cache_folder, decompose, spectra_in, spectrum_of
from llm_experts.adapters.svf.kind import delta, make
from llm_experts.adapters.svf.layer import SVFLinear
from llm_experts.adapters.svf.mixture import svf_layers, svf_mixture
from llm_experts.adapters.svf.model import SVFModel, spectrum_hash
from llm_experts.adapters.svf.multipliers import mixed_z
from llm_experts.adapters.svf.vectors import (
    assign_vectors,
    captured_energy,
    expert_vectors,
    read_expert_vectors,
    write_expert_vectors,
)
from llm_experts.adapters.svf.weights import dense_weight

__all__ = [
    "KIND",
    "SVFConfig",
    "SVFLinear",
    "SVFModel",
    "assign_vectors",
    "cache_folder",
    "captured_energy",
    "decompose",
    "dense_weight",
    "expert_vectors",
    "mixed_z",
    "read_expert_vectors",
    "spectra_in",
    "spectrum_hash",
    "spectrum_of",
    "svf_layers",
    "svf_mixture",
    "write_expert_vectors",
]


def register() -> None:
    """Make PEFT know SVF; a second call does nothing."""
    if PEFT_TYPE_TO_CONFIG_MAPPING.get(SVF) is not SVFConfig:
        register_peft_method(name="svf", config_cls=SVFConfig, model_cls=SVFModel, prefix=SVFModel.prefix)


register()

KIND = AdapterKind(
    name="svf",
    label="SVF",
    about="singular-value fine-tuning",
    place=5,
    make=make,
    lr_range=(1e-2, 5e-1),
    rank_choices=(None, 64, 16),
    peft_type="SVF",
    row_wise=True,
    parts=("svf_p",),
    delta=delta,
)
