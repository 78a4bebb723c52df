"""What the check of difficulty is worth: experts of items that pass it, against as many items taken as they come.

``python -m benchmarks.studies difficulty --domains classification lookup``: by domain and seed, experts learn the same
number of items for the same steps: ``all`` (as they come), ``untrained`` (for the base as it is a right answer has a
probability of .60 to .90) and ``warmed`` (the same for an expert that learnt a few items before). Prints the share of
right choices on items that none of them saw, how it differs from ``all`` (item by item, over seeds), and what the
chosen items are like: the share of drafts that pass, and the share of their most frequent answer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.studies.parts.statistics import Estimate, Values, difference_of, mean_of

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.data.example import Example
    from llm_experts.decoder.program import Adapter
    from llm_experts.discovery.measuring.domain import Domain
    from llm_experts.discovery.teaching.training import TrainingSettings
    from llm_experts.training.loop.assignment import Fitted

ARMS = ("all", "untrained", "warmed")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is made, learnt and examined.

    Attributes
    ----------
    drafts : int
        Items to choose among.
    items : int
        Most items that an expert learns.
    steps : int
    warm_items, warm_steps : int
        Of the expert that judges for ``warmed``.
    examined : int
        Items of the examination.
    """

    drafts: int = 1000
    items: int = 128
    steps: int = 100
    warm_items: int = 64
    warm_steps: int = 40
    examined: int = 200


@dataclass(frozen=True)
class Arm:
    """One way to choose items, over seeds.

    Attributes
    ----------
    name : str
    right : [seeds, items] float64
        Whether an expert chooses the right answer of an examined item.
    passed : tuple of float
        By seed, the share of the drafts that pass.
    common : tuple of float
        By seed, the share of the learnt items' most frequent answer.
    learnt : tuple of int
        By seed, the number of learnt items.
    """

    name: str
    right: Values
    passed: tuple[float, ...]
    common: tuple[float, ...]
    learnt: tuple[int, ...]

    @property
    def accuracy(self) -> Estimate:
        """Share of right choices over items and seeds."""
        return mean_of(self.right)


def compare_checks(
    base: Base,
    domain: Domain,
    seeds: Sequence[int],
    sizes: Sizes,
    settings: TrainingSettings,
    folder: Path,
) -> tuple[Arm, ...]:
    """Arms in the order of :data:`ARMS`; with :func:`~benchmarks.studies.parts.statistics.difference_of` they compare.

    Parameters
    ----------
    base : Base
    domain : Domain
    seeds : sequence of int
        Of the drafts and of the training.
    sizes : Sizes
    settings : TrainingSettings
        Its steps and seed are set by ``sizes`` and ``seeds``.
    folder : Path
        Of the experts.
    """
    each = [_of_seed(base, domain, seed, sizes, settings, folder / f"seed-{seed}") for seed in seeds]
    return tuple(
        Arm(
            name,
            np.stack([one[name].right for one in each]),
            tuple(one[name].passed for one in each),
            tuple(one[name].common for one in each),
            tuple(one[name].learnt for one in each),
        )
        for name in ARMS
    )


class _Run(NamedTuple):
    """An arm of one seed."""

    right: Values
    passed: float
    common: float
    learnt: int


def _of_seed(
    base: Base, domain: Domain, seed: int, sizes: Sizes, settings: TrainingSettings, folder: Path
) -> Mapping[str, _Run]:
    drafts = domain.items("training", sizes.drafts, seed)
    how = replace(settings, seed=seed)
    warm = _trained(base, domain, {"warm": drafts[: sizes.warm_items]}, replace(how, steps=sizes.warm_steps), folder)
    chosen = {
        "all": drafts,
        "untrained": _passed(base, domain, drafts, None, seed),
        "warmed": _passed(base, domain, drafts, warm[0].adapter, seed),
    }
    count = min(sizes.items, *map(len, chosen.values()))
    learnt = {name: items[:count] for name, items in chosen.items()}
    experts = _trained(base, domain, learnt, replace(how, steps=sizes.steps), folder)
    right = _right(base, domain, [expert.adapter for expert in experts], sizes.examined)
    return {
        name: _Run(right[at], len(chosen[name]) / len(drafts), _common(learnt[name]), count)
        for at, name in enumerate(ARMS)
    }


