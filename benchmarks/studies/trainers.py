"""Every trainer doing what it is for, on nano: three seeds as lanes, intervals over items and seeds, paired tests.

    python -m benchmarks.studies trainers --output FOLDER [--parts dpo ewc ...] [--scale 0.5]

Preferences, forgetting, the exact and the sampled gradient, rewards where only a checker exists, distillation. A part
that is finished is not done again; FOLDER gets ``trainers.json`` and ``trainers.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.studies.parts.measures import preferred, right, surprise
from benchmarks.studies.parts.statistics import Estimate, difference_of, mean_of
from foundation.files import write_json, write_text

if TYPE_CHECKING:
    from torch import Tensor

    from llm_experts.bases.base import Base
    from llm_experts.data.example import Example
    from llm_experts.families.family import Family, Part
    from llm_experts.training.loop.assignment import Fitted
    from llm_experts.training.sequences.lanes import SequenceLanes

SEEDS = (0, 1, 2)
TESTED = 200
"""Items of an examination; they are asked once."""
RATE = 2e-3
STRENGTHS = (1e2, 1e3, 1e4)
"""Of consolidation."""
FIRST = 100
"""Steps of the expert that several parts begin with."""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes
    ----------
    part, measure : str
        Trainer, and what was measured.
    estimate : Estimate
    """

    part: str
    measure: str
    estimate: Estimate

    def row(self) -> str:
        """As a row of a Markdown table."""
        return f"| {self.part} | {self.measure} | {self.estimate} |"


