"""`fairmoe ui`: a real server on the embedded store, the comparison page, and nothing left after Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks.tracking.mlflow_store import comparison_url, open_tracker
from tests.benchmarks.test_cli import fairmoe


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_naming(text: str) -> list[str]:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    return [command.decode(errors="replace") for command in commands if text.encode() in command]


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:  # it ended while we looked
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_server_answers_and_ends_as_a_whole(how: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks", "ui", "--no-browser", "--port", str(port)]
    # a shell may have told background processes to ignore Ctrl-C
    process = subprocess.Popen(
        command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    assert url == comparison_url(f"http://127.0.0.1:{port}", open_tracker().experiment)
    _wait_for(port, process)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        assert answer.status == 200
    process.send_signal(how)
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert not processes_naming(f"--port\0{port}")


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)


def test_a_port_in_use_is_one_paragraph() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = fairmoe("ui", "--no-browser", "--port", str(port))
    assert done.returncode == 2
    assert f"--port {port + 1}" in done.stderr and "Traceback" not in done.stderr