def _passed(base: Base, domain: Domain, drafts: Sequence[Example], judge: Adapter | None, seed: int) -> list[Example]:
    from llm_experts.generation.checks.registry import checks_named
    from llm_experts.generation.context import Context
    from llm_experts.generation.draft import Draft
    from llm_experts.generation.examined import accepted, examine
    from llm_experts.generation.spec import DataSpec, Topic
    from llm_experts.training.sequences.lanes import SequenceLanes

    topic = Topic(name=domain.name, family=domain.family, difficulty=domain.difficulty)
    spec = DataSpec(expert=domain.name, topics=(topic,), count=len(drafts))
    lanes = None if judge is None else SequenceLanes.of(base, [judge])
    context = Context(base, lanes, None if lanes is None else lanes.start, seed=seed)
    asked = [Draft(example, topic.name, domain.difficulty) for example in drafts]
    found = examine(asked, spec, context, checks_named(["difficulty"]))
    return [draft.example for draft, one in zip(asked, found, strict=True) if accepted(one)]


def _trained(
    base: Base, domain: Domain, items: Mapping[str, Sequence[Example]], settings: TrainingSettings, folder: Path
) -> list[Fitted]:
    """Experts of sets at their last step: nothing chooses among checkpoints, and none is held by a watch."""
    from llm_experts.families.listed import with_listed
    from llm_experts.training.loop.assignment import Assignment
    from llm_experts.training.loop.fit import fit

    held_out = [with_listed(domain.judge, one) for one in domain.items("watching", 10)]
    how = replace(settings, look_every=settings.steps).of_loop(base, 0)
    given = [
        Assignment(name, [with_listed(domain.judge, one, seed=settings.seed) for one in own], held_out, how)
        for name, own in items.items()
    ]
    return fit(base, given, folder=folder / "-".join(items))


def _right(base: Base, domain: Domain, adapters: Sequence[Adapter], count: int) -> Values:
    from llm_experts.discovery.measuring.domain import scenarios
    from llm_experts.training.sequences.choices import choices_of
    from llm_experts.training.sequences.lanes import SequenceLanes

    asked = scenarios([domain], "search", count)
    choices = choices_of(base, asked)
    lanes = SequenceLanes.of(base, adapters)
    return (choices.margins(lanes, lanes.start) > 0).double().numpy()


def _common(items: Sequence[Example]) -> float:
    return Counter(example.completion for example in items).most_common(1)[0][1] / len(items) if items else 0.0


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    asked = _arguments(argv)
    from llm_experts.bases.load import load_base
    from llm_experts.discovery.measuring.domain import Domain
    from llm_experts.discovery.teaching.training import TrainingSettings

    base, sizes = load_base(asked.base), Sizes(drafts=asked.drafts, items=asked.items, steps=asked.steps)
    print("| domain | items | drafts that pass | learnt | most frequent answer | right choices | against all |")
    print("|---|---|---|---|---|---|---|")
    for family in asked.domains:
        domain = Domain(family.replace(":", "-").replace("@", "-"), family, asked.difficulty)
        with tempfile.TemporaryDirectory() as folder:
            arms = compare_checks(base, domain, asked.seeds, sizes, TrainingSettings(), Path(folder))
        for arm in arms:
            print(_row(domain.name, arm, arms[0]), flush=True)


def _row(domain: str, arm: Arm, every: Arm) -> str:
    passed, common = (f"{np.mean(values):.0%}" for values in (arm.passed, arm.common))
    learnt = f"{min(arm.learnt)}–{max(arm.learnt)}"
    against = "" if arm is every else str(difference_of(arm.right, every.right))
    return f"| {domain} | {arm.name} | {passed} | {learnt} | {common} | {arm.accuracy} | {against} |"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies difficulty", description=__doc__)
    parser.add_argument("--base", default="nano")
    parser.add_argument("--domains", nargs="+", default=["classification", "lookup"], help="families")
    parser.add_argument("--difficulty", type=float, default=0.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--drafts", type=int, default=Sizes.drafts)
    parser.add_argument("--items", type=int, default=Sizes.items)
    parser.add_argument("--steps", type=int, default=Sizes.steps)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
