"""Loading a base model: from a folder, a GGUF file, the Hugging Face cache or the network, or nano."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.hashing import hash_file
from llm_experts.bases.base import Base
from llm_experts.bases.checking.blame import blamed_for_model, blamed_for_tokenizer, check_tokenizer
from llm_experts.bases.checking.files import check_files
from llm_experts.bases.checking.numbers import check_numbers, check_stored_numbers
from llm_experts.bases.checking.settings import check_settings
from llm_experts.bases.checking.sizes import check_sizes
from llm_experts.bases.error import BaseError
from llm_experts.bases.gguf import check_gguf, gguf_options
from llm_experts.bases.identify import IDENTITY, NANO, hash_of, is_gguf, plain_dtype, split_revision
from llm_experts.bases.nano import ensure_nano
from llm_experts.bases.quantised import make_differentiable
from llm_experts.bases.quantising import quantise_layers
from llm_experts.bases.quiet import quiet
from llm_experts.bases.rope import rescaled
from llm_experts.bases.scaling import RopeScaling
from llm_experts.bases.ternary.files import register, settle_ternary, stored_quantisation

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from llm_experts.bases.nano.pretrain import Report

QUANTISATIONS = ("none", "nf4", "int8", "ternary")
ATTENTIONS = ("sdpa", "eager")


def load_base(
    id: str = NANO,
    *,
    dtype: str = "auto",
    quantisation: str = "none",
    device: str = "cpu",
    attention: str = "sdpa",
    revision: str | None = None,
    rope_scaling: str | Mapping[str, Any] | RopeScaling | None = None,
    cache: str | Path | None = None,
    progress: Callable[[Report], None] | None = None,
) -> Base:
    """Load a base model; ``nano`` is pretrained first if it is not in the cache.

    Parameters
    ----------
    id : str
        ``nano``, a folder, a GGUF file, or a Hugging Face id, which is looked for in the Hugging Face cache and then on
        the network; the id may name a revision (``owner/model@v2``).
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Of weights and computation; auto: float32 on a CPU, bfloat16 on a GPU.
    quantisation : {"none", "nf4", "int8", "ternary"}
        How the weights of the layers are kept: by bitsandbytes, on CPU and GPU, or as three values (BitNet b1.58's
        rounding of trained weights, :mod:`llm_experts.bases.ternary`).
    device : str
        As torch writes it: cpu, cuda, cuda:1.
    attention : {"sdpa", "eager"}
        Implementation of attention; only the eager one hands out attention weights.
    revision : str, optional
        Commit, tag or branch of a Hugging Face model; goes before one that the id names.
    rope_scaling : str, mapping or RopeScaling, optional
        For longer texts than the base was trained on: ``linear:2``, ``dynamic:4`` or ``yarn:4``.
    cache : str or Path, optional
        Cache folder of nano; default: ``FAIRMOE_CACHE``, else the user's cache folder.
    progress : callable, optional
        Called with a ``Report`` after every step while nano is pretrained.

    Returns
    -------
    Base
        In evaluation mode; its hash covers the files of configuration, tokenizer and weights. That of a GGUF file is
        the file's sha256; its quantised weights are unpacked to ``dtype``, as adapters need them. A folder whose
        weights are ternary (:mod:`llm_experts.bases.ternary.files`) keeps its codes; its ``quantisation`` is "none",
        as nothing was rounded here.

    Raises
    ------
    BaseError
        If the base cannot be had or is not a model that can be loaded safely, or a setting does not fit the device.
    """
    chosen = _dtype(dtype, device)
    _one_of("quantisation", quantisation, QUANTISATIONS)
    _one_of("attention", attention, ATTENTIONS)
    path = Path(id).expanduser()
    if is_gguf(path):
        check_gguf(path, quantisation)
        model = _load_model(id, path, chosen, quantisation, device, attention)
        check_numbers(id, model)
        base = Base(id, model, _load_tokenizer(id, path), hash_file(path))
    else:
        folder = ensure_nano(cache, progress) if id == NANO else _folder(id, revision)
        check_files(id, folder)
        given = check_settings(folder)
        check_sizes(folder, given)
        _check_stored(id, given, quantisation)
        check_stored_numbers(id, folder)
        model = _load_model(id, folder, chosen, quantisation, device, attention)
        base = Base(id, model, _load_tokenizer(id, folder), hash_of(folder), quantisation)
    _check_vocabulary(base)
    return base if rope_scaling is None else rescaled(base, rope_scaling)


def base_hash(id: str = NANO) -> str:
    """Hash of a base that is not loaded: of the files of a folder, of a published model, or of nano.

    Raises
    ------
    BaseError
        If the base cannot be had, or is not a model that can be loaded safely.
    """
    path = Path(id).expanduser()
    if is_gguf(path):
        return hash_file(path)
    folder = ensure_nano() if id == NANO else _folder(id, None)
    check_files(id, folder)
    return hash_of(folder)


def _one_of(what: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise BaseError(f"There is no {what} {word!r}; choose one of {', '.join(known)}.")


def _dtype(word: str, device: str) -> torch.dtype:
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise BaseError(f"There is no device {device!r}; write cpu, cuda or cuda:1.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise BaseError(f"The device {device} was asked for, and torch finds no GPU; use --device cpu.")
    name = plain_dtype(word, kind)
    if name == "float16" and kind == "cpu":
        raise BaseError("float16 is not supported on a CPU; use --dtype bfloat16 or float32, or --device cuda.")
    found: torch.dtype = getattr(torch, name)
    return found


def _folder(id: str, revision: str | None) -> Path:
    """Local folder of a base: the one named, or a snapshot of a published model."""
    path = Path(id).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or id.startswith((".", "~")) or id.count("/") > 1 or path.exists():
        raise BaseError(
            f"{id} is not a folder. Give the folder of a model (config.json and *.safetensors), a .gguf file or an id."
        )
    name, named = split_revision(id)
    return _snapshot(name, revision or named)


def _snapshot(id: str, revision: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [*IDENTITY, "generation_config.json"]
    try:
        return Path(snapshot_download(id, revision=revision, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        at = f" at revision {revision}" if revision else ""
        raise BaseError(
            f"The base {id}{at} cannot be had: it is no folder here, it is not in the Hugging Face cache "
            f"({constants.HF_HUB_CACHE}), and fetching it failed ({reason}). Give nano, the folder of a model, or the "
            "id of a published one; without a network, copy the model's folder here, or set HF_HOME to a cache with it."
        ) from error


def _check_vocabulary(base: Base) -> None:
    """A tokenizer that is another model's names tokens for which there is no row."""
    embedding: Any = base.model.get_input_embeddings()
    own, rows = base.tokenizer.vocab_size, len(embedding.weight)
    if own > rows:
        raise BaseError(
            f"The tokenizer of {base.id} has {own} tokens, and the model's weights have rows for {rows}: they do not "
            "belong together. Copy tokenizer.json again from where the model is."
        )


