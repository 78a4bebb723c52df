"""Mutation testing: ``tox -e mutation -- [FILE OR FOLDER …] [--tests FOLDER] [--sample N]``."""

from __future__ import annotations

import argparse
import importlib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

from tests.mutation.measure import Room, Verdict

HERE = Path(__file__).parent
TARGETS = (
    "metrics", "gates", "moe/mixture.py", "moe/projection.py", "moe/explain.py", "moe/finetune.py", "moe/routing",
    "tasks/split.py", "tasks/encode.py", "reports/stats", "reports/levels",
)  # fmt: skip
IMPORTED = ("torch", "numpy", "pandas", "scipy.stats", "scipy.optimize", "sklearn.metrics", "sklearn.linear_model",
    "sklearn.model_selection", "pyarrow.parquet", "pydantic", "safetensors.torch", "fairlearn.metrics",
)  # fmt: skip


def main() -> None:
    """Measure, print every survivor as it is found, and a table of the files at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, help="files or folders; default: all of the measurement")
    parser.add_argument(
        "--tests",
        action="append",
        help="file or folder of tests, may be repeated; default: the mirror of each top folder",
    )
    parser.add_argument("--sample", type=int, default=150, help="most mutants of a file, drawn at random (default 150)")
    parser.add_argument("--longest", type=float, default=3.0, help="tests of more CPU seconds are left out (default 3)")
    options = parser.parse_args()
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # what is compiled keeps the code that it was compiled from
    for name in IMPORTED:
        importlib.import_module(name)  # once, before the first fork
    explained = _explained()
    verdicts: list[tuple[Verdict, bool]] = []
    for folder, files in _rooms(options.targets).items():
        for verdict in Room(files, options.tests or [folder], options.sample, options.longest).verdicts():
            why = explained.get((verdict.file, verdict.mutant.name))
            verdicts.append((verdict, why is not None))
            if not verdict.killed:
                print(
                    f"{verdict.file}:{verdict.mutant.lines[0]} {verdict.mutant.name}  [{why or 'survived'}]", flush=True
                )
    _print_table(verdicts)


def _rooms(targets: Iterable[str]) -> dict[str, list[Path]]:
    """Source files by the folder of tests that mirrors their top folder."""
    rooms: dict[str, list[Path]] = {}
    for target in targets:
        path = Path(target)
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        rooms.setdefault(f"tests/{path.parts[0]}", []).extend(files)
    return rooms


def _explained() -> dict[tuple[str, str], str]:
    """Why some mutants are as right as the original, by file and mutant."""
    entries = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))
    return {(file, mutant): why for file, mutants in entries.items() for mutant, why in mutants.items()}


def _print_table(verdicts: list[tuple[Verdict, bool]]) -> None:
    from metrics.proportions import wilson  # after the last fork: a mutant's process imports it itself

    print(f"\n{'file':42} mutants  killed  explained       %   95 % interval")
    for file in [*dict.fromkeys(verdict.file for verdict, _ in verdicts), ""]:
        own = [(verdict.killed, why) for verdict, why in verdicts if file in ("", verdict.file)]
        killed, why = sum(k for k, _ in own), sum(e and not k for k, e in own)
        judged = len(own) - why
        low, high = wilson(killed, judged) if judged else (0.0, 1.0)
        share = killed / judged if judged else 1.0
        print(f"{file or 'all':42} {len(own):7} {killed:7} {why:10} {share:7.1%}   {low:.1%} to {high:.1%}")


if __name__ == "__main__":
    main()
