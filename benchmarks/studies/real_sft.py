"""A published base before and after fine-tuning on families of tasks, with intervals.

    python -m benchmarks.studies real_sft --base FOLDER --folder results/real_sft
    python -m benchmarks.studies real_sft --base FOLDER --families strings dates --count 400 --start -8

LoRA of rank 16 in the last layers; what lies below is computed once per text. The same test items are asked before and
after; the interval of the gain is Newcombe's for paired proportions. A run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.studies.parts.measures import right
from benchmarks.studies.parts.statistics import gain, share

if TYPE_CHECKING:
    from llm_experts.bases.base import Base

HEADING = "| family | before | after | gain | steps, best | seconds |\n|---|---|---|---|---|---|"
VALIDATION = 30


def study(base: Base, name: str, given: argparse.Namespace, folder: Path) -> str:
    """A family's row of the Markdown table."""
    from llm_experts.families.registry import family_named
    from llm_experts.training.loop.assignment import Assignment
    from llm_experts.training.loop.fit import fit
    from llm_experts.training.loop.presets import settings_for
    from llm_experts.training.sequences.lanes import SequenceLanes

    family, begin = family_named(name), time.process_time()
    settings = settings_for(base, "lora", given.count, rank=16, start=given.start, epochs=given.epochs, patience=5)
    train = family.make("train", given.count, 0, given.difficulty)
    held = family.make("validation", VALIDATION, 0, given.difficulty)
    (fitted,) = fit(
        base, [Assignment(name, train, held, settings, family.reward_of, family.longest_answer)], folder=folder
    )
    asked = family.make("test", given.items, 0, given.difficulty)
    bare = SequenceLanes.fresh(base, "lora", [16], [0], given.start)
    (before,) = right(bare, family, asked)
    (after,) = right(SequenceLanes.of(base, [fitted.adapter], given.start), family, asked)
    cells = (
        name, share(before.sum(), len(asked)), share(after.sum(), len(asked)), gain(before, after),
        f"{fitted.steps}, {fitted.best_step}", f"{time.process_time() - begin:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str]) -> None:
    """Print the table."""
    import torch

    from llm_experts.bases.load import load_base

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies real_sft", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--base", default=os.environ.get("FAIRMOE_REAL_BASE"), help="folder of a published model")
    parser.add_argument("--families", nargs="+", default=["classification", "lookup"], metavar="NAME")
    parser.add_argument("--difficulty", type=float, default=0.3, help="of all items (default 0.3)")
    parser.add_argument("--count", type=int, default=200, help="training items (default 200)")
    parser.add_argument("--epochs", type=float, default=3, help="default 3")
    parser.add_argument("--items", type=int, default=100, help="test items (default 100)")
    parser.add_argument("--start", type=int, default=-6, help="first layer that is adapted (default -6)")
    parser.add_argument("--folder", type=Path, default=None, help="keep the experts here, and go on from there")
    given = parser.parse_args(list(argv))
    if given.base is None:
        parser.error("give --base FOLDER, or set FAIRMOE_REAL_BASE")
    torch.set_num_threads(1)
    base = load_base(given.base, dtype="float32")
    print(
        f"{Path(given.base).name}, {given.count} items, {given.epochs:g} epochs, layers from {given.start}\n\n{HEADING}"
    )
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in given.families:
            print(study(base, name, given, folder), flush=True)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
