"""Checking a package beside hashing its bytes, and how long ``fairmoe verify`` takes in a fresh process.

Run with ``python -m benchmarks.speed packages``. A package with one file of float16 weights is checked in full:
headers, sha256, finite weights. The baseline is ``hashlib.sha256`` over the same bytes, which no check can beat; a
ratio of 0.8 means that checking takes 1.25 times as long. Read from the page cache, one thread, sides interleaved,
medians of CPU time; of processes, the wall time too, and the load of the machine that it was measured under.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from artefacts.format.archive import open_package, pack
from artefacts.trust.keys import generate, load
from artefacts.trust.signature import sign
from artefacts.trust.store import TrustStore
from artefacts.trust.verify import verify
from benchmarks.speed.timing import Process, fresh, interleaved, machine_load

BLOCK = 2**20
START = "import sys; from pathlib import Path; from artefacts.trust.store import TrustStore; "
CHECK = (
    "from artefacts.trust.verify import verify; print(verify(Path(sys.argv[1]), TrustStore(Path(sys.argv[2]))).status)"
)


def made(folder: Path, size: int) -> Path:
    """A signed package with ``size`` bytes of weights, by somebody whom ``folder`` trusts."""
    files = folder / "files"
    files.mkdir()
    numbers = np.random.default_rng(0).normal(size=(size // 2048, 1024)).astype(np.float16)
    save_file({"weight": numbers}, files / "weights.safetensors")
    (files / "LICENSE").write_text("Apache-2.0\n", encoding="utf-8")
    facts = {
        "format": "expert/1", "name": "speed", "version": "1.0.0", "description": "", "author": "a", "licence": "none",
        "kind": "network",
    }  # fmt: skip
    (files / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    pack(files, folder / "speed.expert")
    TrustStore(folder).add(generate(folder / "key"), "me")
    sign(folder / "speed.expert", load(folder / "key"))
    return folder / "speed.expert"


def hashed(path: Path) -> None:
    """The baseline."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            found.update(block)


def command(path: Path, home: Path, rounds: int) -> tuple[Process, Process]:
    """``fairmoe verify`` of a package, and its ``--help``, each in a fresh process."""
    places = {"FAIRMOE_HOME": str(home)}
    verifying = fresh(["-m", "benchmarks", "verify", str(path)], rounds=rounds, environment=places)
    return verifying, fresh(["-m", "benchmarks", "verify", "--help"], rounds=rounds, environment=places)


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256, help="weights of the large package (default 256)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds per side (default 5)")
    asked = parser.parse_args()
    for megabytes in (20, asked.megabytes):
        with tempfile.TemporaryDirectory() as name:
            path = made(Path(name), megabytes * 2**20)
            store, size = TrustStore(Path(name)), path.stat().st_size
            if verify(path, store).status != "trusted":
                raise AssertionError(f"{path} is not verified")
            found = interleaved(lambda: verify(path, store), lambda: hashed(path), asked.rounds)  # noqa: B023
            print(
                f"{megabytes:>5} MB  verified at {size / found.median_a / 1e9:.2f} GB/s, hashed at "
                f"{size / found.median_b / 1e9:.2f} GB/s: ratio {found.ratio:.2f}"
            )
            opened = interleaved(lambda: open_package(path).close(), lambda: verify(path, store), asked.rounds)  # noqa: B023
            print(f"          opened without contents in {opened.median_a * 1e3:.1f} ms")
            if megabytes == 20:
                bare = fresh(["-c", "pass"], rounds=asked.rounds)
                whole = fresh(["-c", START + CHECK, str(path), name], rounds=asked.rounds)
                print(f"          a fresh process verifies it in {whole}; Python itself starts in {bare}")
                verifying, helping = command(path, Path(name), asked.rounds)
                print(f"          the command fairmoe verify takes {verifying}; its --help {helping}")
    print(machine_load())


if __name__ == "__main__":
    main()
