"""Models with SVF adapters of known, large effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import Tensor, nn

from llm_experts.adapters.svf import SVFConfig, svf_layers
from llm_experts.bases.base import Base

IDS = torch.randint(3, 300, (4, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Decompositions go to the test's folder."""
    monkeypatch.setenv("FAIRMOE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "svd"


@torch.no_grad()
def logits(model: nn.Module, ids: Tensor = IDS, **options: Any) -> Tensor:
    found: Tensor = model(input_ids=ids, **options).logits
    return found


def svf_model(base: Base, **options: Any) -> Any:
    """A PEFT model with one adapter at the identity."""
    return get_peft_model(base.model, SVFConfig(task_type="CAUSAL_LM", **options)).eval()


@torch.no_grad()
def shake(model: nn.Module, name: str = "default", seed: int = 0, size: float = 0.3) -> None:
    """Give an adapter random p."""
    generator = torch.Generator().manual_seed(seed)
    for p in (layer.svf_p[name] for layer in svf_layers(model) if name in layer.svf_p):
        p.copy_(torch.randn(p.shape, generator=generator) * size)


def far(a: Tensor, b: Tensor) -> float:
    """Largest difference."""
    return float((a - b).detach().abs().max())
