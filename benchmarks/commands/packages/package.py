"""``fairmoe package``: a saved model, or an adapter, as one file for others."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from foundation.console import plain_console, styled


def package(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A saved model, as fairmoe choose writes it, a cell of a run (RUN/jobs/JOB/cells/CELL), or the folder "
            "of an adapter (PEFT)."
        ),
    ],
    name: Annotated[str, typer.Option(help="a-z, 0-9 and hyphens; default: of task and method.")] = "",
    version: Annotated[str, typer.Option(help="Semantic version; the same version never changes.")] = "1.0.0",
    description: Annotated[str, typer.Option(help="A sentence for those who look for an expert.")] = "",
    author: Annotated[str, typer.Option(help="Who made it.", envvar="FAIRMOE_AUTHOR")] = "unnamed",
    licence: Annotated[str, typer.Option(help="Default: that of the data.")] = "",
    licence_file: Annotated[Path | None, typer.Option(help="Text for LICENSE.")] = None,
    requires: Annotated[
        list[str] | None, typer.Option(help="NAME@RANGE of another package that must be installed; may be repeated.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(help="JSON with further fields of the manifest: routing, constraints, decoding, ..."),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            help="Of adapters of other programs: folder, or name on this machine, of the base that it was trained on."
        ),
    ] = "",
    base_hash: Annotated[
        str, typer.Option(help="In place of --base: hash of the base, as fairmoe llm base says.")
    ] = "",
    allow_changed_code: Annotated[
        bool,
        typer.Option(
            "--allow-changed-code",
            help="Of a cell: go on if code has changed since the run; the model must say what is stored.",
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Default: NAME-VERSION.expert here.")] = None,
) -> None:
    """Pack a model into one file: weights, encoder, card, licence, and what was measured of its fairness.

    The same model gives the same bytes, on any day and machine. Tables of single rows stay out; so does all that is
    not safe to read (own methods' estimators, CatBoost).

    The model of a cell is made again as the run has scored it, held against the stored predictions, and measured on
    test rows; fairmoe choose finds the best one that keeps a limit.

    Examples: fairmoe package my_model --name german-net --author Ada ·
    fairmoe package results/quick/jobs/*/cells/KEY --name german-net ·
    fairmoe package my_model --version 1.1.0 --requires "german-text@^1.2" ·
    fairmoe package peft_adapter --base HuggingFaceTB/SmolLM2-135M-Instruct
    """
    from artefacts.packing.pack import package as make
    from artefacts.packing.told import Told

    if base:
        base_hash = _hash(base, base_hash)
    licence_text, further = _text(licence_file), _further(facts, requires or [])
    with _model(folder, allow_changed_code) as model:
        told = Told(
            name, version, description, author, licence, licence_text, _card(model), further, base_hash,
            "" if Path(base).expanduser().is_dir() else base,
        )  # fmt: skip
        made = make(model, output, told)
    manifest, size = made.manifest, made.path.stat().st_size
    console = plain_console(soft_wrap=True)
    word = "packed" if made.new else "was packed before, the same:"
    console.print(f"{word} {manifest.name} {manifest.version} ({manifest.kind}), {size:,} bytes")
    console.print(f"sha256 {made.digest}")
    for warning in made.warnings:
        console.print(styled("NOTE", "bold yellow", f" {warning}"))
    if manifest.fairness is None:
        console.print(_nothing_measured(folder))
    console.print(f"It lies in {made.path}. Next: fairmoe sign {made.path} --key KEY (fairmoe keygen makes a key)")


def _nothing_measured(folder: Path) -> str:
    """What is missing where a package holds no scores, and what brings them in."""
    from benchmarks.saving.trained import FACTS

    if (folder / FACTS).is_file():
        measure = f"fairmoe llm evaluate {shlex.quote(str(folder))} --family NAME --promise"
        return f"It holds no scores: {measure} asks test items, and keeps what came of it for the next package."
    return "It says nothing of its fairness: the folder has no promise.json (docs/saved_models.md)."


@contextmanager
def _model(folder: Path, allow_changed_code: bool) -> Iterator[Path]:
    """The folder; of a cell a saved model, made again from the run, which goes away afterwards."""
    if not (folder / "cell.json").is_file() or (folder / "model.json").is_file():
        yield folder
        return
    from benchmarks.choice.deliver import deliver_as_it_is
    from benchmarks.run.rebuild import cell_at

    with tempfile.TemporaryDirectory(prefix="fairmoe-cell-") as name:
        place = Path(name) / "model"
        with plain_console(stderr=True).status(f"Reading {folder}") as status:
            deliver_as_it_is(
                cell_at(folder), place, allow_changed_code=allow_changed_code,
                notify=lambda _, stage, __: status.update(f"Making the model again: {stage}"),
            )  # fmt: skip
        yield place


def _hash(base: str, told: str) -> str:
    """Hash of a base on this machine; nothing is loaded."""
    from artefacts.format.error import PackageError
    from llm_experts.bases.load import base_hash

    found = base_hash(base)
    if told and told != found:
        raise PackageError("wrong-base", f"{base} has the hash {found}, not {told}; leave --base-hash out.")
    return found


def _text(path: Path | None) -> str:
    from artefacts.format.error import PackageError

    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError("unreadable", f"{path} cannot be read as text ({error}).") from error


def _card(folder: Path) -> str:
    """A model card for a saved model without one; the folder stays as it is."""
    if (folder / "README.md").exists() or not (folder / "model.json").is_file():
        return ""
    from benchmarks.models.cards.writing import model_card

    return model_card(folder)


def _further(path: Path | None, requires: list[str]) -> dict[str, Any]:
    from artefacts.packing.reading import facts_in

    found = facts_in(path) if path is not None else {}
    if not requires:
        return found
    named = {name: versions or "*" for name, _, versions in (text.partition("@") for text in requires)}
    held = found.get("constraints", {})
    return {**found, "constraints": {**held, "requires": {**held.get("requires", {}), **named}}}
