"""``fairmoe ui``: MLflow's comparison pages on the right store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import subprocess


def ui(
    port: Annotated[int, typer.Option(help="Port of the local server.")] = 5000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is reachable from this machine only.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the comparison page in the browser.")] = True,
) -> None:
    """Open the MLflow comparison of all cells.

    With MLFLOW_TRACKING_URI pointing to a server, its address is printed and opened; otherwise a server is started
    on the embedded store and runs until Ctrl-C.

    Examples: fairmoe ui · fairmoe ui --port 5001 --no-browser
    """
    import webbrowser

    from benchmarks.tracking.mlflow_store import comparison_url, open_tracker
    from foundation.addresses import shown

    tracker = open_tracker()
    if tracker.uri.startswith("http"):
        url = comparison_url(tracker.uri.rstrip("/"), tracker.experiment)
        typer.echo(f"The store is a server: {shown(url)}")
        if browser:
            webbrowser.open(url)
        return
    url = comparison_url(f"http://{host}:{port}", tracker.experiment)
    typer.echo(f"Comparison of all cells: {url}\nCtrl-C ends the server.")
    raise typer.Exit(_serve(tracker.uri, host, port, url if browser else ""))


def _serve(uri: str, host: str, port: int, open_url: str) -> int:
    """Run ``mlflow server`` in its own process group, so that all its helpers end with it; return its exit code."""
    import os
    import subprocess
    import sys
    import threading

    _check_free(host, port)
    # not on the command line: everybody on the machine may read that, and a database's address holds a password
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": uri}
    command = [sys.executable, "-m", "mlflow", "server"]
    server = subprocess.Popen(
        [*command, "--host", host, "--port", str(port), "--workers", "1"], env=environment, start_new_session=True
    )
    if open_url:
        threading.Thread(target=_open_when_up, args=(host, port, open_url), daemon=True).start()
    try:
        with _termination_is_interruption():
            return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_group(server)


def _check_free(host: str, port: int) -> None:
    import socket

    from benchmarks.tracking.mlflow_store import TrackingError

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TrackingError(
                f"Port {port} of {host} cannot be used ({error.strerror}): another server runs there, perhaps an "
                f"earlier 'fairmoe ui'. End it, or choose another port: fairmoe ui --port {port + 1}"
            ) from error


def _open_when_up(host: str, port: int, url: str) -> None:
    """Open the browser once the server listens (it needs some seconds to start)."""
    import socket
    import time
    import webbrowser

    for _ in range(120):
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                webbrowser.open(url)
                return
        time.sleep(0.5)


@contextmanager
def _termination_is_interruption() -> Iterator[None]:
    """A polite kill ends the server as Ctrl-C does."""
    import signal

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_group(server: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End the server and every helper in its group: politely, then by force."""
    import os
    import signal
    import time

    deadline = time.monotonic() + patience
    number = signal.SIGTERM
    while True:
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:  # the group is empty
            return
        server.poll()  # a dead child that nobody asked about would keep the group alive
        time.sleep(0.1)
        number = signal.SIGKILL if time.monotonic() > deadline else number
