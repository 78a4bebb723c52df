"""What guidance, clustering and checks are worth in a self-guided discovery: each is left out, or done otherwise.

    python -m benchmarks.studies discovery --output results/ablations
    python -m benchmarks.studies discovery --output results/ablations --seeds 0 1 2 --arms unchecked judged
    python -m benchmarks.studies discovery --output results/ablations --table

Arms: ``whole`` (all as ``fairmoe discover`` does it), ``four`` (four experts, whatever was measured), ``random`` (as
many experts as ``whole`` has, of domains drawn at random), ``unchecked`` (drafts are taken as they come), ``judged``
(drafts that are too easy or too hard for the base are refused), ``unguided`` (the search's box stays as it is).

An arm begins with a copy of what ``whole`` did with the same seed, and does again what depends on the change; seconds
are those of the whole run all the same. Contenders are asked scenarios with a seed of their own, the same in every arm
and for every seed, so that differences to ``whole`` are paired item by item and seed by seed. Each arm and seed has a
JSON file in ``--output``, which is not made again; what was ended goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.studies.parts.examined_run import BASE, SINGLE, UNIFORM, WINNER, ExaminedRun, examined_run
from benchmarks.studies.parts.statistics import Estimate, Values, difference_of, mean_of
from foundation.files import atomic_path, write_json
from foundation.hashing import hash_json
from metrics.holm import holm

if TYPE_CHECKING:
    from benchmarks.discovering.run import Discovered
    from benchmarks.discovering.settings import DiscoverySettings
    from llm_experts.bases.base import Base

WHOLE = "whole"
FOUR = 4
STEPS = 6
"""Of a discovery: to its examination."""
SIZES: dict[str, Any] = {
    "items": 40, "count": 160, "steps": 100, "watching": 20, "probes": 32, "generations": 30, "population": 24,
    "rounds": 2, "candidates": 6, "search_items": 20, "scenarios": 24, "difficulty": "report",
}  # fmt: skip
"""Settings of all arms that are not a discovery's defaults."""
DOMAINS = (
    "arithmetic", "classification", "json_task", "lookup", "sql", "rows:compas:race", "rows:adult:sex@1500",
    "rows:law_school:race@1500",
)  # fmt: skip
SCENARIOS = 60
"""Scenarios of each domain that contenders are asked."""
DIFFERENCES = (WINNER, UNIFORM, SINGLE)

Changes = Callable[[int], Mapping[str, Any]]
ARMS: dict[str, Changes] = {
    WHOLE: lambda _: {},
    "four": lambda _: {"experts": FOUR},
    "random": lambda experts: {"evidence": "random", "experts": experts},
    "unchecked": lambda _: {"checks": ("none",)},
    "judged": lambda _: {"difficulty": "judge"},
    "unguided": lambda _: {"guidance": False},
}
"""By arm, from the number of experts that ``whole`` has, the settings that differ."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes
    ----------
    base : Base
    settings : DiscoverySettings
        Of ``whole``.
    scenarios : int
        Of each domain that contenders are asked.
    folder : Path
        Gets ``ARM-seed-S.json``, and ``seed-S/ARM`` with the discovery.
    """

    base: Base
    settings: DiscoverySettings
    scenarios: int
    folder: Path


def run_arms(
    study: Study, arms: Sequence[str], seeds: Sequence[int], say: Callable[[str], None] = print
) -> dict[str, list[ExaminedRun]]:
    """Every arm with every seed, ``whole`` first; what has its file is read."""
    names = [WHOLE, *(arm for arm in arms if arm != WHOLE)]
    found: dict[str, list[ExaminedRun]] = {arm: [] for arm in names}
    for seed in seeds:
        for arm in names:
            experts = len(found[WHOLE][-1].experts) if arm != WHOLE else 0
            one = _of_arm(study, arm, seed, experts)
            found[arm].append(one)
            say(f"seed {seed}, {arm}: {len(one.experts)} experts, {one.winner} {one.values(WINNER).mean():.3f}")
    return found


def file_of(folder: Path, arm: str, seed: int) -> Path:
    """Where an arm of a seed is kept."""
    return folder / f"{arm}-seed-{seed}.json"


def read_arms(folder: Path, arms: Iterable[str], seeds: Sequence[int]) -> dict[str, list[ExaminedRun]]:
    """What a folder holds of these arms and seeds.

    Arms without any are left out, and seeds that an arm which is there lacks, so that all can be paired.
    """
    there = {arm: [seed for seed in seeds if file_of(folder, arm, seed).exists()] for arm in dict.fromkeys(arms)}
    some = {arm: own for arm, own in there.items() if own}
    common = [seed for seed in seeds if all(seed in own for own in some.values())]
    return {
        arm: [ExaminedRun.from_dict(json.loads(file_of(folder, arm, seed).read_text("utf-8"))) for seed in common]
        for arm in some
        if common
    }


def _of_arm(study: Study, arm: str, seed: int, experts: int) -> ExaminedRun:
    """One arm of one seed, read or made."""
    settings = study.settings.model_copy(update={**ARMS[arm](experts), "seed": seed})
    key = hash_json({"settings": settings.model_dump(mode="json"), "scenarios": study.scenarios})
    path = file_of(study.folder, arm, seed)
    if path.exists():
        kept = ExaminedRun.from_dict(json.loads(path.read_text("utf-8")))
        if kept.key == key:
            return kept
    place = study.folder / f"seed-{seed}"
    if arm != WHOLE:
        _begin_with(place / WHOLE, place / arm)
    one = examined_run(_discovered(study, settings, place / arm), study.scenarios, key)
    write_json(path, one.as_dict())
    return one


