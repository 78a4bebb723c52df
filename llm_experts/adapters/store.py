"""Adapters on disk, in PEFT's own format and bound to their base.

A folder holds ``adapter_config.json`` and ``adapter_model.safetensors``, which ``PeftModel.from_pretrained`` reads, and
``fairmoe.json``: base id and hash, kind, library versions, sha256 of both files, and facts about the training.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from foundation.files import atomic_path, write_json
from foundation.hashing import hash_file
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import check_foreign, inject, own_copy
from llm_experts.adapters.registry import kind_named, kind_of
from llm_experts.adapters.state import State, set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.pickles import pickles_in
from llm_experts.bases.scaling import RopeScaling

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
FACTS = "fairmoe.json"
FORMAT = 1
SCOPE = "scope"
"""Name of the fact that says what an adapter acts on, where that is not the whole text."""
WHOLE = "full"
LIBRARIES = ("peft", "safetensors", "torch", "transformers")


@dataclass(frozen=True, eq=False)
class SavedAdapter:
    """What an adapter's folder says.

    Attributes
    ----------
    kind : str
    config : PeftConfig
    state : dict
        Weights by PEFT's keys.
    base_id, base_hash : str
        What it was trained on.
    libraries : dict
        Versions it was written with.
    facts : dict
        What the writer noted.
    rope_scaling : RopeScaling, optional
        Of the base when it was trained.
    """

    kind: str
    config: PeftConfig
    state: State
    base_id: str
    base_hash: str
    libraries: dict[str, str]
    facts: dict[str, Any]
    rope_scaling: RopeScaling | None = None


def save_adapter(
    folder: Path, base: Base, config: PeftConfig, state: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None
) -> None:
    """Write an adapter's folder, whole or not at all; one that is there is replaced.

    Parameters
    ----------
    folder : Path
    base : Base
        What the adapter was trained on.
    config : PeftConfig
        As the adapter was injected with.
    state : mapping
        As :func:`llm_experts.adapters.state.adapter_state` gives it.
    facts : mapping, optional
        Anything that JSON takes: objective, seed, metrics.

    Raises
    ------
    AdapterError
        If a weight is not finite.
    """
    from safetensors.torch import save_file

    check_finite(state, f"The adapter for {folder}")
    weights = {key: value.detach().cpu().contiguous() for key, value in sorted(state.items())}
    with atomic_path(folder) as made:
        made.mkdir()
        save_file(weights, made / WEIGHTS, metadata={"format": "pt"})
        write_json(made / CONFIG, config_fields(config, base))
        write_json(
            made / FACTS,
            {
                "format": FORMAT,
                "kind": kind_of(config).name,
                "base": {"id": base.id, "hash": base.hash, "quantisation": base.quantisation} | _scaling(base),
                "libraries": {name: version(name) for name in LIBRARIES},
                "sha256": {name: hash_file(made / name) for name in (CONFIG, WEIGHTS)},
                "facts": dict(facts or {}),
            },
        )


def config_fields(config: PeftConfig, base: Base) -> dict[str, Any]:
    """The fields of PEFT's configuration file; sets are sorted, so the same adapter has the same bytes."""
    fields = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    return fields | {"inference_mode": True, "base_model_name_or_path": base.id}


def check_finite(state: Mapping[str, Tensor], what: str) -> None:
    """Raise :class:`AdapterError` if a weight is NaN or infinite."""
    wrong = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if wrong:
        raise AdapterError(
            f"{what} has weights that are not finite: {len(wrong)} of {len(state)} tensors, first {wrong[0]}. Its "
            "training diverged; train it again with a smaller learning rate."
        )


