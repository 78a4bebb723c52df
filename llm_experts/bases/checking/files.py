"""Which files a base's folder must have, and which it must not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import files_in
from llm_experts.bases.pickles import pickles_in

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "*.tiktoken")
ADAPTER = "adapter_config.json"


def check_files(id: str, folder: Path) -> None:
    """What is in the folder must be a model with safe weights, and nothing that is added to them unseen.

    Raises
    ------
    BaseError
        If a file is lacking, or weights are pickled, or an adapter lies beside them.
    """
    if not (folder / "config.json").is_file():
        raise BaseError(f"{folder} is not a model: it has no config.json. Give a folder written by save_pretrained.")
    if (folder / ADAPTER).exists():
        raise BaseError(
            f"{folder} has an adapter beside its model ({ADAPTER}), which would be added to the weights without being "
            "part of the base's hash. Move the adapter's files into a folder of their own, and give both."
        )
    if not files_in(folder, VOCABULARIES):  # the library would make up an empty tokenizer
        raise BaseError(f"{folder} has no tokenizer; copy the tokenizer.json of {id} into it.")
    if files_in(folder, ("*.safetensors",)):
        return
    pickled = pickles_in(folder)
    if pickled:
        raise BaseError(
            f"{id} has its weights in {pickled[0]} only, a format that can run code when it is read: refused. "
            "Convert it on a machine where you trust it: load it there and write it with "
            "save_pretrained(folder, safe_serialization=True)."
        )
    raise BaseError(f"{folder} has no weights (*.safetensors); copy the whole model, or fetch it again.")


def json_object(path: Path) -> dict[str, Any]:
    """A file's JSON object.

    Raises
    ------
    BaseError
        If it is none, or cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # nested too deeply
        raise BaseError(
            f"{path} cannot be read as JSON ({line_of(error)}); copy it again from where the model is."
        ) from error
    if not isinstance(value, dict):
        raise BaseError(f"{path} is no JSON object but {said(value)}; copy it again from where the model is.")
    return value


@contextmanager
def opened_weights(path: Path) -> Iterator[Any]:
    """The handle of a safetensors file.

    Raises
    ------
    BaseError
        If the file, or what the body reads of it, is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as weights:
            yield weights
    except (OSError, SafetensorError) as error:
        raise BaseError(f"{path} cannot be loaded ({error}); copy the whole model, or fetch it again.") from error


def line_of(error: Exception) -> str:
    """What a library says, on one line that is short enough for a sentence."""
    return " ".join(str(error).split())[:200]


def said(value: object) -> str:
    """A value as its file has it, short enough for a sentence."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
