"""An earlier expert that training goes on from."""

from __future__ import annotations

import json
from pathlib import Path

from foundation.hashing import hash_file
from llm_experts.adapters.store import WEIGHTS, check_base, read_adapter
from llm_experts.bases.base import Base
from llm_experts.decoder.program import Adapter, config_key
from llm_experts.training.loop.settings import Settings, SettingsError

ADAPTER, FACTS = "adapter", "expert.json"


def earlier_adapter(folder: Path, base: Base, settings: Settings | None = None) -> Adapter:
    """The adapter of an expert's folder, checked against the base and the settings that train it on.

    Raises
    ------
    SettingsError
        If it is of another kind, rank or start than the settings say.
    AdapterError
        If it is not there, was changed, or is of another base.
    """
    place = folder / ADAPTER
    saved = read_adapter(place)
    check_base(saved, base, place)
    if settings is not None:
        _check_settings(folder, settings)
    return Adapter(saved.config, saved.state)


def earlier_key(folder: Path) -> str:
    """What earlier experts must have in common to train on together."""
    earlier_hash(folder)
    return config_key(read_adapter(folder / ADAPTER).config)


def earlier_hash(folder: Path) -> str:
    """sha256 of an earlier expert's weights.

    Raises
    ------
    SettingsError
        If there are none.
    """
    path = folder / ADAPTER / WEIGHTS
    if not path.is_file():
        raise SettingsError(
            f"{folder} is no expert that training could go on from: {ADAPTER}/{WEIGHTS} is missing. Name the folder "
            "that fairmoe llm train wrote."
        )
    return hash_file(path)


def _check_settings(folder: Path, settings: Settings) -> None:
    path = folder / FACTS
    if not path.is_file():  # an adapter that was written by other means
        return
    written = json.loads(path.read_text(encoding="utf-8"))["settings"]
    now = settings.as_json()
    for name in ("kind", "rank", "start", "adapter_options"):
        if written.get(name) != now[name]:
            raise SettingsError(
                f"{folder} was trained with {name} = {written.get(name)}, but {name} is {now[name]} here: an adapter "
                "trains on as it is. Give the same setting, or train a fresh one."
            )
