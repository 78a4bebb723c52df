"""Which key of which file a library stumbled over: the one without which it does not."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_experts.bases.checking.files import json_object, line_of, said
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import TOKENIZER_FILES, files_in
from llm_experts.bases.quiet import quiet

MODEL = ("config.json", "generation_config.json")
TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
UNDOABLE = ("model_type", "tokenizer_class")
"""Keys without which a library does something else: they are left out last."""


def blamed_for_model(folder: Path) -> str:
    """File and key because of which no model can be built of a folder's settings, as ``FILE, key KEY: VALUE``.

    Returns
    -------
    str
        "" if no single key explains it: the settings are in order, or several are not.
    """
    from transformers import CONFIG_MAPPING

    settings = json_object(folder / "config.json")
    if settings.get("model_type") not in CONFIG_MAPPING:
        return f"{folder / 'config.json'}, key model_type: {said(settings.get('model_type'))}"
    with quiet():
        for name, works in zip(MODEL, (_builds, _generates), strict=True):
            if (folder / name).is_file() and (key := _blamed(folder / name, works)):
                return key
    return ""


def blamed_for_tokenizer(folder: Path) -> str:
    """File and key, or place, because of which no tokenizer can be made of a folder's files; "" if none explains it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for path in [*files_in(folder, TOKENIZER_FILES), *files_in(folder, ("config.json",))]:
            shutil.copy(path, copy)
        if told := _unreadable(folder):
            return told
        for name in TOKENIZER:
            if (folder / name).is_file() and (key := _blamed(folder / name, lambda given: _reads(copy, name, given))):  # noqa: B023
                return key
    return ""


def check_tokenizer(tokenizer: Any) -> None:
    """Read a word and write it again: some faults of a tokenizer's files show only then."""
    tokenizer.decode(tokenizer("a b").input_ids)


def _unreadable(folder: Path) -> str:
    """What is wrong with the file of the vocabulary, in the words of the library that reads it; "" if nothing is."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return ""
    try:
        json_object(path)
        Tokenizer.from_file(str(path))
    except BaseError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 (this library has no error class of its own)
        return f"{path}, {line_of(error)}"
    return ""


def _blamed(path: Path, works: Callable[[Mapping[str, Any]], bool]) -> str:
    given = json_object(path)
    if works(given):
        return ""
    for key in sorted(given, key=lambda key: key in UNDOABLE):
        if works({name: value for name, value in given.items() if name != key}):
            return f"{path}, key {key}: {said(given[key])}"
    return ""


def _builds(given: Mapping[str, Any]) -> bool:
    """Whether a library makes a model of settings, one without memory for its weights."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    try:
        config: Any = CONFIG_MAPPING[given["model_type"]]  # type: ignore[index, unused-ignore]
        made = config.from_dict(dict(given))
        with torch.device("meta"):
            loader: Any = AutoModelForCausalLM
            loader.from_config(made, trust_remote_code=False)
    except Exception:  # noqa: BLE001 (whatever it raises is the answer)
        return False
    return True


def _generates(given: Mapping[str, Any]) -> bool:
    from transformers import GenerationConfig

    try:
        config: Any = GenerationConfig
        config.from_dict(dict(given)).validate()
    except Exception:  # noqa: BLE001 (whatever it raises is the answer)
        return False
    return True


def _reads(folder: Path, name: str, given: Mapping[str, Any]) -> bool:
    """Whether a tokenizer can be made of files in which one has these settings."""
    from transformers import AutoTokenizer

    before = (folder / name).read_bytes()
    (folder / name).write_text(json.dumps(given), encoding="utf-8")
    try:
        loader: Any = AutoTokenizer
        check_tokenizer(loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
    except Exception:  # noqa: BLE001 (whatever it raises is the answer)
        return False
    finally:
        (folder / name).write_bytes(before)
    return True
