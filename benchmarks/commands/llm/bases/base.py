"""``fairmoe llm base``: load a base model and say what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.llm.loading import base_named, load
from benchmarks.commands.llm.options import BaseName, Device, Dtype, Quantisation, Revision, command
from benchmarks.commands.llm.showing import pretraining, print_facts
from foundation.console import plain_console

if TYPE_CHECKING:
    from llm_experts.bases.base import Base


def base(
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Text file that nano reads beside the generated texts (repeatable).")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder of nano; a new one pretrains it anew.")] = None,
) -> None:
    """Load a base model, pretraining nano if it is not in the cache, and say what it is.

    Examples: fairmoe llm base · fairmoe llm base --base Qwen/Qwen3-0.6B --dtype bfloat16 --quantisation nf4
    """
    console = plain_console()
    facts: dict[str, Any] = {}
    name = base = base_named(base, revision)
    if base == "nano":
        from llm_experts.bases.nano import ensure_nano, nano_facts

        with pretraining(console) as progress:
            folder = ensure_nano(cache, progress, tuple(corpus or ()))
        facts, name = nano_facts(folder), str(folder)
    elif corpus or cache:
        raise typer.BadParameter("--corpus and --cache belong to nano, which is pretrained here.")
    loaded = load(name, dtype, quantisation, device, console)
    facts = {
        **facts, "weights": loaded.hash, "layers": loaded.n_layers, "hidden size": loaded.hidden_size,
        "context": loaded.context, "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "device": str(loaded.device), "quantisation": loaded.quantisation,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
    }  # fmt: skip
    print_facts(f"base {base}", facts, console)
    reason = _no_base_for_experts(loaded)
    if reason:
        console.print(f"Experts on texts cannot be made on it: {reason}", soft_wrap=True, highlight=False, markup=False)
        following = command("bias", base=base, dtype=dtype, quantisation=quantisation, device=device)
        console.print(f"Next: {following}", soft_wrap=True, highlight=False, markup=False)
        return
    following = command(
        "train", task="german", role="utility", base=name if cache or corpus else base, dtype=dtype,
        quantisation=quantisation, device=device,
    )  # fmt: skip
    console.print(f"Next: {following}", soft_wrap=True, highlight=False, markup=False)


def _no_base_for_experts(loaded: Base) -> str:
    """Why the layers of a base cannot be run one by one, as its experts need it; empty if they can."""
    from llm_experts.bases.error import BaseError
    from llm_experts.decoder.cut import CutBase

    try:
        CutBase(loaded)
    except BaseError as error:
        return str(error)
    return ""
