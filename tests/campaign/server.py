"""A tracking server that can die."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path


class Server:
    """A tracking server, which can be killed and started again.

    Its store and its artefacts are of its own, in a folder, or lie at given addresses; ``settings``: what its
    environment has beside that of its clients, such as keys.
    """

    def __init__(
        self,
        folder: Path,
        store: str | None = None,
        artifacts: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder, self._settings = folder, dict(settings or {})
        self._store = store or f"sqlite:///{folder / 'mlflow.db'}"
        self._artifacts = artifacts or str(folder)
        folder.mkdir()
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            self._port = some.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        store = [f"--backend-store-uri={self._store}", f"--artifacts-destination={self._artifacts}"]
        command = [sys.executable, "-m", "mlflow", "server", *store, f"--port={self._port}", "--workers=1"]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **self._settings}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        end = time.monotonic() + 180
        while time.monotonic() < end and self._process.poll() is None:
            if self._healthy():
                return
            time.sleep(0.5)
        raise TimeoutError(f"the tracking server did not start: {(self._folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it and its workers at once, and wait until nothing listens: a killed worker may accept for a while."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            while self._listens():
                time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as some:
            return some.connect_ex(("127.0.0.1", self._port)) == 0

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