def _check_stored(id: str, config: Mapping[str, Any], quantisation: str) -> None:
    """Ternary weights are not rounded a second time; transformers learns how they are read."""
    if not stored_quantisation(config):
        return
    if quantisation != "none":
        raise BaseError(
            f"The weights of {id} are ternary already; --quantisation {quantisation} would round them a second time. "
            "Leave it out, or write them in float32 first: fairmoe llm dequantize."
        )
    register()


def _load_model(
    id: str, folder: Path, dtype: torch.dtype, quantisation: str, device: str, attention: str
) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": attention}
    place = folder
    if folder.is_file():
        place, options = folder.parent, options | gguf_options(folder)
    else:
        options["use_safetensors"] = True
    by_library = quantisation in ("nf4", "int8")
    if by_library:
        options |= {"quantization_config": _quantised(quantisation, dtype), "device_map": {"": device}}
    try:
        with quiet():
            loader: Any = AutoModelForCausalLM
            model, info = loader.from_pretrained(
                place,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # settings that nobody checks end anywhere in the library
        raise BaseError(_not_loaded(id, folder, error)) from error
    lacking = sorted(info["missing_keys"])
    if lacking:
        raise BaseError(
            f"{id} lacks {len(lacking)} of its weights (the first is {lacking[0]}; config.json asks for it), which "
            "would be random; copy the whole model, or fetch it again."
        )
    settle_ternary(id, model, dtype)
    if quantisation == "ternary":
        quantise_layers(model, quantisation)
    if not by_library:
        model = model.to(device)
    make_differentiable(model, dtype)
    loaded: PreTrainedModel = model.eval().requires_grad_(False)
    return loaded


def _not_loaded(id: str, place: Path, error: Exception) -> str:
    """Why a library makes no model of files: by file and key where one key explains it."""
    if "ignore_mismatched_sizes" in str(error):
        return (
            f"{id} cannot be loaded: {place / 'config.json'} leads to matrices of other sizes than the weights beside "
            "it have, by a key that is wrong or lacking (head_dim, for one, is no product of others). Copy config.json "
            "and the weights again from where the model is: they do not belong together."
        )
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if not place.is_file() and (key := blamed_for_model(place)):
        return (
            f"{key} cannot be what the model has: with it {id} cannot be loaded ({reason}). Copy the file again from "
            "where the model is, or mend the key. Models that bring their own code are not loaded."
        )
    return (
        f"{id} cannot be loaded as a causal language model ({reason}). Models that bring their own code are not "
        "loaded; choose one that transformers knows."
    )


def _quantised(quantisation: str, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    config: Any = BitsAndBytesConfig
    if quantisation == "int8":
        return config(load_in_8bit=True)
    return config(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _load_tokenizer(id: str, folder: Path) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    place, options = (folder.parent, {"gguf_file": folder.name}) if folder.is_file() else (folder, {})
    try:
        loader: Any = AutoTokenizer
        tokenizer: PreTrainedTokenizerFast = loader.from_pretrained(
            place, local_files_only=True, trust_remote_code=False, **options
        )
        check_tokenizer(tokenizer)
    except Exception as error:  # tokenizers raises nothing narrower
        key = "" if folder.is_file() else blamed_for_tokenizer(folder)
        reason = f"{f'{key}; ' if key else ''}{' '.join(str(error).split())[:300]}"
        raise BaseError(
            f"{id} has no tokenizer that can be loaded ({reason}); copy its tokenizer.json and tokenizer_config.json "
            f"into {folder}."
        ) from error
    return tokenizer
