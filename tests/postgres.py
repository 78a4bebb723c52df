"""A PostgreSQL server of a test's own: made in a folder of its own, killed and started again at will.

Debian's package ``postgresql`` has the programs. Where they or the driver are absent, tests skip and say so.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PROGRAMS = ("initdb", "postgres", "pg_isready")
USER, PASSWORD = "fairmoe", "pass-word-9"


def programs():
    """Folder of ``initdb`` and ``postgres``, or None."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    return next((folder for folder in folders if all((folder / name).exists() for name in PROGRAMS)), None)


def server_user():
    """Whose processes the server's are: PostgreSQL refuses root."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A server on the loopback address.

    It does not wait for the disk: what it wrote outlives its death by SIGKILL, if not that of the machine.
    """

    def __init__(self, bin_folder):
        self.bin, self.user, self.port = bin_folder, server_user(), free_port()
        self.home = Path(tempfile.mkdtemp(prefix="fairmoe-pg-", dir="/tmp"))  # a short path: sockets need one
        self.data = self.home / "data"
        word = self.home / "word"
        word.write_text(PASSWORD + "\n")
        if self.user is not None:
            for path in (self.home, word):
                shutil.chown(path, self.user)
        self._run(
            self.bin / "initdb", "-D", self.data, "-U", USER, "--pwfile", word, "--auth=scram-sha-256", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip
        self.process = None
        self.start()

    def _run(self, *command):
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, user=self.user, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr

    def start(self):
        """Start, and wait until it answers; what a killed one left ends by itself first."""
        deadline = time.monotonic() + 60
        while True:
            with (self.home / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [self.bin / "postgres", "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                     "-c", f"unix_socket_directories={self.home}", "-c", "max_connections=60", "-c", "fsync=off"],
                    stdout=subprocess.DEVNULL, stderr=log, user=self.user, cwd="/",
                )  # fmt: skip
            while self.process.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.05)
            assert time.monotonic() < deadline, (self.home / "log").read_text()

    def _answers(self):
        ready = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def kill(self):
        """SIGKILL to the server; whoever works for it notices and ends."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """End it for good."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def address(self, database, password=PASSWORD):
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, name):
        """The address of a new, empty database."""
        self.execute(self.address("postgres"), f'CREATE DATABASE "{name}"')
        return self.address(name)

    def execute(self, address, statement):
        """Rows of a statement, each a tuple."""
        import psycopg

        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []


def running_server():
    """Yield a server; skip where there is none to be had."""
    pytest.importorskip("psycopg", reason="the driver psycopg (group postgres) is not installed")
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL's programs are not installed (Debian: apt-get install postgresql)")
    if os.geteuid() == 0 and server_user() is None:
        pytest.skip("PostgreSQL refuses root, and there is no user to run it as")
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.stop()