class Study:
    """Experts of three seeds on one base, in a folder.

    Parameters
    ----------
    base : Base
    folder : Path
        Of the experts.
    scale : float
        On all numbers of steps.
    """

    def __init__(self, base: Base, folder: Path, scale: float) -> None:
        self.base, self.folder, self.scale = base, folder, scale

    def items(self, family: Family, part: Part, count: int, seed: int = 0) -> list[Example]:
        """Easy items of a family."""
        return list(family.make(part, count, seed, 0.0))

    def fit(
        self,
        name: str,
        train: Sequence[Example],
        family: Family,
        steps: int,
        after: Sequence[Fitted] | None = None,
        judged: bool = False,
        **settings: Any,
    ) -> list[Fitted]:
        """Three seeds of an expert; the last checkpoint but for what validation items say."""
        from llm_experts.training.loop.assignment import Assignment
        from llm_experts.training.loop.fit import fit
        from llm_experts.training.loop.settings import Settings

        steps = max(2, round(steps * self.scale))
        held_out = self.items(family, "validation", 60)
        if settings.get("method") == "dpo":
            held_out = pairs(family, held_out)
        common = {"steps": steps, "evaluate_every": max(1, steps // 4), "patience": 9, "max_length": 256} | settings
        given = [
            Assignment(
                f"{name}-{seed}", train, held_out, Settings(seed=seed, **common), family.reward_of if judged else None,
                longest_answer=family.longest_answer if judged else None,
                after=None if after is None else after[at].folder,
            )
            for at, seed in enumerate(SEEDS)
        ]  # fmt: skip
        return fit(self.base, given, folder=self.folder)

    def lanes(self, fitted: Sequence[Fitted]) -> SequenceLanes:
        """Finished experts as lanes."""
        from llm_experts.training.sequences.lanes import SequenceLanes

        return SequenceLanes.of(self.base, [each.adapter for each in fitted])

    def bare(self) -> SequenceLanes:
        """The base as lanes that change nothing."""
        from llm_experts.training.sequences.lanes import SequenceLanes

        return SequenceLanes.fresh(self.base, "ia3", [None] * len(SEEDS), SEEDS)


def pairs(family: Family, examples: Sequence[Example]) -> list[Example]:
    """Items with a verified wrong answer to reject."""
    from llm_experts.families.wrong import with_rejected

    return [with_rejected(family, example) for example in examples]


def family_of(name: str) -> Family:
    """A family by its name."""
    from llm_experts.families.registry import family_named

    return family_named(name)


# -- parts -------------------------------------------------------------------------------------------------------------


def dpo(study: Study) -> list[Line]:
    """Preference accuracy of held-out pairs, before and after."""
    family = family_of("classification")
    told = pairs(family, study.items(family, "train", 400))
    asked = pairs(family, study.items(family, "test", TESTED))
    found = study.fit("dpo", told, family, 60, method="dpo", lr=RATE)
    before, after = preferred(study.bare(), asked), preferred(study.lanes(found), asked)
    return [
        Line("dpo", "preference accuracy, base", mean_of(before)),
        Line("dpo", "preference accuracy, after", mean_of(after)),
        Line("dpo", "gain", difference_of(after, before)),
    ]


def ewc(study: Study) -> list[Line]:
    """Both tasks after a sequence of two, with plain fine-tuning and with consolidation: right answers and surprise."""
    from llm_experts.training.loop.settings import Settings
    from llm_experts.training.methods.fisher import keep_fisher

    old, new = family_of("classification"), family_of("rows:adult:sex@1500")
    first_items, second_items = study.items(old, "train", 400), study.items(new, "train", 400)
    first = study.fit("ewc-first", first_items, old, FIRST, lr=RATE)
    for each in first:
        keep_fisher(each.folder, study.base, first_items[:128], Settings(max_length=256))
    experts = {"the first expert": first, "plain": study.fit("ewc-plain", second_items, new, 80, first, lr=RATE)}
    for strength in STRENGTHS:
        experts[f"ewc {strength:g}"] = study.fit(
            f"ewc-held-{strength:g}", second_items, new, 80, first,
            lr=RATE, method="ewc", options={"strength": strength},
        )  # fmt: skip
    lanes, lines = {name: study.lanes(fitted) for name, fitted in experts.items()}, []
    for what, family in (("old task", old), ("new task", new)):
        asked = study.items(family, "test", TESTED)
        for measure, of in (("right answers", partial(right, family=family)), ("surprise", surprise)):
            values = {name: of(each, examples=asked) for name, each in lanes.items()}
            lines += [Line("ewc", f"{measure}, {what}, {name}", mean_of(value)) for name, value in values.items()]
            lines += [
                Line("ewc", f"{measure}, {what}: {name} less plain", difference_of(values[name], values["plain"]))
                for name in values
                if name.startswith("ewc")
            ]
    return lines


def gradient(study: Study) -> list[Line]:
    """Sampled gradients of the expected reward along the exact one, in units of its length: 1 in expectation.

    Answers of one token, so that all of them can be listed: the reward is 1 where it is the label.
    """
    import torch

    from llm_experts.training.loop.assignment import Assignment
    from llm_experts.training.loop.method import Run, method_named
    from llm_experts.training.loop.order import items_of, micro_batches
    from llm_experts.training.loop.settings import Settings

    family = family_of("classification")
    (expert, *_) = study.fit("ewc-first", study.items(family, "train", 400), family, FIRST, lr=RATE)
    lanes, told = study.lanes([expert]), study.items(family, "validation", 16)
    options = {"beta": 0.0, "samples": 4, "longest": 1}
    settings = Settings(method="rl", options=options, max_length=256)
    method = method_named("rl").with_options(options)
    method.start(Run(study.base, lanes, [Assignment("x", told, told, settings, _says)], settings, [study.folder]))
    (batch,) = micro_batches([items_of(told, study.base, settings, "prompt")], lanes.base.device, tokens=1 << 20)
    exact, sampled = _exact_gradient(lanes, told), []
    for _ in range(max(8, round(100 * study.scale))):
        theta = lanes.start.clone().requires_grad_()
        loss, figures = method.loss(lanes, theta, batch)
        sampled.append(-torch.autograd.grad(loss.sum(), theta)[0][0])
        method.after_step(figures)
    along = np.array([[float(each @ exact / exact.square().sum()) for each in sampled]])
    other = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    other -= exact * (other @ exact) / exact.square().sum()
    across = np.array([[float(each @ other / other.norm() / exact.norm()) for each in sampled]])
    return [
        Line("rl", f"sampled gradient along the exact one, {along.size} draws", mean_of(along)),
        Line("rl", "sampled gradient across it (a random direction)", mean_of(across)),
    ]


def _exact_gradient(lanes: SequenceLanes, told: Sequence[Example]) -> Tensor:
    """[P] gradient of the mean probability that the first token of an answer is the label."""
    import torch

    from llm_experts.data.encoding import prompt_ids
    from llm_experts.training.sequences.batch import Item, Row, collate

    items = []
    for row, example in enumerate(told):
        ids = prompt_ids(example, lanes.base)
        items.append(Item(row, (example,), (Row.of((*ids, 0), (False,) * len(ids) + (True,)),)))
    theta = lanes.start.clone().requires_grad_()
    chance = lanes.logits(theta, collate([items], theta.device))[0].softmax(-1)
    words = [lanes.base.tokenizer.decode([token], skip_special_tokens=True) for token in range(chance.shape[-1])]
    means = torch.tensor([[_says(example, str(word)) for word in words] for example in told])
    return torch.autograd.grad((chance * means).sum(-1).mean(), theta)[0][0]


def _says(example: Example, answer: str) -> float:
    """1 for the label and nothing else: as listed answers are compared."""
    return float(answer.strip() == str(example.facts["label"]))


def rl(study: Study) -> list[Line]:
    """Few written answers and many prompts with a checker: fine-tuning alone, as long again, or rewards after it."""
    return _rewarded(study, "exact", {"estimate": "exact", "beta": 0.02})


def rloo(study: Study) -> list[Line]:
    """The same from answers that are generated."""
    longest = family_of("classification").longest_answer
    return _rewarded(study, "sampled", {"samples": 4, "beta": 0.02, "longest": longest})


def _rewarded(study: Study, name: str, options: Mapping[str, Any]) -> list[Line]:
    family = family_of("classification")
    few, many = study.items(family, "train", 32), study.items(family, "train", 600, seed=1)
    unlabelled = [replace(example, completion="") for example in many]
    asked = study.items(family, "test", TESTED)
    sft = study.fit("rl-sft", few, family, 40, judged=True, lr=RATE)
    more = study.fit("rl-more", few, family, 60, sft, judged=True, lr=RATE)
    found = study.fit(
        f"rl-{name}", unlabelled, family, 60, sft, judged=True, lr=RATE, method="rl", options=dict(options)
    )  # fmt: skip
    values = {
        "the base": right(study.bare(), family, asked),
        "fine-tuning on 32 answers": right(study.lanes(sft), family, asked),
        "fine-tuning as long again": right(study.lanes(more), family, asked),
        f"then rewards, {name}": right(study.lanes(found), family, asked),
    }
    lines = [Line("rl", f"right answers, {measure}", mean_of(value)) for measure, value in values.items()]
    *_, control, rewarded = values.values()
    return [*lines, Line("rl", f"rewards, {name}, less fine-tuning as long", difference_of(rewarded, control))]


def distil(study: Study) -> list[Line]:
    """Few items: their answers alone, or what an expert of many items thinks of them too.

    nano is the largest base of its vocabulary, so that the larger model is nano with an adapter of ten times the rank.
    """
    from llm_experts.training.methods.distil import DistilOptions

    family = family_of("classification")
    many, few = study.items(family, "train", 400), study.items(family, "train", 48, seed=1)
    asked = study.items(family, "test", TESTED)
    (teacher, *_) = study.fit("ewc-first", many, family, FIRST, lr=RATE)
    options = DistilOptions(teacher=study.base.id, adapter=str(teacher.folder), weight=0.9)
    given = {"teacher": options.teacher, "adapter": options.adapter, "weight": options.weight}
    alone = study.fit("distil-alone", few, family, 60, rank=2, lr=RATE)
    taught = study.fit("distil-taught", few, family, 60, rank=2, lr=RATE, method="distil", options=given)
    values = {
        "teacher": surprise(study.lanes([teacher] * len(SEEDS)), asked),
        "answers alone": surprise(study.lanes(alone), asked),
        "teacher's thoughts": surprise(study.lanes(taught), asked),
    }
    lines = [Line("distil", f"surprise, {name}", mean_of(value)) for name, value in values.items()]
    gain = difference_of(values["teacher's thoughts"], values["answers alone"])
    return [*lines, Line("distil", "taught less alone", gain)]


PARTS: Mapping[str, Callable[[Study], list[Line]]] = {
    "dpo": dpo, "ewc": ewc, "gradient": gradient, "rl": rl, "rloo": rloo, "distil": distil,
}  # fmt: skip
HEADING = """| trainer | measure | mean [95 %] over items and seeds, p of the paired test |
|---|---|---|"""


def main(argv: Sequence[str]) -> None:
    """Do the parts that are missing, and write the table."""
    import torch

    from llm_experts.bases.load import load_base

    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies trainers", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of results and experts")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all numbers of steps (default 1)")
    parser.add_argument("--base", default="nano")
    given = parser.parse_args(list(argv))
    torch.set_num_threads(1)
    path = given.output / "trainers.json"
    done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    study = Study(load_base(given.base), given.output / "experts", given.scale)
    for name in given.parts:
        asked = {"base": given.base, "scale": given.scale}
        if done.get(name, {}).get("asked") != asked:
            began = time.process_time()
            lines = PARTS[name](study)
            rows = [[line.part, line.measure, *line.estimate] for line in lines]
            done[name] = {"asked": asked, "seconds": round(time.process_time() - began, 1), "rows": rows}
            write_json(path, done)
        print(_table({name: done[name]}), flush=True)
    write_text(given.output / "trainers.md", _table(done) + "\n")
    print(f"Results are in {given.output / 'trainers.md'} and trainers.json.")


def _table(done: Mapping[str, Any]) -> str:
    lines = [
        Line(part, measure, Estimate(*numbers)).row()
        for name in PARTS
        if name in done
        for part, measure, *numbers in done[name]["rows"]
    ]
    seconds = ", ".join(f"{name} {done[name]['seconds']:.0f} s" for name in PARTS if name in done)
    return "\n".join([HEADING, *lines, "", f"CPU time: {seconds}."])


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