def _begin_with(whole: Path, folder: Path) -> None:
    """A copy of the whole discovery, of which the arm's own keeps the steps whose inputs are the same."""
    if not folder.exists():
        with atomic_path(folder) as made:
            shutil.copytree(whole, made)


def _discovered(study: Study, settings: DiscoverySettings, folder: Path) -> Discovered:
    from benchmarks.discovering.run import Asked, discover
    from benchmarks.discovering.steps.registry import STEPS as EVERY

    identity = {"id": study.base.id, "hash": study.base.hash}
    return discover(
        Asked(settings=settings, folder=folder, load=lambda: study.base, identity=identity), steps=EVERY[:STEPS]
    )


def table(found: Mapping[str, Sequence[ExaminedRun]]) -> str:
    """Two Markdown tables: what every arm came to, and how it differs from ``whole``."""
    arms = {arm: runs for arm, runs in found.items() if runs}
    first = next(iter(arms.values()))
    lines = [
        f"{len(first[0].domains)} domains, {len(first[0].right[BASE])} scenarios, {len(first)} seeds; the base: "
        f"{mean_of(_values(first, BASE))}.",
        "",
        "| arm | experts | items of drafts | accepted | winner | uniform | best single | lowest gain | alignment "
        "(base) | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(arm, runs) for arm, runs in arms.items()),
    ]
    if WHOLE in arms and len(arms) > 1:
        lines += ["", *_compared(arms)]
    return "\n".join(lines)


def _row(arm: str, runs: Sequence[ExaminedRun]) -> str:
    cells = (
        arm,
        "/".join(str(len(one.experts)) for one in runs),
        f"{sum(one.items for one in runs):,} of {sum(one.drafts for one in runs):,}",
        f"{sum(one.accepted for one in runs)} of {len(runs)}",
        *(str(mean_of(_values(runs, name))) for name in DIFFERENCES),
        _spread([one.lowest[WINNER] for one in runs]),
        _aligned(runs),
        f"{np.mean([sum(one.seconds.values()) for one in runs]):.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _compared(arms: Mapping[str, Sequence[ExaminedRun]]) -> list[str]:
    """Share of right answers less that of ``whole``, Holm over the arms by contender."""
    others = [arm for arm in arms if arm != WHOLE]
    lines = [f"| arm less {WHOLE} | {' | '.join(DIFFERENCES)} |", "|---" * (1 + len(DIFFERENCES)) + "|"]
    columns = [_adjusted([differences(arms[arm], arms[WHOLE], name) for arm in others]) for name in DIFFERENCES]
    rows = zip(others, zip(*columns, strict=True), strict=True)
    return lines + [f"| {arm} | {' | '.join(cells)} |" for arm, cells in rows]


def differences(runs: Sequence[ExaminedRun], others: Sequence[ExaminedRun], contender: str) -> Estimate:
    """Mean of paired differences over scenarios and seeds, with interval and p."""
    return difference_of(_values(runs, contender), _values(others, contender))


def _adjusted(found: Sequence[Estimate]) -> list[str]:
    corrected = holm([float(one.p or 0.0) for one in found])
    return [f"{one} (Holm {p:.2g})" for one, p in zip(found, corrected, strict=True)]


def _values(runs: Sequence[ExaminedRun], contender: str) -> Values:
    """[seeds, n]."""
    return np.stack([one.values(contender) for one in runs])


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):+.2f} ({min(values):+.2f} … {max(values):+.2f})"


def _aligned(runs: Sequence[ExaminedRun]) -> str:
    """Mean alignment of the winner, and of the base."""
    winner, base = ([value for one in runs if (value := one.alignment[name]) is not None] for name in (WINNER, BASE))
    return f"{np.mean(winner):.3f} ({np.mean(base):.3f})" if winner and base else "not measured"


def main(argv: Sequence[str]) -> None:
    """Run the arms and print the tables."""
    asked = _arguments(argv)
    if asked.table:
        found = read_arms(asked.output, [WHOLE, *asked.arms], asked.seeds)
        print(table(found) if found else f"{asked.output} holds no arm of these seeds yet.")
        return
    import torch

    from benchmarks.discovering.settings import settings_of
    from llm_experts.bases.load import load_base

    torch.set_num_threads(1)
    given = {"base": asked.base, "count": asked.count, "steps": asked.steps, "domains": tuple(asked.domains)}
    study = Study(load_base(asked.base), settings_of(None, {**SIZES, **given}), asked.scenarios, asked.output)
    found = run_arms(study, asked.arms, asked.seeds, lambda text: print(text, flush=True))
    print(f"\n{table(found)}\n\nResults: {asked.output}/ARM-seed-S.json; --table prints this again.")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies discovery", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, help="folder of results; the same one goes on")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--base", default="nano")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, help="NAME or NAME@DIFFICULTY (default: eight)")
    parser.add_argument("--count", type=int, default=SIZES["count"], help="items of each expert (default %(default)s)")
    parser.add_argument("--steps", type=int, default=SIZES["steps"], help="optimiser steps (default %(default)s)")
    parser.add_argument("--scenarios", type=int, default=SCENARIOS, help=f"of each domain (default {SCENARIOS})")
    parser.add_argument("--table", action="store_true", help="only print the tables of what is there")
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
