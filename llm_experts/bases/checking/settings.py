"""Settings of a base by key: their kinds and bounds, before a library makes a model of them.

A library finds a wrong kind by an error of its own somewhere, and a forged size by filling the memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_experts.bases.checking.files import json_object, said
from llm_experts.bases.error import BaseError

LARGEST = {
    "vocab_size": 10_000_000, "hidden_size": 1_000_000, "intermediate_size": 10_000_000, "num_hidden_layers": 10_000,
    "num_attention_heads": 100_000, "num_key_value_heads": 100_000, "head_dim": 100_000,
    "max_position_embeddings": 1_000_000_000, "sliding_window": 1_000_000_000, "num_labels": 100_000,
}  # fmt: skip
"""Sizes of a model and the most that any can be: well above the largest that exist."""
NULLABLE = ("num_key_value_heads", "sliding_window", "head_dim")
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
POSITIVE = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "rope_theta")
NESTED = ("text_config", "rope_parameters", "rope_scaling")

Check = Callable[[Any], str]


def check_settings(folder: Path) -> dict[str, Any]:
    """The settings of ``config.json``, after those of ``generation_config.json`` were found in order, too.

    Raises
    ------
    BaseError
        File, key and remedy of what is wrong first.
    """
    path = folder / "config.json"
    given = json_object(path)
    _check(path, "", given)
    beside = folder / "generation_config.json"
    if beside.is_file():
        _keys(beside, "", json_object(beside), dict.fromkeys(TOKENS, _tokens))
    return given


def _check(path: Path, where: str, given: Mapping[str, Any]) -> None:
    _keys(path, where, given, CHECKS)
    for name in NESTED:
        if isinstance(given.get(name), dict):
            _check(path, f"{where}{name}.", given[name])


def _keys(path: Path, where: str, given: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    for name, check in checks.items():
        if name in given and (wanted := check(given[name])):
            raise BaseError(
                f"{path}, key {where}{name}: {said(given[name])} is not {wanted}. Copy the file again from where the "
                "model is, or mend the key."
            )


def _size(most: int, nullable: bool) -> Check:
    def check(value: Any) -> str:
        good = (value is None and nullable) or (type(value) is int and 1 <= value <= most)
        return "" if good else f"a whole number from 1 to {most:,}{' or null' if nullable else ''}"

    return check


def _tokens(value: Any) -> str:
    """Identifiers of tokens; some files write -1 for a token that there is not."""
    each = value if isinstance(value, list) else [value]
    good = value is None or all(type(token) is int and -1 <= token <= LARGEST["vocab_size"] for token in each)
    return "" if good else "the number of a token, or a list of such"


def _positive(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and 0 < value <= 1e30 and math.isfinite(value) else "a number above 0"


def _object(value: Any) -> str:
    return "" if value is None or isinstance(value, dict) else "an object or null"


def _precision(value: Any) -> str:
    good = value is None or (isinstance(value, str) and re.fullmatch(r"auto|(torch\.)?[a-z]+\d\w*", value))
    return "" if good else "the name of a precision, such as float32, or null"


def _kind(value: Any) -> str:
    return "" if isinstance(value, str) and value else "the name of a kind of models, such as llama"


def _quantisation(value: Any) -> str:
    good = value is None or (isinstance(value, dict) and isinstance(value.get("quant_method"), str))
    return "" if good else "an object with a text quant_method"


CHECKS: dict[str, Check] = {
    **{name: _size(most, name in NULLABLE) for name, most in LARGEST.items()},
    **dict.fromkeys(TOKENS, _tokens),
    **dict.fromkeys(POSITIVE, _positive),
    **dict.fromkeys(NESTED, _object),
    **dict.fromkeys(("dtype", "torch_dtype"), _precision),
    "model_type": _kind,
    "quantization_config": _quantisation,
}
"""How keys are checked: what a value should be, "" where it is."""
