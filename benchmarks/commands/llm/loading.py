"""The base and the experts that a command names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchmarks.commands.llm.showing import pretraining

PROMPTS = ("plain", "chat")
WIDE_EXPLAINED = 64
"""Rows whose reasons are measured on a large base unless more are asked for."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from torch import Tensor

    from benchmarks.plan.suite import LLMSettings
    from llm_experts.bases.base import Base
    from llm_experts.decoder.program import Adapter
    from llm_experts.prompts.asking import Asking
    from llm_experts.reading.expert import LLMExpert
    from tasks.task import Task, TaskView


def prepare_base(settings: LLMSettings, console: Console) -> None:
    """Have the base of a suite ready before its jobs start: an error comes at once, and nano is pretrained once."""
    load(settings.base, settings.dtype, settings.quantisation, settings.device, console)


def load(name: str, dtype: str, quantisation: str, device: str, console: Console) -> Base:
    """The base that a command names; nano is pretrained now if it never was."""
    from benchmarks.run.stages.text import device_of
    from llm_experts.bases.load import load_base

    with pretraining(console) as progress:
        return load_base(name, dtype=dtype, quantisation=quantisation, device=device_of(device), progress=progress)


def base_named(name: str, revision: str | None) -> str:
    """The base that ``--base`` and ``--revision`` name together, as one word that the next command can take."""
    from llm_experts.bases.identify import with_revision

    return with_revision(name, revision)


def asking_named(view: TaskView, prompt: str, shots: int, seed: int) -> Asking:
    """How ``--prompt`` and ``--shots`` ask about rows; the examples are drawn from the training rows."""
    from llm_experts.prompts.asking import Asking
    from llm_experts.prompts.shots import draw_shots

    if prompt not in PROMPTS:
        raise typer.BadParameter(f"There is no prompt {prompt!r}; choose {' or '.join(PROMPTS)}.")
    return Asking(prompt == "chat", draw_shots(view, shots, seed))


def experts_of(folders: Sequence[Path], base: Base) -> list[LLMExpert]:
    """Experts of folders; those that read alike share a reader."""
    from llm_experts.reading.expert import load_llm_expert

    found: list[LLMExpert] = []
    for folder in folders:
        found.append(load_llm_expert(folder, base, [expert.reader for expert in found]))
    return found


def rows_explained(task: Task, rows: Tensor, base: Base, explained: int | None, seed: int) -> Tensor | None:
    """Positions of the rows whose reasons are measured, in proportion by label and group; None: all.

    A reason takes a reading for every column: on a large base some seconds a row.
    """
    from foundation.seeding import torch_generator
    from tasks.thinning import thinned

    most = explained or (WIDE_EXPLAINED if base.wide else len(rows))
    if most >= len(rows):
        return None
    return thinned(task.labels[rows], task.groups[rows], most, torch_generator(seed, "explained rows"))


def adapters_of(folders: Sequence[Path], base: Base) -> list[Adapter | None]:
    """Adapters of folders of experts, or of folders in PEFT's format; None for an expert that is the base itself."""
    from artefacts.packing.trained_folder import ADAPTER, is_trained
    from llm_experts.adapters.store import CONFIG, check_base, read_adapter
    from llm_experts.decoder.program import Adapter
    from llm_experts.reading.expert import DESCRIPTION, check_whole

    found: list[Adapter | None] = []
    for folder in (folder / ADAPTER if is_trained(folder) else folder for folder in folders):
        if (folder / CONFIG).is_file() and not (folder / DESCRIPTION).is_file():
            saved = read_adapter(folder)
            check_base(saved, base, folder)
            found.append(Adapter(saved.config, saved.state))
        else:
            expert = experts_of([folder], base)[0]
            check_whole(expert)
            found.append(expert.adapter)
    return found


def seen_rows(
    folder: str | Path,
    expert: LLMExpert,
    view: TaskView,
    rows: Tensor,
    part: str,
    *,
    allow: bool,
    trained_only: bool = False,
) -> str:
    """What is wrong with judging an expert on some rows, "" if nothing is; refused unless it is allowed.

    Raises
    ------
    typer.BadParameter
        If the expert has seen some of the rows or does not say what it has seen, and that is not allowed.
    """
    from llm_experts.reading.origin import seen_among

    count = int(seen_among(expert.origins, view, rows, trained_only=trained_only).sum())
    where = f"--task {view.name} --split {view.split.index} --seed {view.split.seed}"
    if not expert.origins:
        note = f"The expert in {folder} does not say on which rows it was made, so scores may be those of its own rows."
        remedy = "Train it again with 'fairmoe llm train', or add --allow-seen"
    elif count:
        trained = "trained it" if trained_only else "trained, chose or calibrated it"
        note = f"{count} of the {len(rows)} {part} rows of {where} {trained} ({folder}), so scores on them flatter it."
        made = " and ".join(origin.words for origin in expert.origins)
        remedy = f"It was made with {made}: give these options, or --allow-seen"
    else:
        return ""
    if not allow:
        raise typer.BadParameter(f"{note} {remedy} to go on with these rows all the same.")
    return note


def names_of(which: Sequence[str | Path]) -> list[str]:
    """Names of experts in tables: their folders', with those that they lie in where two are called alike."""
    found = [Path(one).resolve() for one in which]
    short = [path.name for path in found]
    return [n if short.count(n) == 1 else f"{p.parent.name}/{n}" for n, p in zip(short, found, strict=True)]


def texts_of(path: Path) -> tuple[str, ...]:
    """Texts of a file, one a line; :class:`typer.BadParameter` says why there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read as text: {error}. Give a UTF-8 file.") from None
    found = tuple(line for line in lines if line.strip())
    if not found:
        raise typer.BadParameter(f"{path} holds no text; write one a line.")
    return found
