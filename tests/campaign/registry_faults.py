"""Fault campaign of the registry of experts: kill -9 at random instants of install and update, and a full disk.

    python tests/campaign/registry_faults.py --kills 50 --seed 0

After every kill what is installed must be whole, as before the command or as after it, and the same command must then
end well and leave nothing behind. The full disk needs root, for a small file system of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from artefacts.registry.error import RegistryError  # noqa: E402
from artefacts.registry.publish import publish  # noqa: E402
from artefacts.registry.registry import Registry  # noqa: E402
from artefacts.trust.store import TrustStore  # noqa: E402
from tests.artefacts.registry.made import Maker, check_clean, check_whole, registry_for  # noqa: E402
from tests.campaign.faults import mounted  # noqa: E402

CHILD = """
import sys
from pathlib import Path
from artefacts.registry.registry import Registry
from artefacts.registry import sources, lockfile
from artefacts.trust.store import TrustStore
registry = Registry(Path(sys.argv[1]), TrustStore(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
registry.install(sys.argv[3:]) if sys.argv[2] == "install" else registry.update(sys.argv[3:])
"""
"""Imports first, so that kills hit the work."""
VERSIONS = ("1.0.0", "1.1.0")


class Kills:
    """A registry in which a net of two parts is installed and updated, again and again.

    Parameters
    ----------
    folder : Path
        For everything.
    kilobytes : int
        Size of each package's model.
    """

    def __init__(self, folder: Path, kilobytes: int) -> None:
        maker = Maker(folder / "makers")
        self._index = folder / "index"
        self._packages = {}
        for version in VERSIONS:
            for name in ("part", "net"):
                needs = {"part": f"=={version}"} if name == "net" else {}
                content = f"{name}{version}" * (kilobytes * 100)
                self._packages[name, version] = maker.make(name, version, requires=needs, content=content)
        for name in ("part", "net"):
            publish(self._packages[name, VERSIONS[0]], self._index)
        self._home = folder / "home"
        self.registry: Registry = registry_for(self._home, maker, index=self._index)

    def publish_newer(self) -> None:
        """What an update then finds."""
        for name in ("part", "net"):
            publish(self._packages[name, VERSIONS[1]], self._index)

    def run(self, *arguments: str, after: float | None = None) -> bool:
        """Run a command in a process of its own, killed after some seconds; whether it was hit."""
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(self._home), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        )  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        with child.stdin, child.stdout:
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("go\n")
            child.stdin.flush()
            try:
                code = child.wait(after)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                return True
        assert code == 0, f"{arguments} ended with {code}"
        return False

    def seconds(self, *arguments: str) -> float:
        """How long a command takes that nobody disturbs."""
        begun = time.monotonic()
        self.run(*arguments)
        return time.monotonic() - begun

    def campaign(self, command: str, kills: int, chance: random.Random) -> Counter[str]:
        """Kill a command that often; which state each kill left.

        Parameters
        ----------
        command : str
            ``install`` or ``update``.
        kills : int
            Kills that hit.
        chance : random.Random
            For the instants.
        """
        before = self.registry.state
        limit = self.seconds(command, "net") - _start()
        after = self.registry.state
        self.back(command)
        left: Counter[str] = Counter()
        while left.total() < kills:
            if not self.run(command, "net", after=chance.uniform(0, max(limit, 0.02))):
                self.back(command)
                continue
            check_whole(self.registry)
            state = self.registry.state
            assert state.installed in (before.installed, after.installed), "a kill left something between"
            left["before" if state.installed == before.installed else "after"] += 1
            if chance.random() < 0.5:  # several in a row, or the same command to its end
                continue
            self.run(command, "net")
            assert self.registry.state.installed == after.installed
            check_clean(self.registry)
            self.back(command)
        self.run(command, "net")
        check_clean(self.registry)
        return left

    def back(self, command: str) -> None:
        """To the state before the command."""
        if not self.registry.state.installed:
            return
        self.registry.uninstall(["net"])
        if command == "update":
            self.registry.install(["net@1.0.0"])
            self._widen()

    def _widen(self) -> None:
        """Ask for any version, so that an update may move."""
        from dataclasses import replace

        from artefacts.registry.record import write_state

        state = self.registry.state
        net = replace(state.installed["net"], asked="*")
        write_state(self._home / "installed.json", replace(state, installed={**state.installed, "net": net}))


def _start() -> float:
    """Seconds that starting a child takes."""
    begun = time.monotonic()
    code = CHILD.split("print", maxsplit=1)[0]
    subprocess.run([sys.executable, "-c", code, "."], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return time.monotonic() - begun


def full_disk(folder: Path) -> str:
    """A package does not fit: named, nothing changed; with room the same command ends well."""
    maker = Maker(folder / "makers")
    small, large = maker.make("small"), maker.make("large", content="x" * (6 << 20))
    with mounted(folder / "disk", 8):
        registry = registry_for(folder / "disk" / "home", maker)
        registry.install([str(small)])
        filler = folder / "disk" / "filler"
        filler.write_bytes(bytes(4 << 20))
        try:
            registry.install([str(large)])
        except RegistryError as error:
            assert error.reason == "cannot-write" and "No space left" in str(error), error
        else:
            raise AssertionError("the disk is too large for this check")
        assert set(registry.state.installed) == {"small"}
        check_clean(registry)
        filler.unlink()
        registry.install([str(large)])
        check_clean(registry)
        assert Registry(registry.root, TrustStore(registry.root)).record("large").version == "1.0.0"
    return "named, as before; installed after room was made"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the campaign and print a line per fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=50, help="of each command")
    parser.add_argument("--kilobytes", type=int, default=4000, help="of each package")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = Kills(folder / "kills", options.kilobytes)
        for command in ("install", "update"):
            left = work.campaign(command, options.kills, chance)
            print(f"{command}: {left.total()} kills, each left it whole: {dict(left)}", flush=True)
            work.publish_newer()
            work.back("update")
        if os.geteuid() == 0:
            print(f"full disk: {full_disk(folder / 'full')}", flush=True)


if __name__ == "__main__":
    main()
