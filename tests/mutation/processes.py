"""Work in forked children: a mutant changes and breaks one process, which then ends."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO

WALL_FACTOR = 20  # a mutant may wait for the processor, or for ever: CPU seconds are bounded first
BROKEN = 70  # what ended a child was no test


def forked(work: Callable[[], int], cpu_seconds: float, log: Path = Path(os.devnull)) -> int:
    """The number that the work gives in a child of its own, ``BROKEN`` if it raises; -1 if it died or took too long."""
    child = os.fork()
    if child == 0:
        with log.open("wb") as file:
            _run(work, cpu_seconds, file)
    end = time.monotonic() + WALL_FACTOR * cpu_seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -1
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(0.005)


def forked_value(work: Callable[[], Any], cpu_seconds: float, file: Path) -> Any:
    """What the work gives in a child of its own, by way of a file."""

    def store() -> int:
        file.write_bytes(pickle.dumps(work()))
        return 0

    log = file.with_suffix(".log")
    if forked(store, cpu_seconds, log) != 0:
        raise RuntimeError(f"the tests without any mutant did not run to their end:\n{log.read_text(errors='replace')}")
    return pickle.loads(file.read_bytes())  # noqa: S301 - written three lines above


def _run(work: Callable[[], int], cpu_seconds: float, log: BinaryIO) -> None:
    code = BROKEN
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(cpu_seconds), ceil(cpu_seconds) + 5))
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        code = work()
    except BaseException:  # noqa: BLE001 - goes to the log, and the number says so
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
