"""An S3 server of this machine (moto) behind a port that can close and open again, as a store that is away does."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK = 1 << 16


class Door:
    """A port that hands bytes on to another one while it is open; closed, it refuses, and cuts what it handed on."""

    def __init__(self, behind: int) -> None:
        self._behind, self.port = behind, free_port()
        self._socket: socket.socket | None = None
        self._open: dict[tuple[socket.socket, socket.socket], threading.Thread] = {}
        self._lock = threading.Lock()

    def open(self) -> None:
        """Listen."""
        self._socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._socket,), daemon=True).start()

    def close(self) -> None:
        """Refuse from now on, and wait until nothing is handed on any more."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the one that accepts
            self._socket.close()
            self._socket = None
        with self._lock:
            open_now = dict(self._open)
        for pair, thread in open_now.items():
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return  # closed
            pair = client, socket.create_connection(("127.0.0.1", self._behind))
            thread = threading.Thread(target=self._serve, args=pair, daemon=True)
            with self._lock:
                self._open[pair] = thread
                thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Hand on in both directions until one side ends."""
        with client, server:
            back = threading.Thread(target=_hand_on, args=(server, client), daemon=True)
            back.start()
            _hand_on(client, server)
            back.join()
        with self._lock:
            del self._open[client, server]


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class ObjectStore:
    """A bucket, and how it is reached.

    Parameters
    ----------
    door : Door
    """

    bucket = "runs"

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def url(self) -> str:
        """Of the bucket."""
        return f"s3://{self.bucket}"

    @property
    def settings(self) -> dict[str, str]:
        """Environment by which s3fs finds it; the keys are anybody's."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._door.port}", "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

    def close(self) -> None:
        """Be away from now on."""
        self._door.close()

    def open(self) -> None:
        """Be there again, with everything."""
        self._door.open()

    def close_for(self, seconds: float) -> None:
        """Be away for a while."""
        self.close()
        time.sleep(seconds)
        self.open()

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator[ObjectStore]:
        """A server with an empty bucket, until the body ends; its words go to a file in ``folder``."""
        folder.mkdir(parents=True)
        behind = free_port()
        call = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(behind)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(call, stdout=log, stderr=log)
        door = Door(behind)
        try:
            _wait(process, behind, folder / "log")
            door.open()
            made = cls(door)
            request = urllib.request.Request(f"{made.settings['AWS_ENDPOINT_URL']}/{cls.bucket}", method="PUT")
            urllib.request.urlopen(request, timeout=30).close()
            yield made
        finally:
            door.close()
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as some:
            if some.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the S3 server did not start: {log.read_text(encoding='utf-8')[-2000:]}")
