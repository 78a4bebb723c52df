"""Experts of others: versions chosen from an index of 10,000 names, and the weights of an installed package read.

``python -m benchmarks.speed registry``: seconds of a resolution beside those of reading the same lines alone, and
milliseconds of opening an installed package of 20 MB, with and without hashing it again, in a process that has just
started; once more after its bytes were dropped from the page cache. Time of the processor, and on the clock.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from artefacts.format.archive import pack
from artefacts.registry.choosing.candidates import Candidates, Rules
from artefacts.registry.choosing.resolve import Requirement, resolve
from artefacts.registry.index import FORMAT, MARK, Index
from artefacts.registry.registry import Allowed, Registry
from artefacts.registry.release import Needs, Release
from artefacts.trust.store import TrustStore
from benchmarks.speed.timing import machine_load

NAMES, VERSIONS, LEVELS, WIDTH = 10_000, 5, 8, 4
MEGABYTES = 20
LOAD = """
import sys, time
from pathlib import Path
import numpy
from safetensors.numpy import load_file
from artefacts.registry.registry import Registry
from artefacts.trust.store import TrustStore
begun, clock = time.process_time(), time.perf_counter()
folder = Registry(Path(sys.argv[1]), TrustStore(Path(sys.argv[1]))).folder("large", check=sys.argv[2] == "check")
tensors = load_file(folder / "weights.safetensors")
print((time.process_time() - begun) * 1000, (time.perf_counter() - clock) * 1000)
"""


def main() -> None:
    """Print seconds of a resolution and milliseconds of a load."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = _index(folder / "index")
        wanted = [Requirement(f"level0-{number}", "^1") for number in range(20)]
        begun, clock = time.process_time(), time.perf_counter()
        chosen = resolve(wanted, Candidates([index], Rules()))
        whole, wall = time.process_time() - begun, time.perf_counter() - clock
        begun = time.process_time()
        for candidate in chosen:
            index.releases(candidate.name)
        lines = time.process_time() - begun
        print(
            f"{len(chosen)} packages chosen from an index of {NAMES:,} names, {VERSIONS} versions each: {whole:.2f} s "
            f"of CPU ({wall:.2f} s), {whole / lines:.1f} times reading their lines"
        )
        _install(folder)
        for word in ("plain", "check"):
            for dropped in (False, True):
                cpu, wall = (statistics.median(times) for times in zip(*_loads(folder, word, dropped), strict=True))
                told = "hashed again" if word == "check" else "as installed"
                place = "disk" if dropped else "the page cache"
                print(
                    f"an installed package of {MEGABYTES} MB from {place}, {told}: {cpu:.0f} ms of CPU "
                    f"({wall:.0f} ms) to its tensors"
                )
    print(machine_load())


def _index(folder: Path) -> Index:
    """Names in levels; each version requires four names of the next level in ranges that exclude the newest one."""
    (folder / "packages").mkdir(parents=True)
    (folder / MARK).write_text(json.dumps({"format": FORMAT}))
    width = NAMES // LEVELS
    for level in range(LEVELS):
        for number in range(width):
            name = f"level{level}-{number}"
            path = folder / "packages" / name[:2] / f"{name}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(_release(name, level, number, minor).line() for minor in range(VERSIONS)))
    return Index(folder, "many")


def _release(name: str, level: int, number: int, minor: int) -> Release:
    width = NAMES // LEVELS
    below = [f"level{level + 1}-{(number + step) % width}" for step in range(WIDTH)] if level + 1 < LEVELS else []
    needs = Needs({other: f">=1.0,<1.{VERSIONS - 1 - step % 2}" for step, other in enumerate(below)})
    return Release(name, f"1.{minor}.0", "0" * 64, "0" * 64, 1, f"files/{name}.expert", "SHA256:key", needs)


def _install(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    source = folder / "large"
    source.mkdir()
    weights = np.random.default_rng(0).standard_normal((MEGABYTES, 1 << 18), dtype=np.float32)
    save_file({f"layer{i}": row for i, row in enumerate(weights)}, source / "weights.safetensors")
    (source / "LICENSE").write_text("Apache-2.0\n")
    facts = {"format": "expert/1", "name": "large", "version": "1.0.0", "description": "Large.", "author": "a"}
    (source / "manifest.json").write_text(
        json.dumps({**facts, "licence": "Apache-2.0", "kind": "network", "files": {}})
    )
    pack(source, folder / "large.expert")
    registry = Registry(folder / "home", TrustStore(folder / "home"))
    registry.install([str(folder / "large.expert")], Allowed(untrusted=True))


def _loads(folder: Path, word: str, dropped: bool) -> list[tuple[float, float]]:
    """Milliseconds of five processes, of the processor and on the clock."""
    times = []
    for _ in range(5):
        if dropped:
            _drop(folder / "home")
        done = subprocess.run(
            [sys.executable, "-c", LOAD, str(folder / "home"), word], capture_output=True, text=True, check=True
        )
        cpu, wall = map(float, done.stdout.split())
        times.append((cpu, wall))
    return times


def _drop(folder: Path) -> None:
    """Ask the system to forget the files' bytes; file systems in memory keep them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
