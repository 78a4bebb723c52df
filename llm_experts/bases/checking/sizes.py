"""Sizes that ``config.json`` names, against the shapes that the weights have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_experts.bases.checking.files import opened_weights
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import files_in

PLAIN = ("llama", "mistral", "qwen2", "qwen3")
"""Kinds of models whose tensors have these names and sizes, without exception."""
HEADS = "num_attention_heads x head_dim"
KEYS = "num_key_value_heads x head_dim"
AXES = {
    "embed_tokens": ("vocab_size", "hidden_size"), "lm_head": ("vocab_size", "hidden_size"),
    "q_proj": (HEADS, "hidden_size"), "k_proj": (KEYS, "hidden_size"), "v_proj": (KEYS, "hidden_size"),
    "o_proj": ("hidden_size", HEADS), "gate_proj": ("intermediate_size", "hidden_size"),
    "up_proj": ("intermediate_size", "hidden_size"), "down_proj": ("hidden_size", "intermediate_size"),
}  # fmt: skip
"""What the two sizes of a matrix are."""
LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")

Shapes = Mapping[str, tuple[Path, tuple[int, ...]]]


def check_sizes(folder: Path, given: Mapping[str, Any]) -> None:
    """Refuse a ``config.json`` whose sizes are not those of the weights: a model of it would be another one.

    Parameters
    ----------
    folder : Path
    given : mapping
        The settings of ``config.json``, of the right kinds.

    Raises
    ------
    BaseError
        Key, value and what the weights have; or a file of weights that is damaged.
    """
    found = _shapes(folder)
    if given.get("model_type") not in PLAIN or given.get("quantization_config"):
        return
    layers = len({match[1] for name in found if (match := LAYER.search(name))})
    told = given.get("num_hidden_layers")
    if layers and told is not None and told != layers:
        raise BaseError(_unequal(folder, "num_hidden_layers", told, f"the weights have {layers} layers"))
    sizes = _sizes(given)
    for name, (path, shape) in found.items():
        axes = AXES.get(name.removesuffix(".weight").rpartition(".")[2], ()) if name.endswith(".weight") else ()
        for axis, key in enumerate(axes if len(shape) == len(axes) else ()):
            if key in sizes and sizes[key] != shape[axis]:
                has = f"{name} in {path.name} has the shape {'×'.join(map(str, shape))}"
                raise BaseError(_unequal(folder, key, sizes[key], has))


def _unequal(folder: Path, key: str, told: int, has: str) -> str:
    return (
        f"{folder / 'config.json'}, key {key}: it is {told}, but {has}. Copy config.json and the weights again from "
        "where the model is: they do not belong together."
    )


def _sizes(given: Mapping[str, Any]) -> dict[str, int]:
    """Sizes that are told, products included; what is left out has a default that the library knows."""
    sizes = {key: given[key] for key in ("vocab_size", "hidden_size", "intermediate_size") if key in given}
    heads, head = given.get("num_attention_heads"), given.get("head_dim")
    if head is None and heads and "hidden_size" in given:
        head = given["hidden_size"] // heads
    if heads and head:
        sizes[HEADS] = heads * head
        sizes[KEYS] = (given.get("num_key_value_heads") or heads) * head
    return sizes


def _shapes(folder: Path) -> Shapes:
    """File and shape of every tensor, from the heads of the files."""
    found: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for path in files_in(folder, ("*.safetensors",)):
        with opened_weights(path) as weights:
            for name in weights.keys():  # noqa: SIM118 (no mapping)
                found[name] = (path, tuple(weights.get_slice(name).get_shape()))
    return found
