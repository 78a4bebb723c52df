"""``fairmoe ui``: MLflow's comparison pages on the right store."""

from __future__ import annotations

from typing import Annotated

import typer


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
    """
    import webbrowser

    from benchmarks.tracking import comparison_url, open_tracker

    tracker = open_tracker()
    if tracker.uri.startswith("http"):
        url = comparison_url(tracker.uri.rstrip("/"), tracker.experiment)
        typer.echo(f"The store is a server: {url}")
        if browser:
            webbrowser.open(url)
        return
    url = comparison_url(f"http://{host}:{port}", tracker.experiment)
    typer.echo(f"Comparison of all cells: {url}\nCtrl-C ends the server.")
    _serve(tracker.uri, host, port, url if browser else "")


def _serve(uri: str, host: str, port: int, open_url: str) -> None:
    """Run ``mlflow server`` in its own process group, so that its helpers end with it."""
    import os
    import signal
    import subprocess
    import sys
    import threading
    import webbrowser

    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        host,
        "--port",
        str(port),
    ]
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    if open_url:
        threading.Timer(6.0, webbrowser.open, [open_url]).start()
    try:
        code = server.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=20)
    raise typer.Exit(code)
