"""Fault campaign: kill a small run at random instants, resume it, and compare its results with an undisturbed run.

Run it with ``tox -e faults``; it takes minutes and is no part of the tests. Further faults: two runs at once, a
tracking server that dies and comes back, an output folder that cannot be written, a clock that is set back; for root
also a disk that is full and one that becomes read-only, on small file systems that are mounted for it.

    python tests/campaign/faults.py --kills 50 --seed 0

With ``--warm`` runs that are killed and resumed are forks of a process that has imported everything; the undisturbed
run that they are compared with is a command of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.campaign.server import Server  # noqa: E402
from tests.campaign.warm import Fork, Forks  # noqa: E402

TABLES = """
name = "tables"
tasks = ["scm@400"]
splits = 1
trials = 4
batch = 2
folds = 2
methods = ["mixture", "lightgbm", "constant"]
budget = { steps = 120, eval_every = 40, warm_up = 40, rungs = [] }
"""

TEXTS = """
name = "texts"
tasks = ["scm@120"]
splits = 1
trials = 2
batch = 1
folds = 2
methods = ["constant"]
budget = { steps = 20, eval_every = 20, warm_up = 0, rungs = [] }

[llm]
tasks = ["scm@120"]
base = "nano"
methods = ["llm_utility", "llm_base"]
trials = 2
batch = 1
budget = { steps = 6, eval_every = 3, warm_up = 2 }
"""

Run = subprocess.Popen[str] | Fork

CLOCK_BACK = "import time; real = time.time; time.time = lambda: real() - 86400; "
"""A day earlier for everything that asks Python for the time."""


class Campaign:
    """Runs of one suite in a folder of its own; ``forks`` start all but the first, if there are any."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.folder = folder
        self.forks: Forks | None = None
        self.seconds = 0.0
        self.file = folder / "suite.toml"
        folder.mkdir(parents=True)
        self.file.write_text(suite, encoding="utf-8")

    def undisturbed(self, forks: Forks | None) -> None:
        """The run that all others are compared with, and its time: of a fork where the others are forks."""
        for output in ("whole", "again") if forks else ("whole",):
            begun = time.monotonic()
            code, text = self.finish(output)
            assert code == 0, text
            assert self.digest(output) == self.digest("whole")
            self.seconds, self.forks = time.monotonic() - begun, forks

    def start_and_kill(self, output: str, share: float) -> None:
        """A bench that is killed after a share of the time of an undisturbed one."""
        process = self.start(output)
        time.sleep(share * self.seconds)
        process.kill()
        process.communicate()

    def start(self, output: str, before: str = "", **settings: str) -> Run:
        """A bench with a relative output folder, as most people run it; ``settings`` are of its environment."""
        return self._run(["bench", str(self.file), "--output", output, "--jobs", "1"], before, settings)

    def finish(self, output: str, before: str = "", **settings: str) -> tuple[int, str]:
        """Exit code and text of a bench that nobody disturbs."""
        return _ended(self.start(output, before, **settings))

    def command(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Exit code and text of another command."""
        return _ended(self._run(list(arguments), "", settings))

    def _run(self, arguments: list[str], before: str, settings: dict[str, str]) -> Run:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAIRMOE_HOME": str(self.folder / "home"), **settings}
        if self.forks is not None:
            return self.forks.start(arguments, before, self.folder, environment)
        code = f"{before}import sys; from benchmarks.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def digest(self, output: str) -> str:
        """What its results.csv is, by hash."""
        return hashlib.sha256((self.folder / output / "results.csv").read_bytes()).hexdigest()


def _ended(process: Run) -> tuple[int, str]:
    text = process.communicate(timeout=1200)[0]
    assert process.returncode is not None
    return process.returncode, text


def dying_server(campaign: Campaign) -> str:
    """A tracking server dies in the middle of a run and comes back: the run ends, and what it missed is sent later."""
    server = Server(campaign.folder / "server")
    server.start()
    try:
        for share in (0.7, 0.4, 0.2):  # what is left of a run that was faster than foreseen has nothing to miss
            shutil.rmtree(campaign.folder / "server_dies", ignore_errors=True)
            process = campaign.start("server_dies", MLFLOW_TRACKING_URI=server.uri)
            time.sleep(share * campaign.seconds)
            if process.poll() is None:
                break
            process.communicate()
        else:
            raise AssertionError("the run ended before the server could die")
        server.kill()
        code, text = _ended(process)
        assert code == 0 and "Traceback" not in text, text
        assert campaign.digest("server_dies") == campaign.digest("whole")
        server.start()
        code, text = campaign.command("track", "sync", "server_dies", MLFLOW_TRACKING_URI=server.uri)
        assert code == 0 and "cells are in" in text, text
        again, more = campaign.command("track", "sync", "server_dies", MLFLOW_TRACKING_URI=server.uri)
        assert again == 0, more
    finally:
        server.kill()
    return "same results, and every cell is in the store after it came back"


@contextlib.contextmanager
def mounted(place: Path, megabytes: int) -> Iterator[None]:
    """A small file system in memory; needs root."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def read_only(campaign: Campaign) -> str:
    """The file system of the output becomes read-only after a kill: one paragraph; later the run goes on."""
    place = campaign.folder / "fixed"
    with mounted(place, 512):
        campaign.start_and_kill(str(place / "out"), 0.4)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        code, text = campaign.finish(str(place / "out"))
        assert code != 0 and "Traceback" not in text, text
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        code, text = campaign.finish(str(place / "out"))
        assert code == 0, text
        assert campaign.digest(str(place / "out")) == campaign.digest("whole")
    return "one paragraph, and the same results after it could be written again"


def small_disk(campaign: Campaign) -> str:
    """:func:`full_disk` on a file system that is mounted for it, all but 1 MB filled."""
    place = campaign.folder / "small"
    with mounted(place, 256):
        (place / "filler").write_bytes(bytes(shutil.disk_usage(place).free - (1 << 20)))
        return full_disk(campaign, place)


def kills(campaign: Campaign, count: int, chance: random.Random) -> str:
    """Kill runs at random instants, several in a row in one folder, until ``count`` kills hit a live run."""
    expected, runs = campaign.digest("whole"), 0
    there: Counter[str] = Counter()
    while there.total() < count:
        runs += 1
        output = f"killed{runs}"
        finished: dict[Path, int] = {}
        for attempt in range(5):
            begun, process = time.monotonic(), campaign.start(output)
            try:
                process.wait(timeout=chance.uniform(0.02 if campaign.forks else 0.2, 1.0) * campaign.seconds)
                if attempt == 0:  # a whole run, faster than the first one was
                    campaign.seconds = min(campaign.seconds, time.monotonic() - begun)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                there[_written(campaign.folder / output)] += 1
                finished = _cells(campaign.folder / output) | finished  # as it was when it was seen first
        code, text = campaign.finish(output)
        assert code == 0, text
        assert finished.items() <= _cells(campaign.folder / output).items(), "a finished cell was computed again"
        assert campaign.digest(output) == expected, f"{output} has other results after {there.total()} kills"
        shutil.rmtree(campaign.folder / output)
        print(f"  {there.total()} kills of {runs} runs", flush=True)
    where = "; ".join(f"{words}: {n}" for words, n in sorted(there.items()))
    return f"{there.total()} kills of {runs} runs, same results (what was written when they came: {where})"


def _written(output: Path) -> str:
    """How far a run has come that was killed."""
    if (output / "results.csv").exists():
        return "tables"
    steps = {"text trials": "jobs/*/llm/*", "trials": "jobs/*/tune/*", "a job": "jobs/*", "a plan": "plan.json"}
    step = next((words for words, files in steps.items() if any(output.glob(files))), "nothing")
    cells = len(_cells(output))
    return f"{step} and {cells} cells" if cells else step


def _cells(output: Path) -> dict[Path, int]:
    """When each finished cell was written, in nanoseconds."""
    return {file: file.stat().st_mtime_ns for file in output.glob("jobs/*/cells/[!.]*/files.json")}


def two_at_once(campaign: Campaign) -> str:
    """The second is refused or finds all finished; the first is not disturbed."""
    started = [campaign.start("both"), campaign.start("both")]
    texts = [process.communicate(timeout=1200)[0] for process in started]
    codes = sorted(process.returncode or 0 for process in started)
    assert codes in ([0, 2], [0, 0]), texts
    assert campaign.digest("both") == campaign.digest("whole")
    return "one refused" if codes == [0, 2] else "one after the other"


def not_writable(campaign: Campaign) -> str:
    """An output folder under a file: one paragraph, no traceback (a mode would not stop root)."""
    (campaign.folder / "file").touch()
    code, text = campaign.finish("file/out")
    assert code == 2 and "cannot be written" in text and "Traceback" not in text, text
    return "one paragraph"


def clock_back(campaign: Campaign) -> str:
    """A day earlier after a kill."""
    campaign.start_and_kill("clock", 0.4)
    code, text = campaign.finish("clock", CLOCK_BACK)
    assert code == 0, text
    assert campaign.digest("clock") == campaign.digest("whole")
    return "same results"


def full_disk(campaign: Campaign, small: Path) -> str:
    """A run on a small file system ends without a finished cell that is not whole, and goes on when there is room."""
    output = str(small / "out")
    code, text = campaign.finish(output)
    assert code != 0, "the file system is too large for this check"
    for filler in small.glob("filler*"):
        filler.unlink()
    code, text = campaign.finish(output)
    assert code == 0, text
    assert campaign.digest(output) == campaign.digest("whole")
    return "same results after room was made"


FAULTS = (two_at_once, not_writable, clock_back, dying_server)
MOUNTED = (read_only, small_disk)
"""What needs root."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the campaign and print one line per fault."""
    names = [fault.__name__ for fault in (*FAULTS, *MOUNTED)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=25, help="of each suite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suites", nargs="*", default=["tables", "texts"], choices=["tables", "texts"])
    parser.add_argument("--faults", nargs="*", default=names, choices=names, help="further faults; default: all")
    parser.add_argument("--small", type=Path, help="a small mounted file system, nearly filled by files named filler*")
    parser.add_argument("--warm", action="store_true", help="fork runs from a process that has imported everything")
    options = parser.parse_args(arguments)
    forks = Forks(ROOT) if options.warm else None
    chance = random.Random(options.seed)
    faults = [*FAULTS, *(MOUNTED if os.geteuid() == 0 else ())]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.suites:
            campaign = Campaign(Path(folder) / name, {"tables": TABLES, "texts": TEXTS}[name])
            campaign.undisturbed(forks)
            print(f"{name}: undisturbed {campaign.seconds:.0f} s", flush=True)
            print(f"{name}: {kills(campaign, options.kills, chance)}", flush=True)
            for fault in faults:
                if fault.__name__ in options.faults:
                    print(f"{name}: {fault.__name__}: {fault(campaign)}", flush=True)
            if options.small and os.geteuid() != 0:
                print(f"{name}: full_disk: {full_disk(campaign, options.small)}", flush=True)


if __name__ == "__main__":
    main()
