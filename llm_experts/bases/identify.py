"""What a base is: the hash of its files, and what decides its numbers beside them. Needs no model library.

The same weights give other numbers in another precision, quantisation or on another class of device: a key of what was
computed with a base holds all four.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.hashing import hash_file
from llm_experts.bases.error import BaseError
from llm_experts.bases.nano import nano_hash

if TYPE_CHECKING:
    from llm_experts.bases.base import Base

NANO = "nano"
DTYPES = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"} | {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
}
TOKENIZER_FILES = ("tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.tiktoken")
IDENTITY = ("config.json", "*.safetensors", "*.safetensors.index.json", *TOKENIZER_FILES)
"""Files that say what a model is; all that is fetched of a published one, but for the generation settings."""


def hash_of(folder: Path) -> str:
    """sha256 over names and contents of a model's configuration, tokenizer and weight files."""
    digest = hashlib.sha256()
    for path in files_in(folder, IDENTITY):
        digest.update(f"{path.name}:{hash_file(path)}\n".encode())
    return digest.hexdigest()


def is_gguf(path: Path) -> bool:
    """Whether this is a file of llama.cpp's format, which holds configuration, tokenizer and weights."""
    return path.suffix.lower() == ".gguf" and path.is_file()


def files_in(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of a folder that match one of the patterns, sorted."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def base_key(base: Base) -> dict[str, str]:
    """What decides the numbers of a loaded base.

    Returns
    -------
    dict
        ``base`` (hash of its files), ``dtype`` ("float32", …), ``quantisation`` and ``device`` (class: "cpu", "cuda");
        ``rope`` where a scaling was chosen ("yarn:4").
    """
    dtype = str(base.model.dtype).removeprefix("torch.")
    rope = {} if base.rope_scaling is None else {"rope": str(base.rope_scaling)}
    return {"base": base.hash, "dtype": dtype, "quantisation": base.quantisation, "device": base.device.type} | rope


def base_key_of(id: str = NANO, dtype: str = "auto", quantisation: str = "none", device: str = "cpu") -> dict[str, str]:
    """What decides the numbers of a base that is not loaded: :func:`base_key` of a folder, in milliseconds.

    Parameters
    ----------
    id, dtype, quantisation, device : str
        As :func:`llm_experts.bases.load.load_base` takes them; ``device`` may be "auto", a GPU if torch finds one (the
        only word for which torch is imported).

    Returns
    -------
    dict
        As :func:`base_key` gives it. nano may still have to be pretrained: its ``base`` is the hash of all that this
        depends on (:func:`llm_experts.bases.nano.nano_hash`). That of a published model is its id and the commit that
        is in the cache; the id alone before it was fetched. That of a GGUF file is its sha256.
    """
    kind = _device_class(device)
    return {"base": _files_key(id), "dtype": plain_dtype(dtype, kind), "quantisation": quantisation, "device": kind}


def plain_dtype(word: str, device: str) -> str:
    """The name of a precision as torch has it; auto is float32 on a CPU and bfloat16 on a GPU.

    Raises
    ------
    BaseError
        If there is no such precision.
    """
    if word == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if word not in DTYPES:
        raise BaseError(f"There is no dtype {word!r}; choose one of {', '.join(('auto', *DTYPES))}.")
    return DTYPES[word]


def split_revision(id: str) -> tuple[str, str | None]:
    """A published model's id and the revision behind its ``@``; None: it names none, or is nano or a path."""
    name, at, revision = id.rpartition("@")
    if not at or not name or not revision or Path(id).expanduser().exists() or id.startswith(("/", ".", "~")):
        return id, None
    return name, revision


def with_revision(id: str, revision: str | None) -> str:
    """The id that names a revision too, ``owner/model@v2``: what an expert's files and every command may say.

    Raises
    ------
    BaseError
        If the id is no published model's, or names another revision already.
    """
    if not revision:
        return id
    name, named = split_revision(id)
    if id == NANO or Path(id).expanduser().exists():
        raise BaseError(f"{id} has no revisions: it is no published model. Leave --revision out.")
    if named not in (None, revision):
        raise BaseError(f"{id} names the revision {named}, and --revision says {revision}; say one of them.")
    return f"{name}@{revision}"


def _files_key(id: str) -> str:
    if id == NANO:
        return nano_hash()
    path = Path(id).expanduser()
    if path.is_dir():
        return hash_of(path)
    if is_gguf(path):
        return hash_file(path)
    commit = cached_commit(id)
    return id if commit is None else f"{split_revision(id)[0]}@{commit}"


def cached_commit(id: str) -> str | None:
    """The commit of a published model that is in the Hugging Face cache; None: it is not, or this is no such id.

    An id may name its revision: ``owner/model@v2``.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    name, revision = split_revision(id)
    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent.name if isinstance(found, str) else None


def _device_class(device: str) -> str:
    if device != "auto":
        return device.partition(":")[0]
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