def read_adapter(folder: Path, scope: str = WHOLE) -> SavedAdapter:
    """Read and check an adapter's folder.

    Parameters
    ----------
    folder : Path
    scope : str
        What the reader lets adapters act on; one that was trained to act on less is another model on whole texts.

    Raises
    ------
    AdapterError
        If it was trained under another scope, if a file is missing, cut short or changed after it was written, if a
        weight is not finite, or if the weights are a pickle, which could run any program when read.
    """
    _refuse_pickles(folder)
    missing = [name for name in (FACTS, CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise AdapterError(
            f"{folder} is no adapter of this project: {', '.join(missing)} is missing. Without {FACTS} nobody knows "
            "which base it belongs to; load an adapter of another program with PEFT and write it with save_adapter."
        )
    written = _read_json(folder / FACTS)
    try:
        kind, base, sums = written["kind"], written["base"], written["sha256"]
        found = SavedAdapter(
            kind, _config(folder, kind), {}, base["id"], base["hash"], written["libraries"], written["facts"],
            RopeScaling.of(base.get("rope_scaling")),
        )  # fmt: skip
        changed = [name for name in (CONFIG, WEIGHTS) if sums[name] != hash_file(folder / name)]
    except (KeyError, TypeError, BaseError) as error:
        raise AdapterError(
            f"{folder / FACTS} lacks or garbles {error}; it was changed. Save the adapter again."
        ) from error
    trained = found.facts.get(SCOPE, WHOLE)
    if trained != scope:
        raise AdapterError(
            f"The adapter in {folder} was trained with scope {trained}, and here it would act with scope {scope}: "
            "that is another model than the one that was chosen and scored. Use it as a text expert of rows (fairmoe "
            "predict, evaluate, mixtures of one scope), or train it again with --scope full for everything else."
        )
    if changed:
        raise AdapterError(
            f"{folder}: {' and '.join(changed)} is not what was written (its sha256 differs); it was changed or cut "
            "short. Copy or train the adapter again."
        )
    found.state.update(_weights(folder / WEIGHTS))
    return found


def read_foreign(folder: Path, base_hash: str) -> SavedAdapter:
    """Read a folder in PEFT's format without ``fairmoe.json``, whose base somebody vouches for.

    Parameters
    ----------
    folder : Path
    base_hash : str
        Hash of the base that it belongs to, such as a package's manifest tells it.

    Raises
    ------
    AdapterError
        If a file is missing or damaged, a weight not finite, the weights a pickle, or the adapter changes more than
        matrices (modules that were saved with it, biases, PiSSA).
    """
    _refuse_pickles(folder)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise AdapterError(f"{folder} is no adapter in PEFT's format: {', '.join(missing)} is missing.")
    config: Any = _config(folder)
    check_foreign(config)
    base_id = str(config.base_model_name_or_path or "a base without a name")
    return SavedAdapter(kind_of(config).name, config, _weights(folder / WEIGHTS), base_id, base_hash, {}, {})


def load_adapter(base: Base, folder: Path, name: str = "default") -> PeftModel:
    """The base with an adapter, as a PEFT model in evaluation mode; the base itself stays as it is.

    Raises
    ------
    AdapterError
        As :func:`read_adapter`, and if the adapter was trained on another base.
    """
    saved = read_adapter(folder)
    check_base(saved, base, folder)
    model = inject(own_copy(base).model, saved.config, None, name)
    set_adapter_state(model, saved.state, name)
    return model.requires_grad_(False)


def check_base(saved: SavedAdapter, base: Base, folder: Path) -> None:
    """Raise :class:`AdapterError` unless the adapter was trained on this very base."""
    if saved.base_hash != base.hash:
        raise AdapterError(
            f"The adapter in {folder} was trained on {saved.base_id} with hash {saved.base_hash}, but this base is "
            f"{base.id} with hash {base.hash}. Load the base that it was trained on (same id, revision and "
            "pretraining), or train the adapter on this one."
        )
    if saved.rope_scaling != base.rope_scaling:
        wanted, there = saved.rope_scaling or "none", base.rope_scaling or "none"
        raise AdapterError(
            f"The adapter in {folder} was trained on {saved.base_id} with the rope scaling {wanted}, and this base has "
            f"{there}: positions mean something else there. Load the base with rope_scaling={str(wanted)!r}."
        )


def _scaling(base: Base) -> dict[str, Any]:
    scaling = base.rope_scaling
    return {} if scaling is None else {"rope_scaling": {"rope_type": scaling.kind, "factor": scaling.factor}}


def adapter_bytes(folder: Path) -> int:
    """Size of an adapter's folder in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _refuse_pickles(folder: Path) -> None:
    if not folder.is_dir():
        raise AdapterError(f"{folder} is not a folder; an adapter is a folder with {CONFIG}, {WEIGHTS} and {FACTS}.")
    pickles = pickles_in(folder)
    if pickles:
        raise AdapterError(
            f"{folder} holds {pickles[0]}, a pickle: reading one may run any program that its writer put in. Ask for "
            "the adapter as safetensors, or convert it where you trust it (PeftModel.save_pretrained)."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise AdapterError(
            f"{path} is no JSON: {error}. It was changed or cut short; copy the adapter again."
        ) from error
    if not isinstance(found, dict):
        raise AdapterError(f"{path} holds a {type(found).__name__}, not an object; copy the adapter again.")
    return found


def _config(folder: Path, kind: str | None = None) -> PeftConfig:
    """The configuration; a field that this PEFT does not know, or a kind that contradicts it, is refused."""
    from peft import PeftConfig

    read: Any = PeftConfig.from_peft_type
    fields = _without_text_start(_read_json(folder / CONFIG))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            config: Any = read(**fields)
    except (KeyError, TypeError, ValueError, UserWarning) as error:
        raise AdapterError(
            f"{folder / CONFIG} is no configuration that PEFT {version('peft')} knows: {error}. It was changed, or "
            "written by another version; save the adapter again."
        ) from error
    config.inference_mode = False
    implied = kind_of(config).name
    kind = kind or implied
    if implied not in (kind, kind_named(kind).written_as):
        raise AdapterError(f"{folder}: {FACTS} says kind {kind}, {CONFIG} says {implied}; copy the adapter again.")
    config.fairmoe_kind = kind
    return config  # type: ignore[no-any-return]


def _without_text_start(fields: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose virtual tokens do not start as a text: their weights are read, and are all that counts.

    For a start as a text PEFT would load the tokenizer that the file names, from anywhere, and with any options.
    """
    if fields.get("prompt_tuning_init") != "TEXT":
        return fields
    named = ("prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs")
    return {key: value for key, value in fields.items() if key not in named} | {"prompt_tuning_init": "RANDOM"}


def _weights(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{path} cannot be read: {error}. It was changed or cut short; copy it again.") from error
    check_finite(state, str(path))
    return dict(state)
