"""Run a program in the sandbox and say how it ended.

What contains it (Linux on x86-64 or ARM64, no privileges needed):

- Landlock: it reads the standard library and shared libraries, and creates, reads, changes and removes plain files in
  a fresh folder of its own, which is removed afterwards; nothing else can be opened.
- A seccomp filter: no socket, process, thread, signal to others, mount or tracing.
- Limits: processor time, waiting time, address space, bytes of a file and of the folder, open files, output.
- A new session with an environment of its own, ended as a group.

What it does not hide: that a file of a known name exists (``stat``), the time, the processor's model, the user's
number. An outcome carries a mark that the program is not given, so that one which writes to every file or puts other
functions in the place of the library's forges none. It is one process all the same: an answer that sets out to deceive
(reads the guard's own variables, gives objects that equal everything) can do so.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import platform
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from llm_experts.families.sandbox.filter import known_machine, program

WEAK = "FAIRMOE_WEAK_SANDBOX"
"""Environment variable: 1 runs programs also where the kernel cannot contain them."""
GUARD = Path(__file__).with_name("guard.py")
LONGEST_CODE = 1 << 20
MOST_OUTPUT = 64 << 10
MOST_FILES, MOST_BYTES = 256, 64 << 20
START_SECONDS = 30
"""Patience for the interpreter to start on a busy machine, which is not the program's fault."""
WAITING = 3
"""Seconds of waiting that count as one of computing: a busy machine makes programs wait."""


class SandboxError(RuntimeError):
    """Programs cannot be run safely here; the text says why and what to do."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes
    ----------
    ok : bool
        It came to its end without an error.
    output : str
        What it printed, errors included; at most 64 KiB.
    reason : str
        Why it is not ok, in a few words; "" where it is.
    """

    ok: bool
    output: str
    reason: str


def missing() -> str:
    """What keeps this machine from containing a program; "" where nothing does."""
    if sys.platform != "linux":
        return f"{platform.system()} has no Landlock"
    if not known_machine(platform.machine()):
        return f"there is no filter of system calls for {platform.machine()} processors"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(444, None, 0, 1) < 1:  # landlock_create_ruleset: its version
        return f"the kernel {platform.release()} offers no Landlock ({os.strerror(ctypes.get_errno())})"
    return ""


def run_python(code: str, *, seconds: float = 5.0, memory_mb: int = 256, weak: bool | None = None) -> Outcome:
    """Run a Python program; whatever it does, it ends as an outcome.

    The program sees the standard library, an empty standard input and ``PYTHONHASHSEED=0``.

    Parameters
    ----------
    code : str
    seconds : float
        Processor time, rounded up to whole seconds; it may take three times as long by the clock.
    memory_mb : int
        Address space, about 20 of which the interpreter takes.
    weak : bool, optional
        Run where the kernel cannot contain the program, guarded by limits and Python's audit events alone, which a
        program that means to can get round. None: if ``FAIRMOE_WEAK_SANDBOX`` is 1.

    Raises
    ------
    SandboxError
        If the program cannot be contained here and ``weak`` is not set.
    """
    if len(code) > LONGEST_CODE:
        return Outcome(False, "", f"the program is longer than {LONGEST_CODE >> 10} KiB")
    lack = missing()
    if lack and not (os.environ.get(WEAK) == "1" if weak is None else weak):
        raise SandboxError(
            f"Programs that a model wrote are not run here, because nothing would contain them: {lack}. Use a Linux "
            f"kernel with Landlock (5.13 or later, x86-64 or ARM64), or, in a machine that has nothing to lose, set "
            f"{WEAK}=1 to run them under limits alone."
        )
    folder = tempfile.mkdtemp(prefix="fairmoe-sandbox-")
    try:
        return _Run(code, folder, math.ceil(seconds), memory_mb, contained=not lack and weak is not True).outcome()
    finally:
        shutil.rmtree(folder)


class _Run:
    """One program while it runs."""

    def __init__(self, code: str, folder: str, seconds: int, memory_mb: int, *, contained: bool) -> None:
        self._folder, self._seconds, self._memory = folder, seconds, memory_mb
        self._output, self._status = bytearray(), bytearray()
        status, told = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", str(GUARD), str(told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "HOME": folder, "TMPDIR": folder},
                pass_fds=(told,),
                start_new_session=True,
            )
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(told)
        self._told = status
        steps = program(platform.machine(), self._process.pid).hex() if contained else None
        self._mark = secrets.token_hex()
        self._settings = {
            "code": code, "seconds": seconds, "memory_mb": memory_mb, "filter": steps, "mark": self._mark,
        }  # fmt: skip

    def outcome(self) -> Outcome:
        """Feed the program, watch it, end it."""
        try:
            self._feed()
            reason = self._watch()
        finally:
            self._end()
        return self._judged(reason)

    def _feed(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as stream:
                stream.write(json.dumps(self._settings).encode())
        except BrokenPipeError:
            return  # it ended before it read: what it printed says why

    def _watch(self) -> str:
        """Read until it ends; why it has to be ended before, or ""."""
        assert self._process.stdout is not None
        ready, end = False, time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as streams:
            streams.register(self._process.stdout, selectors.EVENT_READ, (self._output, MOST_OUTPUT))
            streams.register(self._told, selectors.EVENT_READ, (self._status, MOST_OUTPUT))
            while streams.get_map() or self._process.poll() is None:
                if self._status and not ready:
                    ready, end = True, time.monotonic() + WAITING * self._seconds
                if time.monotonic() > end:
                    return self._too_long()
                if self._too_much_written():
                    return f"wrote more than {MOST_FILES} files or {MOST_BYTES >> 20} MB"
                if not streams.get_map():  # it closed them and goes on
                    time.sleep(0.005)
                elif self._read(streams):
                    return f"printed more than {MOST_OUTPUT >> 10} KiB"
        return ""

    def _read(self, streams: selectors.BaseSelector) -> bool:
        """Take what it printed within 50 ms; whether that is too much."""
        for key, _ in streams.select(0.05):
            data = os.read(key.fd, 1 << 16)
            target, most = key.data
            target += data[: most - len(target)]
            if not data:
                streams.unregister(key.fileobj)
            elif len(target) >= most:
                return True
        return False

    def _too_long(self) -> str:
        return f"took longer than {self._seconds} s"

    def _too_much_written(self) -> bool:
        count = size = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                count += 1
                try:
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:  # removed meanwhile
                    continue
        return count > MOST_FILES or size > MOST_BYTES

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # nothing of it is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        os.close(self._told)

    def _judged(self, reason: str) -> Outcome:
        output = self._output.decode("utf-8", errors="replace")
        if reason:
            return Outcome(False, output, reason)
        try:
            told = json.loads(self._status)
            if "broken" in told:
                raise SandboxError(
                    f"The sandbox cannot be set up on this machine: {told['broken']}. A container may forbid it: allow "
                    f"Landlock and seccomp there, or, where nothing can be lost, set {WEAK}=1."
                )
            ok, why = told["ok"] is True and told["mark"] == self._mark, str(told["reason"])
        except (ValueError, KeyError, TypeError):  # nothing, or not what the guard writes
            return Outcome(False, output, self._how_it_died())
        if why == "memory":
            why = f"needed more than {self._memory} MB"
        return Outcome(ok and self._process.returncode == 0, output, why)

    def _how_it_died(self) -> str:
        code = self._process.returncode
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return self._too_long()
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        return "the program ended itself before its end"
