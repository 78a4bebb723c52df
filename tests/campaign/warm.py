"""Runs of the command in forks of a process that has imported everything, so that kills hit the work, not the imports.

Importing is most of a small run's time. What is killed is a process of its own all the same, with SIGKILL and with
nothing shared but the code that it has loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

IMPORTS = "tests.campaign.imports"
"""What the server imports before the first fork."""


class Forks:
    """Starts runs from one server process, which has imported everything when this is made."""

    def __init__(self, root: Path) -> None:
        from benchmarks.run.threads import limit_threads

        limit_threads()  # before the server imports torch
        os.environ["PYTHONPATH"] = str(root)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([IMPORTS])
        check = self.context.Process(target=_check_imports)  # a server passes over what it cannot import
        check.start()
        check.join()
        if check.exitcode != 0:
            raise RuntimeError(f"the server of runs could not import {IMPORTS}")

    def start(self, arguments: Sequence[str], before: str, folder: Path, environment: Mapping[str, str]) -> Fork:
        """A run of ``fairmoe`` with arguments in a folder; ``before``: code that it runs first."""
        return Fork(self.context, [*arguments], before, folder, dict(environment))


class Fork:
    """A run that can be waited for and killed, as a :class:`subprocess.Popen` whose output is one text."""

    def __init__(
        self,
        context: multiprocessing.context.ForkServerContext,
        arguments: list[str],
        before: str,
        folder: Path,
        environment: dict[str, str],
    ) -> None:
        self.args = arguments
        handle, name = tempfile.mkstemp(".log")
        os.close(handle)
        self._log = Path(name)
        self._process = context.Process(target=_command, args=(arguments, before, folder, environment, self._log))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As :attr:`returncode`."""
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Exit code; raises TimeoutExpired if it has none after ``timeout`` seconds."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def communicate(self, timeout: float = 1200) -> tuple[str, None]:
        """Wait for its end; its output."""
        self.wait(timeout)
        text = self._log.read_text(encoding="utf-8", errors="replace")
        self._log.unlink()
        return text, None


def _check_imports() -> None:
    sys.exit(IMPORTS not in sys.modules)


def _command(arguments: list[str], before: str, folder: Path, environment: dict[str, str], log: Path) -> None:
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["fairmoe", *arguments]
    exec(before, {})
    from benchmarks.cli import main

    main()
