"""Whether all weights of a base are numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llm_experts.bases.checking.files import opened_weights
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import files_in

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def check_stored_numbers(id: str, folder: Path) -> None:
    """Every weight must be a number, in the files: what quantisation makes of others does not show it.

    Raises
    ------
    BaseError
        If one is not finite, or a file cannot be read.
    """
    import torch

    for path in files_in(folder, ("*.safetensors",)):
        with opened_weights(path) as weights:
            names = list(weights.keys())
            broken = [name for name in names if not _finite(weights.get_tensor(name), torch.float32)]
        if broken:
            raise BaseError(
                f"{id} has weights that are not finite: {len(broken)} of the tensors in {path.name}, the first is "
                f"{broken[0]}. What it answers is no score; fetch the model again, or choose another."
            )


def check_numbers(id: str, model: PreTrainedModel) -> None:
    """Every weight must be a number, in the model: for files that are not read tensor by tensor.

    Raises
    ------
    BaseError
        If one is not finite.
    """
    import torch

    broken = [name for name, weight in model.named_parameters() if not _finite(weight, torch.float32)]
    if broken:
        raise BaseError(
            f"{id} has weights that are not finite: {len(broken)} of the tensors, the first is {broken[0]}. What it "
            "answers is no score; fetch the model again, or choose another."
        )


def _finite(weight: torch.Tensor, wide: torch.dtype) -> bool:
    if not weight.is_floating_point() or not weight.numel():
        return True
    some = weight.to(wide) if weight.element_size() == 1 else weight  # 8-bit floats have no minimum
    return all(bool(end.isfinite()) for end in some.aminmax())
