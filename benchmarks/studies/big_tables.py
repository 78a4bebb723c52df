"""Memory and time of tables that no memory holds, from ten thousand to ten million rows.

    python -m benchmarks.studies big_tables --output results/big_tables
    python -m benchmarks.studies big_tables --output results/big_tables --rows 10000 100000 --picture rows.svg

A made table of 50 columns (30 numbers, 20 words of five values) per size. Every size runs in a process of its own: the
three passes that encode it, one pass of training of 16 lanes, answers and scores of 16 models on the test rows. What
``--output`` holds already is not measured again. Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation.files import write_json, write_text

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
STAGES = ("labels and groups", "statistics", "encoding", "training", "scoring")
LANES = 16
LEAST = 0.01
"""Seconds that a picture shows at least: a stage of few rows takes none that a clock can tell."""
COLUMNS = ("rows", *(f"{stage}, s" for stage in STAGES), "peak GiB", "on disk, GB")


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Seconds by stage and peak memory of one size; of this process, which should be a fresh one."""
    import time

    import torch

    from benchmarks.streaming.measured import one_pass
    from benchmarks.streaming.memory import peak_gib
    from metrics.tallies.scores import tally_scores
    from metrics.tallies.tally import Tally
    from tasks.stored.writing import Storing, store_table

    torch.set_num_threads(1)
    os.environ["FAIRMOE_HOME"] = str(folder / "home")
    ends: dict[str, float] = {"": time.process_time()}

    def tell(what: str, done: int, total: int) -> None:
        if done == total:
            ends[what] = time.process_time()

    table = store_table(Storing(str(folder / "big.toml")), tell)
    ends["stored"] = time.process_time()
    result: Any = one_pass(table, LANES)
    ends["trained"] = time.process_time()
    tally = Tally.empty(LANES, len(table.group_names))
    for view in table.blocks("test", 1 << 16):
        parts = torch.split(view.features, 8192)
        margins = torch.cat([_margins(result, features) for features in parts], 1)
        tally.add(torch.sigmoid(margins), table.labels_of(view.rows.numpy()), view.groups)
    tally_scores(tally, [str(lane) for lane in range(LANES)], table.group_names, seed=0)
    ends["scored"] = time.process_time()
    marks = list(ends.values())
    # the encoding ends with hashes of the files, after the last chunk
    seconds = [marks[1] - marks[0], marks[2] - marks[1], marks[4] - marks[2], marks[5] - marks[4], marks[6] - marks[5]]
    disk = sum(path.stat().st_size for path in table.folder.iterdir()) / 1e9
    return {"rows": rows, **dict(zip(STAGES, seconds, strict=True)), "peak": peak_gib(), "disk": disk}


def _margins(result: Any, features: Any) -> Any:
    from experts.networks.lanes import margins

    return margins(result.parameters, features)


def line(found: Mapping[str, Any]) -> str:
    """A row of the table."""
    seconds = (f"{found[stage]:.1f}" for stage in STAGES)
    return f"| {found['rows']:,} | {' | '.join(seconds)} | {found['peak']:.2f} | {found['disk']:.3f} |"


def picture(all_found: Sequence[Mapping[str, Any]]) -> str:
    """Seconds by stage and peak memory over rows."""
    from benchmarks.studies.parts.loglog import Panel, panels

    def curve(name: str) -> list[tuple[float, float]]:
        return [(found["rows"], max(found[name], LEAST)) for found in all_found]

    seconds = Panel({stage: curve(stage) for stage in STAGES}, "rows", "CPU seconds")
    memory = Panel({"peak memory": curve("peak")}, "rows", "peak resident memory, GiB")
    return panels([seconds, memory], "CPU seconds by stage and peak memory against rows, on two logarithmic axes")


def main(argv: Sequence[str]) -> None:
    """Measure what is not there yet, print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.studies big_tables", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/big_tables"))
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--picture", type=Path, help="an .svg to write")
    parser.add_argument("--numbers", type=Path, help="a .json of all that was measured to write")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.one:
        print(json.dumps(measure(asked.one, asked.folder)))
        return
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    found = []
    for rows in asked.rows:
        found.append(_kept(rows, asked.output / f"{rows}.json"))
        print(line(found[-1]), flush=True)
    if asked.picture:
        write_text(asked.picture, picture(found))
    if asked.numbers:
        write_json(asked.numbers, found)
    print(f"kept in {asked.output}; the same command measures only what is missing")


def _kept(rows: int, path: Path) -> dict[str, Any]:
    """What was measured before, or is now, in a process of its own."""
    if not path.is_file():
        from benchmarks.streaming.measured import made_table

        with tempfile.TemporaryDirectory() as name:
            made_table(Path(name), rows, numbers=30, words=20)
            own = [sys.executable, "-m", "benchmarks.studies", "big_tables", "--one", str(rows), "--folder", name]
            done = subprocess.run(own, check=True, stdout=subprocess.PIPE, text=True)
        write_json(path, json.loads(done.stdout.splitlines()[-1]))
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known
