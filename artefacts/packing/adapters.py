"""Adapters of language models among the files of a package, and the base that they stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.reading import Facts, experts_in, facts_in, optional, tensor_names
from foundation.hashing import hash_file

CONFIG, WEIGHTS, FACTS = "adapter_config.json", "adapter_model.safetensors", "fairmoe.json"
SCOPE = "scope"
"""What part of a text an adapter acts on, in its ``fairmoe.json`` where that is not the whole."""
PICKLED = "adapter_model.bin"
METHODS = {
    "LORA": "lora", "IA3": "ia3", "PROMPT_TUNING": "soft_prompt", "PREFIX_TUNING": "prefix", "SVF": "svf",
}  # fmt: skip
"""Kinds of adapters by the method of PEFT that runs them."""
FLAGS = {"use_dora": "dora", "use_rslora": "rslora"}
"""Kinds that are LoRA with a flag."""
_PAIR = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B")
OWN = {
    **dict.fromkeys(("lora", "rslora", "lora_fa"), _PAIR), "dora": (*_PAIR, "lora_magnitude_vector"), "ia3": ("ia3_l",),
    "svf": ("svf_p",), **dict.fromkeys(("soft_prompt", "prefix"), ("prompt_embeddings",)),
}  # fmt: skip
"""What the weights of a kind are called; kinds that others register are not asked."""
BEYOND = ("modules_to_save", "layer_replication", "trainable_token_indices", "target_parameters", "lora_bias")
"""Options of PEFT that change more than an adapter's own matrices; see ``llm_experts.adapters.injection``."""
STARTS = (None, True, False, "gaussian")
"""Starts of LoRA that leave the base as it is."""


def adapters_of(folder: Path) -> list[dict[str, Any]]:
    """The manifest's ``adapters``: every adapter in PEFT's format at or below a folder."""
    return [_adapter(path.parent, folder) for path in sorted(folder.rglob(CONFIG))]


def base_of(folder: Path) -> dict[str, Any] | None:
    """The manifest's ``base``: what experts of text, or an adapter's ``fairmoe.json``, say they stand on.

    Raises
    ------
    PackageError
        ``wrong-base``: parts of it stand on several.
    """
    told = [facts["base"] for _, facts in experts_in(folder) if isinstance(facts.get("base"), dict)]
    told += [facts_in(path)["base"] for path in sorted(folder.rglob(FACTS))]
    hashes = {base["hash"] for base in told}
    if len(hashes) > 1:
        raise PackageError("wrong-base", f"{folder} stands on {len(hashes)} bases; all adapters of a package have one.")
    return _base(told[0]) if told else None


def scope_of(facts: Facts) -> str:
    """What an adapter acts on, by its ``fairmoe.json``: "" whole texts, or the part that it was trained for."""
    told = facts.get("facts")
    return str(told.get(SCOPE) or "") if isinstance(told, dict) else ""


def _base(told: Facts) -> dict[str, Any]:
    further = {key: told[key] for key in ("revision", "rope_scaling") if told.get(key)}
    return {
        "name": told["id"], "sha256": told["hash"], "dtype": told.get("dtype"),
        "quantisation": told.get("quantisation"), **further,
    }  # fmt: skip


def _adapter(place: Path, folder: Path) -> dict[str, Any]:
    config, weights = facts_in(place / CONFIG), place / WEIGHTS
    if not weights.is_file():
        raise PackageError("file-missing", f"{place} has no {WEIGHTS}; {_instead(place)}")
    kind = optional(place / FACTS).get("kind") or kind_told(config, place)
    if kind in OWN:
        _check_weights(weights, OWN[kind], place)
    modules = config.get("target_modules")
    return {
        "type": str(kind).lower(),
        "target_modules": sorted(modules) if isinstance(modules, list) else [modules] if modules else [],
        "rank": _rank(config), "alpha": config.get("lora_alpha"),
        "dropout": config.get("lora_dropout"),
        "scaling": "alpha / sqrt(rank)" if config.get("use_rslora") else "alpha / rank" if "r" in config else None,
        "path": weights.relative_to(folder).as_posix(), "bytes": weights.stat().st_size, "sha256": hash_file(weights),
    }  # fmt: skip


def _rank(config: Facts) -> int | None:
    """The largest rank of a matrix; None for kinds without one."""
    own = config.get("rank_pattern")
    ranks = [config.get("r", config.get("rank")), *(own.values() if isinstance(own, dict) else ())]
    return max((rank for rank in ranks if isinstance(rank, int)), default=None)


def kind_told(config: Facts, place: Path) -> str:
    """The kind of adapter that PEFT's configuration tells of, for an adapter that another program wrote.

    Raises
    ------
    PackageError
        ``kind``: it is none that fairmoe can run.
    """
    method = str(config.get("peft_type") or "without a name")
    flagged = [kind for flag, kind in FLAGS.items() if config.get(flag)]
    if method not in METHODS or len(flagged) > 1:
        what = f"both {' and '.join(flagged)}" if method in METHODS else f"an adapter of PEFT's method {method[:40]!a}"
        kinds = ", ".join((*METHODS.values(), *FLAGS.values()))
        raise PackageError(
            "kind",
            f"{place} is {what}, which fairmoe cannot run; it runs {kinds}. Train one of these kinds, or share the "
            "folder itself.",
        )
    _check_options(config, place)
    return flagged[0] if flagged and method == "LORA" else METHODS[method]


def _check_options(config: Facts, place: Path) -> None:
    wrong = [option for option in BEYOND if config.get(option)]
    wrong += ["bias"] if config.get("bias", "none") != "none" else []
    wrong += ["init_lora_weights"] if config.get("init_lora_weights") not in STARTS else []
    if wrong:
        raise PackageError(
            "kind",
            f"{place}: {', '.join(wrong)} changes more than the adapter's own matrices, so fairmoe cannot run it "
            "beside others on one base. Train it without, or share the folder itself.",
        )


def _check_weights(weights: Path, own: tuple[str, ...], place: Path) -> None:
    """Raise :class:`PackageError` for weights that are none of the adapter's matrices, such as whole embeddings."""
    names = (name for name in tensor_names(weights) if name.removesuffix(".weight").rpartition(".")[2] not in own)
    if name := min(names, default=""):
        raise PackageError(
            "kind",
            f"{place} holds {name[:120]!a}, which is no matrix of the adapter but a weight of the base itself: fairmoe "
            "runs adapters beside others on one base. PEFT writes such weights where words were added to the "
            "vocabulary; where they were not changed, write the adapter again with "
            "model.save_pretrained(folder, save_embedding_layers=False).",
        )


def _instead(place: Path) -> str:
    if (place / PICKLED).is_file():
        return (
            f"its {PICKLED} is a pickle, which may run any program when read. Where you trust it, load it with PEFT "
            "and write it again: model.save_pretrained(folder) writes safetensors."
        )
    return "weights in other formats have no place here. PEFT's model.save_pretrained(folder) writes it."
