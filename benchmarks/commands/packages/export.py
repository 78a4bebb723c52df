"""``fairmoe export``: what is in a package, for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console

if TYPE_CHECKING:
    from artefacts.format.manifest import Manifest

MERGED, LORA, ONNX, PEFT = "merged", "lora", "onnx", "peft"
SVF = "svf"
"""A kind of adapter that PEFT does not have."""


def export(
    package: Annotated[str, typer.Argument(help="A .expert file, or the name of an installed expert.")],
    output: Annotated[Path, typer.Argument(help="A folder that does not exist yet; with onnx: a file.")],
    to: Annotated[
        str,
        typer.Option(
            help="model: a saved model · peft: its adapters, as PEFT reads them · merged: its one adapter melted into "
            "the base, as transformers reads it · lora: the same change as a plain LoRA · safetensors: its weights "
            "alone · onnx: one file, from raw columns to decisions, that runs without fairmoe."
        ),
    ] = "model",
    base: Annotated[
        str | None,
        typer.Option(help="With merged, lora: folder or name of the base; default: the one that it names."),
    ] = None,
) -> None:
    """Write what is in a package as plain files, so that nobody is bound to this format.

    Every byte is hashed first. Nothing is installed, and who signed is not asked: fairmoe verify says it.

    Examples: fairmoe export german-net.expert my_model · fairmoe export german-text adapter --to peft · fairmoe export
    german-net german.onnx --to onnx
    """
    from artefacts.format.error import PackageError
    from artefacts.packing.export import FORMS
    from artefacts.packing.export import export as write

    forms = (*FORMS, MERGED, LORA, ONNX)
    if to not in forms:
        raise PackageError("form", f"There is no form {to[:40]!a}; there is {', '.join(forms)}.")
    with _opened(package) as (manifest, read):
        if to == MERGED:
            from benchmarks.models.merging import merge

            merge(manifest, read, output, base)
        elif to == LORA:
            from benchmarks.models.merging import write_lora

            rank = write_lora(manifest, read, output, base)
        elif to == ONNX:
            from benchmarks.models.onnx_form.writing import write_onnx

            write_onnx(manifest, read, output)
        else:
            _check_peft(manifest, to)
            write(manifest, read, to, output)
    console = plain_console(soft_wrap=True)
    console.print(f"{manifest.name} {manifest.version} lies in {output} ({to})")
    if to == LORA:
        console.print(f"Its rank is {rank:,}; some servers allow a highest rank (vLLM: --max-lora-rank).")
    if to == "model":
        console.print(f"Next: fairmoe predict {output} rows.csv")
    if to == ONNX:
        console.print("Inputs: the raw columns. Outputs: probabilities, decision, unknown_cells.")
        console.print("Next: ask it with any ONNX runtime; docs/packages.md, ONNX, shows how")


def _check_peft(manifest: Manifest, to: str) -> None:
    """Refuse to write for PEFT what PEFT cannot read."""
    from artefacts.format.error import PackageError

    own = [adapter.path for adapter in manifest.adapters if adapter.type == SVF]
    if to == PEFT and own:
        raise PackageError(
            "form",
            f"{manifest.name} {manifest.version} holds {own[0]}, an adapter of the kind SVF, which PEFT does not have. "
            "--to lora writes the same change as a LoRA, exactly; --to safetensors writes the vectors.",
        )


@contextmanager
def _opened(which: str) -> Iterator[tuple[Manifest, Callable[[str], bytes]]]:
    """The manifest and a reader of files, of a file or of what is installed; all bytes are checked."""
    from artefacts.format.archive import open_package
    from artefacts.registry.registry import Registry
    from artefacts.registry.sources import SUFFIX

    if which.endswith(SUFFIX) or Path(which).is_file():
        with open_package(Path(which)) as opened:
            opened.check()
            yield opened.manifest, opened.read
        return
    tree, _ = Registry.of_user().judged(which)
    yield tree.manifest, lambda name: (tree.folder / name).read_bytes()
