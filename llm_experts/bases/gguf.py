"""GGUF files: a base in one file of llama.cpp's format, its weights often quantised.

Adapters change the matrices of a decoder, so its weights are unpacked when they are loaded: a quantised file gives the
numbers that it was rounded to, and needs the memory of an unquantised model. The loading is transformers' own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_experts.bases.error import BaseError

MAGIC = b"GGUF"


def check_gguf(path: Path, quantisation: str) -> None:
    """Refuse what is no GGUF file, and quantising what was quantised before.

    Raises
    ------
    BaseError
        If the file does not begin as one, ``quantisation`` asks for another one, or the package gguf is not installed.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BaseError(f"{path} is not a GGUF file: it does not begin with {MAGIC.decode()}. Fetch it again.")
    if quantisation != "none":
        raise BaseError(
            f"{path} is a GGUF file, whose weights are unpacked when they are loaded; --quantisation {quantisation} "
            "would round them a second time. Leave it out, or take the model's own weights (safetensors)."
        )
    if find_spec("gguf") is None:
        raise BaseError(
            f"To read {path} the package gguf is needed: pip install gguf, or pip install --group gguf where "
            "pyproject.toml lies."
        )


def gguf_options(path: Path) -> dict[str, Any]:
    """Options with which transformers loads the file, all weights unpacked."""
    from transformers import GgufConfig

    config: Any = GgufConfig
    return {"gguf_file": path.name, "quantization_config": config(dequantize=True)}
