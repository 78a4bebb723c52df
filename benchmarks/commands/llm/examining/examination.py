"""What ``evaluate`` and ``validate`` have in common: experts are asked items, and tables and files are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.examining.holding import Held
    from benchmarks.examining.material import Material
    from benchmarks.examining.opening import Opened
    from foundation.progress import Tell
    from llm_experts.bases.base import Base
    from llm_experts.data.example import Example
    from llm_experts.evaluation.answers import Asking
    from llm_experts.evaluation.candidate import Candidate

FOLDER = Path("results/examinations")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a command says of the items and of how they are asked."""

    family: str | None
    data: Path | None
    part: Literal["validation", "test"]
    count: int = 200
    seed: int = 0
    difficulty: float | None = None
    judge: str | None = None
    scores: tuple[str, ...] = ()
    samples: int = 1
    temperature: float | None = None
    max_new_tokens: int | None = None
    style: Any = "auto"
    batch: int = 16
    trained_on: Path | None = None

    def material(self) -> Material:
        """The items, who judges them and by what."""
        from benchmarks.examining.material import of_family, of_file

        if self.family is not None:
            return of_family(self.family, self.part, self.count, self.seed, self.difficulty, self.scores)
        assert self.data is not None
        return of_file(self.data, self.part, self.scores, self.judge)

    def asking(self, material: Material) -> Asking:
        """How a model is asked."""
        from llm_experts.evaluation.answers import Asking

        return Asking(
            max_new_tokens=self.max_new_tokens or material.longest_answer, samples=self.samples,
            temperature=self.temperature, seed=self.seed, style=self.style, batch=self.batch,
        )  # fmt: skip

    def learnt(self) -> list[Example]:
        """The training data, where they are named."""
        from llm_experts.data.reading import read_examples

        return [] if self.trained_on is None else read_examples(self.trained_on, need="prompt")


def examine_experts(
    base: Base,
    base_name: str,
    experts: Sequence[str],
    asked: Asked,
    *,
    weights: str | None,
    each: bool,
    promise: bool,
    output: Path | None,
    allow_untrusted: bool,
    console: Console,
) -> None:
    """Examine a composition of experts (and each of them alone) beside the base."""
    from benchmarks.examining.opening import opened, weights_of
    from benchmarks.examining.writing import promise as write_promise

    material, learnt = asked.material(), asked.learnt()
    with opened(experts, base, allow_untrusted=allow_untrusted) as found:
        told = weights_of(weights, list(found.folders))
        places = _promised(experts, found, told, promise)
        candidates = _candidates(found, told, each)
        held, folder = examine(base, found, candidates, material, asked, learnt, output, console)
        if places is not None:
            at = write_promise(held, held.models[1], places, asked.asking(material))
            console.print(f"promised: {at}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"written: {folder}", soft_wrap=True, markup=False, highlight=False)
    console.print(_next(experts, places, base_name), soft_wrap=True, markup=False, highlight=False)


def examine(
    base: Base,
    found: Opened,
    candidates: Sequence[Candidate],
    material: Material,
    asked: Asked,
    learnt: Sequence[Example],
    output: Path | None,
    console: Console,
) -> tuple[Held, Path]:
    """Hold an examination, print its tables, write its files; the folder that they are in."""
    from benchmarks.examining.holding import hold
    from benchmarks.examining.showing import show
    from benchmarks.examining.writing import KEPT, write
    from llm_experts.bases.identify import base_key

    how = asked.asking(material)
    keep, folder = places_of(output, _folder_name(material, asked), candidates[0].name)
    with _progress(console) as progress:
        held = hold(found.on, candidates, material, how, learnt=learnt, keep=keep / KEPT, progress=progress)
    facts = {
        "base": {"id": base.id, **base_key(base)},
        "experts": {c.name: dict(c.composition.parts) for c in candidates},
    }
    write(held, folder, how, facts)
    show(held, console)
    return held, folder


def run_harness(
    base: Base,
    experts: Sequence[str],
    tasks: Sequence[str],
    *,
    weights: str | None,
    own_tasks: Path | None,
    limit: int,
    batch: int,
    seed: int,
    output: Path | None,
    allow_untrusted: bool,
    console: Console,
) -> None:
    """Ask what lm-evaluation-harness asks, print and write the results."""
    from benchmarks.examining.harness import run, write
    from benchmarks.examining.opening import opened, weights_of
    from benchmarks.examining.showing import show_harness

    with opened(experts, base, allow_untrusted=allow_untrusted) as found:
        told = weights_of(weights, list(found.folders))
        candidate = found.candidate(" + ".join(told) or "base", told)
        rows = run(found.on, candidate, tasks, own_tasks=own_tasks, limit=limit, batch=batch, seed=seed)
    show_harness(candidate.name, rows, console)
    at = write(rows, output or FOLDER / "lm_eval", candidate.name)
    console.print(f"written: {at}", soft_wrap=True, markup=False, highlight=False)


def _candidates(found: Opened, weights: dict[str, float], each: bool) -> list[Candidate]:
    def name_of(parts: dict[str, float]) -> str:
        return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in parts.items())

    candidates = [found.candidate(name_of(weights), weights)]
    if each and len(weights) > 1:
        candidates += [found.candidate(name, {name: 1.0}) for name in weights]
    return candidates


def _promised(experts: Sequence[str], found: Opened, weights: dict[str, float], promise: bool) -> Path | None:
    """The folder that scores are written into; refused before the minutes that answers take."""
    if not promise:
        return None
    if len(found.folders) != 1 or set(weights.values()) != {1.0} or not Path(experts[0]).is_dir():
        raise typer.BadParameter(
            "--promise writes the scores of one expert with weight 1 into its folder: name one folder, not the name of "
            "an installed expert, a .expert file or a composition."
        )
    return next(iter(found.folders.values()))


def places_of(output: Path | None, items: str, examined: str) -> tuple[Path, Path]:
    """Where answers are kept and where results lie: of the same items all experts share the former, never the latter.

    Parameters
    ----------
    output : Path, optional
        For both, if it is given.
    items, examined : str
        Folder name of the items; name of the expert or composition.
    """
    if output is not None:
        return output, output
    return FOLDER / items, FOLDER / items / (re.sub(r"[^\w.+-]+", "_", examined)[:100].strip(".") or "expert")


def _folder_name(material: Material, asked: Asked) -> str:
    name = re.sub(r"[^\w.-]+", "_", material.name)
    return f"{name}_{asked.part}_{material.sha256[:8]}"


def _next(experts: Sequence[str], promised: Path | None, base: str) -> str:
    if promised is not None:
        return f"Next: fairmoe package {shlex.quote(experts[0])} --name NAME --author YOU"
    if len(experts) == 1 and Path(experts[0]).is_dir():
        return "Next: the same command with --promise keeps the scores with the expert (nothing is asked again)."
    on = "" if base == "nano" else f" --base {shlex.quote(base)}"
    return f"Next: fairmoe llm check {shlex.join(experts)}{on}"


@contextmanager
def _progress(console: Console) -> Iterator[Tell]:
    """A bar for each model."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    from foundation.progress import counted_bars

    with counted_bars(console, MofNCompleteColumn(), TimeRemainingColumn(), transient=True) as bars:
        yield lambda model, done, total: bars.tell(f"asking {model}", done, total)
