"""What a real base is worth on rows: zero-shot, few-shot and adapters, beside nano and LightGBM on the same rows.

``python -m benchmarks.studies real_base --base FOLDER --output results/real_base`` computes one JSON file per task,
split and method, the telling ones first, and goes on where it was stopped; ``--table`` prints what there is. ``--list``
says what each cell costs. Thresholds, checkpoints and learning rates are chosen on validation rows; test rows are read
once, by what was chosen.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.studies.parts.paired import Said, best_threshold, draws_of, interval
from foundation.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

    from llm_experts.bases.base import Base
    from llm_experts.prompts.asking import Asking
    from llm_experts.reading.reader import Reader
    from tasks.task import TaskView

log = logging.getLogger(__name__)

TASKS = ("compas:race@1500", "adult:sex@1500", "german")
SPLITS = (0, 1, 2)
LANES = (0.25, 0.5, 0.75)
"""Where the learning rates that are tried lie between the bounds of the kind, on a logarithmic scale."""
RATE = 1.2e11
"""Operations a second of one core, lower layers in float32: what ``--list`` reckons with."""
PASSES = 3.0
"""A step costs three times a forward pass."""


@dataclass(frozen=True)
class Way:
    """One row of the table.

    Attributes
    ----------
    about : str
    base : str
        "" for a model of tables, "nano", or "real".
    template : str
    chat : bool
    shots : int
    kind : str
        Of the adapter; "" asks the base as it is.
    top : int
        Layers that adapters change, counted from the last; 0: all.
    scope : str
    steps : int
        Optimiser steps.
    distil : float
        Weight of the bagged LightGBM as a teacher.
    rates : tuple of float
        Learning rates that are tried, by where they lie between the bounds of the kind.
    """

    about: str
    base: str = "real"
    template: str = "record"
    chat: bool = False
    shots: int = 0
    kind: str = ""
    top: int = 4
    scope: str = "suffix"
    steps: int = 200
    distil: float = 0.0
    rates: tuple[float, ...] = LANES


WAYS: dict[str, Way] = {
    "lightgbm": Way("LightGBM, bagged", base=""),
    "zero_record": Way("zero-shot, record"),
    "zero_sentence": Way("zero-shot, sentence", template="sentence"),
    "zero_chat": Way("zero-shot, chat", template="sentence", chat=True),
    "few4_record": Way("4 examples, record", shots=4),
    "few8_record": Way("8 examples, record", shots=8),
    "few4_chat": Way("4 examples, chat", chat=True, shots=4),
    "nano_zero": Way("nano, zero-shot", base="nano", template="sentence"),
    "nano_lora": Way("nano, LoRA", base="nano", template="sentence", kind="lora", top=1, scope="full"),
    "nano_distil": Way("nano, LoRA, taught", base="nano", template="sentence", kind="lora", top=1, scope="full",
                       distil=0.5),
    "lora_top4": Way("LoRA, top 4 layers", kind="lora"),
    "lora_top4_distil": Way("LoRA, top 4, taught", kind="lora", distil=0.5),
    "ia3_top4": Way("IA³, top 4 layers", kind="ia3"),
    "svf_top4": Way("SVF, top 4 layers", kind="svf"),
    "dora_top4": Way("DoRA, top 4 layers", kind="dora"),
    "lora_top4_chat": Way("LoRA, top 4, chat", kind="lora", chat=True),
    "lora_top12": Way("LoRA, top 12 layers", kind="lora", top=12),
    "lora_all": Way("LoRA, all layers", kind="lora", top=0),
    "lora_all_distil": Way("LoRA, all layers, taught", kind="lora", top=0, distil=0.5),
    "lora_full4": Way("LoRA, top 4, whole text", kind="lora", scope="full"),
}  # fmt: skip
"""In the order in which they are computed: cheap and telling first."""


def main(argv: Sequence[str]) -> None:
    """Compute missing cells, or show what there is."""
    options = _options(argv)
    cells = [(task, split, name) for name in options.methods for split in options.splits for task in options.tasks]
    if options.table:
        print(table(options.output, options.tasks, options.splits, options.methods))
        return
    if options.compare:
        print(compared(options.output, options.tasks, options.splits, *options.compare))
        return
    if options.list:
        print(costs(options.base, options.tasks, options.methods, options.steps, options.rates))
        return
    for number, (task, split, name) in enumerate(cells, 1):
        way = way_named(name, options.steps, options.rates)
        place = cell_path(options.output, task, split, name)
        if not _is_there(place, way, options.base):
            began = time.process_time()
            found = cell(task, split, way, options.base)
            found |= {"made": made(way, options.base), "cpu_s": round(time.process_time() - began, 1)}
            write_json(place, {**found, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10})
        facts = json.loads(place.read_text(encoding="utf-8"))
        print(f"[{number}/{len(cells)}] {task} split {split} {name}: {_line(facts)}", flush=True)
    print(f"written: {options.output}\nNext: python -m benchmarks.studies real_base --output {options.output} --table")


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies real_base", description=__doc__)
    parser.add_argument("--base", default="", help="folder or id of the real base")
    parser.add_argument("--output", type=Path, default=Path("results/real_base"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--splits", nargs="+", type=int, default=list(SPLITS))
    parser.add_argument("--methods", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="METHOD",
                        help=f"of {', '.join(WAYS)}")  # fmt: skip
    parser.add_argument("--steps", type=int, default=None, help="optimiser steps in place of the methods' own")
    parser.add_argument("--rates", nargs="+", type=float, default=LANES, metavar="SHARE",
                        help="learning rates to try: 0 is the lower bound of the kind, 1 the upper")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="say what each cell costs, and compute none")
    parser.add_argument("--table", action="store_true", help="print the table of the cells that there are")
    parser.add_argument("--compare", nargs=2, choices=list(WAYS), metavar=("METHOD", "RIVAL"),
                        help="print how much larger the first one's AUC is, by task and over all of them")  # fmt: skip
    options = parser.parse_args(argv)
    if not all(0 <= share <= 1 for share in options.rates):
        parser.error("--rates: each is a share of the way between the bounds of the kind, from 0 to 1.")
    needs = [name for name in options.methods if WAYS[name].base == "real"]
    if needs and not options.base and not options.table and not options.compare:
        parser.error(f"{needs[0]} needs a real base: give --base FOLDER, or --methods of others.")
    return options


def way_named(name: str, steps: int | None, rates: Sequence[float] = LANES) -> Way:
    """A method, with other optimiser steps and learning rates where it takes any."""
    way = WAYS[name]
    return replace(way, steps=steps or way.steps, rates=tuple(rates)) if way.kind else replace(way, steps=0)


def cell_path(output: Path, task: str, split: int, name: str) -> Path:
    """File of a cell."""
    return output / f"{task.replace(':', '_').replace('@', '_')}_split{split}_{name}.json"


def made(way: Way, base: str) -> dict[str, Any]:
    """What decides a cell beside its task and split."""
    from llm_experts.bases.identify import base_key_of

    name = {"": "", "nano": "nano", "real": base}[way.base]
    return {**asdict(way), "base": base_key_of(name) if name else {}}


def _is_there(place: Path, way: Way, base: str) -> bool:
    if not place.is_file():
        return False
    known: Any = json.loads(place.read_text(encoding="utf-8")).get("made")
    wanted = json.loads(json.dumps(made(way, base)))
    return bool({"rates": list(LANES), **(known or {})} == wanted)  # older cells tried these


def cell(task: str, split: int, way: Way, base: str) -> dict[str, Any]:
    """Margins of validation and test rows by one method, and how it was chosen."""
    from tasks.load import load_task

    loaded = load_task(task, split=split)
    view = loaded.view()
    validation, test, chosen = _margins(view, way, base)
    rows = loaded.split
    return {
        "task": task, "split": split, "about": way.about, "chosen": chosen,
        "threshold": best_threshold(validation, loaded.labels[rows.validation]),
        "validation_auc": _auc(validation, loaded.labels[rows.validation]),
        "margins": [round(value, 6) for value in test.tolist()],
        "labels": loaded.labels[rows.test].tolist(), "groups": loaded.groups[rows.test].tolist(),
    }  # fmt: skip


def _margins(view: TaskView, way: Way, base: str) -> tuple[Tensor, Tensor, dict[str, Any]]:
    rows = (view.split.validation, view.split.test)
    if not way.base:
        bag = _bag(view)
        return bag.logits(view, rows[0]).detach(), bag.logits(view, rows[1]).detach(), dict(bag.settings)
    model = _base("nano" if way.base == "nano" else base)
    reader = reader_of(model, view, way)
    packed = reader.pack(view, rows[0])
    chosen: dict[str, Any] = {"tokens": float(packed.lengths.double().mean()),
                              "lead": reader.prompts(view).lead_tokens}  # fmt: skip
    adapter = None
    if way.kind:
        adapter, told = _trained(view, reader, way)
        chosen |= told
    else:
        chosen["mass"] = float(reader.answer_mass([None], view, rows[0][:64]).mean())
    validation, test = (reader.margins([adapter], view, part)[0].double() for part in rows)
    return validation, test, chosen


@lru_cache(maxsize=2)
def _base(name: str) -> Base:
    from llm_experts.bases.load import load_base

    return load_base(name)


def _bag(view: TaskView) -> Any:
    return _fitted_bag(view.name, view.split.index)


@lru_cache(maxsize=3)
def _fitted_bag(task: str, split: int) -> Any:
    """The bagged LightGBM of a task and split: rival and teacher."""
    from benchmarks.methods.baselines._bagged import best_bag
    from tasks.load import load_task

    return best_bag(load_task(task, split=split).view(), 0)


def reader_of(base: Base, view: TaskView, way: Way) -> Reader:
    """What asks a base about rows in this way."""
    from llm_experts.reading.reader import Reader

    start = base.n_layers - (way.top or base.n_layers)
    if not way.kind:  # the answers are those of any start, and the states on disk then serve the adapters too
        start = max(0, start)
    scope: Any = way.scope
    return Reader(base, way.template, start, asking=asking_of(view, way), scope=scope)


def asking_of(view: TaskView, way: Way) -> Asking:
    """Chat or not, with examples of the training rows."""
    from llm_experts.prompts.asking import Asking
    from llm_experts.prompts.shots import draw_shots

    return Asking(way.chat, draw_shots(view, way.shots, view.split.index))


def _trained(view: TaskView, reader: Reader, way: Way) -> tuple[Any, dict[str, Any]]:
    """The adapter of the learning rate with the best validation utility, and what was tried."""
    from llm_experts.training.objectives import Teacher
    from llm_experts.training.text_blocks import TaskTexts
    from llm_experts.training.trainer import Budget, train_lanes

    teacher = None
    if way.distil:
        teacher = Teacher(_bag(view).logits(view, view.split.train).detach(), way.distil, 2.0)
    budget = Budget(steps=way.steps, eval_every=max(1, way.steps // 10), warm_up=max(1, way.steps // 12), rungs=(),
                    final_rows=0)  # fmt: skip
    lanes = lanes_of(reader.base.hidden_size, way)
    result = train_lanes(TaskTexts(view, reader), "utility", lanes, budget, seed=0, kind=way.kind, teacher=teacher)
    scores = [value if state != "failed" else -1.0 for value, state in zip(result.objective, result.state, strict=True)]
    best = max(range(len(lanes)), key=scores.__getitem__)
    adapter = result.adapter(best)
    told = {
        "lr": lanes[best].lr, "rates": [lane.lr for lane in lanes], "scores": scores, "steps": result.step[best],
        "parameters": adapter.parameter_count,
    }  # fmt: skip
    return adapter, told


def lanes_of(width: int, way: Way) -> list[Any]:
    """One lane per learning rate, all else alike."""
    from llm_experts.adapters.registry import kind_named
    from llm_experts.training.search_space import learning_rates
    from llm_experts.training.trainer import LaneConfig

    low, high = learning_rates(way.kind, width)
    rank = kind_named(way.kind).rank_choices[len(kind_named(way.kind).rank_choices) // 2]
    return [LaneConfig(low * (high / low) ** share, 1e-5, rank) for share in way.rates]


def _auc(margins: Tensor, labels: Tensor) -> float:
    from metrics.auc import auc

    return float(auc(torch.sigmoid(margins.double())[None], labels)[0])


def _line(facts: dict[str, Any]) -> str:
    return f"validation AUC {facts['validation_auc']:.3f}, {facts['cpu_s']:.0f} CPU s, peak {facts['peak_mib']} MiB"


def read_cells(output: Path, task: str, splits: Sequence[int], name: str) -> list[dict[str, Any]]:
    """The cells that there are of a task and a method."""
    places = [cell_path(output, task, split, name) for split in splits]
    return [json.loads(place.read_text(encoding="utf-8")) for place in places if place.is_file()]


def table(output: Path, tasks: Sequence[str], splits: Sequence[int], names: Sequence[str]) -> str:
    """Markdown: per task one row per method, means over the splits with intervals, paired with LightGBM."""
    parts = []
    for task in tasks:
        lines = [f"**{task}**", "", "| method | splits | AUC | AUC less LightGBM's | accuracy | dp | CPU min |",
                 "|---|---|---|---|---|---|---|"]  # fmt: skip
        rivals = {cell["split"]: cell for cell in read_cells(output, task, splits, "lightgbm")}
        for name in names:
            cells = read_cells(output, task, splits, name)
            if cells:
                lines.append(_row(cells, rivals))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _row(cells: list[dict[str, Any]], rivals: dict[int, dict[str, Any]]) -> str:
    own = draws_of([_said(cell) for cell in cells])
    paired = [cell for cell in cells if cell["split"] in rivals]
    less = "–"
    if paired and cells[0]["about"] != WAYS["lightgbm"].about:
        mine, rival = (draws_of([_said(cell) for cell in some]) for some in
                       (paired, [rivals[cell["split"]] for cell in paired]))  # fmt: skip
        less = interval(mine["auc"] - rival["auc"]).words(sign=True)
    words = [interval(own[name]).words() for name in ("auc", "accuracy", "dp")]
    minutes = sum(cell["cpu_s"] for cell in cells) / len(cells) / 60
    return f"| {cells[0]['about']} | {len(cells)} | {words[0]} | {less} | {words[1]} | {words[2]} | {minutes:.1f} |"


def compared(output: Path, tasks: Sequence[str], splits: Sequence[int], name: str, rival: str) -> str:
    """How much larger a method's AUC is than a rival's on the same rows: a line per task, and the mean over all cells.

    Test rows are drawn again within every cell, the same for both; cells of which one method lacks are left out.
    """
    lines, both = [f"AUC of {WAYS[name].about} less that of {WAYS[rival].about}:"], []
    for task in tasks:
        rivals = {cell["split"]: cell for cell in read_cells(output, task, splits, rival)}
        pairs = [
            (own, rivals[own["split"]]) for own in read_cells(output, task, splits, name) if own["split"] in rivals
        ]
        both += pairs
        if pairs:
            lines.append(f"{task}, {len(pairs)} splits: {_difference(pairs)}")
    if not both:
        return f"{output} has no cell of both {name} and {rival}; compute them first."
    return "\n".join([*lines, f"all, {len(both)} cells: {_difference(both)}"])


def _difference(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    own, rival = (draws_of([_said(cell) for cell in cells])["auc"] for cells in zip(*pairs, strict=True))
    return interval(own - rival).words(sign=True)


def _said(cell: dict[str, Any]) -> Said:
    margins = torch.tensor(cell["margins"], dtype=torch.float64)
    return Said(margins, cell["threshold"], torch.tensor(cell["labels"]), torch.tensor(cell["groups"]))


def costs(
    base: str, tasks: Sequence[str], names: Sequence[str], steps: int | None, rates: Sequence[float] = LANES
) -> str:
    """CPU minutes of each cell on one core, reckoned from tokens and parameters."""
    from tasks.load import load_task

    lines = [f"{'CPU min':>8}  {'tokens':>7}  task and method"]
    for name in names:
        way = way_named(name, steps, rates)
        for task in tasks if way.base else ():
            view = load_task(task, split=0).view()
            found = cost(_base("nano" if way.base == "nano" else base), view, way)
            lines.append(f"{found[0] / 60:8.1f}  {found[1]:7.0f}  {task} {name}")
    return "\n".join(lines)


def cost(base: Base, view: TaskView, way: Way) -> tuple[float, float]:
    """CPU seconds of a cell, and tokens of a row.

    Rows are read once through all layers, training rows too where something is trained. A step runs the layers that
    adapters change, over the question's tokens where they act on these alone; what does not fit into the cache of
    states (all layers) is read anew.
    """
    reader, split = reader_of(base, view, way), view.split
    some = split.validation[:32]
    packed = reader.pack(view, some)
    tokens = float(packed.lengths.double().mean())
    own = tokens - (reader.prompts(view).lead_tokens if way.shots and not way.kind else 0)
    each = 2.0 * sum(p.numel() for p in base.model.get_decoder().layers.parameters())  # type: ignore[no-untyped-call]
    rows = len(split.validation) + len(split.test) + (len(split.train) if way.kind else 0)
    work = rows * own * each
    if way.kind:
        behind = (packed.columns >= 0).long().cumsum(1).argmax(1)
        asked = float((packed.lengths - behind - 1).double().mean()) if way.scope == "suffix" else tokens
        share = (way.top or base.n_layers) / base.n_layers
        anew = tokens * each if way.top == 0 or (way.scope == "full" and base.n_layers - way.top == 0) else 0.0
        work += way.steps * 48 * (len(way.rates) * PASSES * asked * each * share + anew)
        work += 10 * len(split.validation) * len(LANES) * asked * each * share
    return work / RATE, tokens


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
