"""``fairmoe serve --engine vllm``: installed adapters exported as LoRA, then vLLM in its own environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from foundation.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.models.text_experts import GivenAdapter
    from llm_experts.bases.base import Base
    from serving.http.settings import ServerSettings
    from serving.vllm.exported import Exported

SLOTS = 8
"""Adapters in one batch of vLLM: as many as fairmoe's own slots."""


def serve_by_vllm(
    settings: ServerSettings, base: str, experts: Sequence[str], program: Path | None, folder: Path, key: str | None
) -> None:
    """Export adapters, say the command line, become vLLM.

    Parameters
    ----------
    settings : ServerSettings
        Host and port; vLLM has limits of its own.
    base : str
        As for ``fairmoe llm``.
    experts : sequence of str
        Installed experts, ``.expert`` files or folders; none: all installed ones with adapters.
    program : Path, optional
        vLLM's; default: the one on the PATH.
    folder : Path
        Where the exported adapters go.
    key : str, optional
        API key: vLLM takes one.

    Raises
    ------
    ServingError
        If an adapter cannot be exported exactly, or vLLM is not there.
    """
    from benchmarks.commands.llm.loading import load
    from benchmarks.models.text_experts import given_adapters
    from serving.vllm.command import command
    from serving.vllm.command import program as find

    console = plain_console(soft_wrap=True, highlight=False)
    loaded = load(base, "float32", "none", "cpu", console)
    with given_adapters(experts or _installed()) as given:
        exported = [_exported(adapter, loaded, folder.resolve()) for adapter in given]
    for one in exported:
        console.print(f"{one.name}: {one.kind} as LoRA of rank {one.rank}, exactly, in {one.folder}")
    made = command(
        find(program), _place(base), exported, host=settings.host, port=settings.port, slots=SLOTS, key=key
    )  # fmt: skip
    console.print(f"\nStarting vLLM (models: base{''.join(f', {one.name}' for one in exported)}):\n  {made.text}")
    made.start()


def _exported(adapter: GivenAdapter, base: Base, folder: Path) -> Exported:
    from llm_experts.runtime.prepared import Source
    from serving.vllm.export import export

    source = Source.named(adapter.place.folder, adapter.place.order, adapter.place.base_hash)
    return export(adapter.name, source.read(base), base, folder)


def _installed() -> list[str]:
    """Installed experts with adapters."""
    from artefacts.packing.adapter_sources import adapter_places
    from artefacts.registry.registry import Registry

    registry = Registry.of_user()
    return [name for name in registry.state.installed if adapter_places(registry.folder(name))]


def _place(base: str) -> str:
    """What vLLM calls the base: a folder or an id; nano is a folder of the cache."""
    if base != "nano":
        return base
    from llm_experts.bases.nano.store import ensure_nano

    return str(ensure_nano())
