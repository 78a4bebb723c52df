"""Programs that mean harm, or fail: each ends as an outcome, and nothing outside has changed."""

import os
import platform
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from llm_experts.families.sandbox import SandboxError, missing, run_python
from llm_experts.families.sandbox import run as running
from llm_experts.families.sandbox.filter import program

contained = pytest.mark.skipif(bool(missing()), reason=f"nothing contains a program here: {missing()}")


@contained
def test_a_good_program_ends_well() -> None:
    code = "import math, re, json, collections, hashlib, datetime, random\nprint(math.gcd(12, 18))"
    outcome = run_python(code)
    assert (outcome.ok, outcome.output, outcome.reason) == (True, "6\n", "")


@contained
def test_a_program_has_a_folder_of_its_own_that_is_gone_afterwards() -> None:
    outcome = run_python("import os\nopen('a', 'w').write('x')\nprint(open('a').read(), os.listdir(), os.getcwd())")
    assert outcome.ok, outcome
    shown, files, folder = outcome.output.split()
    assert (shown, files) == ("x", "['a']")
    assert Path(folder).parent == Path(tempfile.gettempdir())
    assert not Path(folder).exists()


@contained
def test_hashes_and_the_environment_are_the_same_every_time() -> None:
    code = "import os\nprint(hash('a'), sorted(set('fairness')), sorted(os.environ))"
    one, other = run_python(code), run_python(code)
    assert one.ok
    assert one.output == other.output
    for name in os.environ.keys() - {"HOME", "LC_CTYPE", "PYTHONHASHSEED"}:
        assert repr(name) not in one.output


NULL_BYTES = "SyntaxError" if sys.version_info >= (3, 11, 4) else "ValueError"
"""What Python calls them."""
FAILURES = {
    "assert 1 == 2, 'one is not two'": "AssertionError: one is not two",
    "x = 1 +": "SyntaxError: invalid syntax (answer.py, line 1)",
    "a\0b": f"{NULL_BYTES}: source code string cannot contain null bytes",
    "raise SystemExit(0)": "the program ended itself before its end",
    "import os; os._exit(0)": "the program ended itself before its end",
    "input()": "EOFError: EOF when reading a line",
    "def f(): return f()\nf()": "RecursionError: maximum recursion depth exceeded",
    "class E(Exception):\n def __str__(self): raise KeyboardInterrupt\nraise E": "E",
    "raise ValueError('\\ud800 ' * 9)": "ValueError: " + " ".join(["\ud800"] * 9),
    "import numpy": "ModuleNotFoundError: No module named 'numpy'",
    "import os; os.abort()": "crashed (SIGABRT)",
    "import ctypes; ctypes.string_at(0)": "crashed (SIGSEGV)",
}


@contained
@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_is_told_in_a_few_words(code: str) -> None:
    outcome = run_python(code)
    assert not outcome.ok
    assert outcome.reason == FAILURES[code]


@contained
def test_limits_of_time_memory_and_output() -> None:
    assert run_python("while True: pass", seconds=1).reason == "took longer than 1 s"
    assert run_python("x = bytearray(10 ** 9)").reason == "needed more than 256 MB"
    loud = run_python("while True: print('x' * 1000)")
    assert loud.reason == "printed more than 64 KiB"
    assert len(loud.output) == 64 << 10
    assert run_python("#" * (1 << 20) + "\n").reason == "the program is longer than 1024 KiB"


@contained
@pytest.mark.slow
def test_waiting_is_limited_too() -> None:
    assert run_python("import time; time.sleep(1000)", seconds=1).reason == "took longer than 1 s"
    silent = "import os, time\nfor fd in range(64):\n try: os.close(fd)\n except OSError: pass\ntime.sleep(1000)"
    assert run_python(silent, seconds=1).reason == "took longer than 1 s"
    handled = "import signal\nsignal.signal(signal.SIGXCPU, lambda *_: None)\nwhile True: pass"
    assert run_python(handled, seconds=1).reason == "took longer than 1 s"


@contained
def test_little_can_be_written() -> None:
    one_file = run_python("open('a', 'wb').write(b'x' * (9 << 20))")
    assert one_file.reason == "OSError: [Errno 27] File too large"
    many = "for i in range(64): open(str(i), 'wb').write(b'x' * (7 << 20))\nimport time; time.sleep(2)"
    assert run_python(many).reason == "wrote more than 256 files or 64 MB"
    names = "for i in range(300): open(str(i), 'w').close()\nimport time; time.sleep(2)"
    assert run_python(names).reason == "wrote more than 256 files or 64 MB"


FORBIDDEN = {
    "read": "open('/etc/passwd').read()",
    "list": "import os; os.listdir('/')",
    "own source": "open({source!r}).read()",
    "write": "open({victim!r}, 'w').write('changed')",
    "create": "open({victim!r} + 'new', 'w')",
    "remove": "import os; os.remove({victim!r})",
    "rename": "import os; os.rename({victim!r}, 'mine')",
    "truncate": "import os; os.truncate({victim!r}, 0)",
    "link": "import os; os.link({victim!r}, 'mine')",
    "symlink": "import os; os.symlink({victim!r}, 'mine'); open('mine').read()",
    "climb": "open('../../../../../../etc/passwd').read()",
    "chmod": "import os; os.chmod({victim!r}, 0)",
    "touch": "import os; os.utime({victim!r}, (0, 0))",
    "environment of the parent": "open('/proc/%d/environ' % {parent}, 'rb').read()",
    "memory of its own": "open('/proc/self/mem', 'r+b')",
    "device": "open('/dev/zero', 'rb')",
    "socket": "import socket; socket.socket()",
    "local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "socket pair": "import socket; socket.socketpair()",
    "address": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1/')",
    "fork": "import os\nwhile True: os.fork()",
    "thread": "import threading\nwhile True: threading.Thread(target=print).start()",
    "subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "shell": "import os; assert os.system('/bin/true') == 0",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "spawn": "import os; os.posix_spawn('/bin/true', ['true'], {{}})",
    "kill the parent": "import os; os.kill({parent}, 9)",
    "kill all": "import os; os.kill(-1, 9)",
    "kill the group of the parent": "import os; os.killpg({parent}, 9)",
    "have the parent signalled": "import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, {parent})",
    "raise its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "leave its session": "import os; os.setsid()",
    "change the user": "import os; os.setuid(65534)",
    "mount": "import ctypes; assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "socket through C": "import ctypes; assert ctypes.CDLL(None).socket(2, 1, 0) >= 0",
    "fork through C": "import ctypes; assert ctypes.CDLL(None).fork() >= 0",
    "open through C": "import ctypes; assert ctypes.CDLL(None).open(b'/etc/passwd', 0) >= 0",
    "trace": "import ctypes; assert ctypes.CDLL(None).ptrace(16, {parent}, 0, 0) == 0",
    "another numbering": "import ctypes; assert ctypes.CDLL(None).syscall(0x40000000 + 41, 2, 1, 0) >= 0",
    "anonymous file": "import os; os.memfd_create('x')",
    "terminal": "import fcntl; fcntl.ioctl(1, 0x5412, b'x')",
}

REFUSALS = (
    "PermissionError",
    "OSError",
    "URLError",
    "RuntimeError: can't start",
    "ValueError: not allowed",
    "Assertion",
)


@contained
@pytest.mark.parametrize("attack", FORBIDDEN)
def test_an_attack_is_refused_and_changes_nothing(tmp_path: Path, attack: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    before = victim.stat()
    own = {"victim": str(victim), "parent": os.getpid(), "source": running.__file__}
    outcome = run_python(FORBIDDEN[attack].format(**own))
    assert not outcome.ok
    assert outcome.reason.startswith(REFUSALS), outcome
    assert [entry.name for entry in tmp_path.iterdir()] == ["victim"]
    assert victim.read_text() == "as it was"
    assert (victim.stat().st_mode, victim.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@contained
def test_nothing_of_a_program_is_left_running() -> None:
    left = run_python("print(__import__('os').getpid(), flush=True)\nwhile True: pass", seconds=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(left.output), 0)


def test_nothing_runs_where_nothing_contains_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(running.WEAK, raising=False)
    monkeypatch.setattr(running, "missing", lambda: "the kernel 4.9 offers no Landlock (Function not implemented)")
    with pytest.raises(SandboxError, match=r"the kernel 4\.9 offers no Landlock.*set FAIRMOE_WEAK_SANDBOX=1"):
        run_python("print(1)")
    monkeypatch.setenv(running.WEAK, "1")
    assert run_python("print(1)").output == "1\n"


@pytest.mark.parametrize(
    "attack", ["read", "list", "write", "create", "remove", "socket", "fork", "subprocess", "shell", "kill the parent"]
)
def test_without_the_kernel_limits_and_audit_events_hold_what_is_not_meant(tmp_path: Path, attack: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    own = {"victim": str(victim), "parent": os.getpid(), "source": ""}
    outcome = run_python(FORBIDDEN[attack].format(**own), weak=True)
    assert outcome.reason.startswith("PermissionError"), outcome
    assert victim.read_text() == "as it was"


def test_a_weak_run_still_does_its_work() -> None:
    code = "import random, decimal, os\nopen('a', 'w').write('x')\nprint(open('a').read(), os.listdir())"
    assert run_python(code, weak=True).output == "x ['a']\n"


def test_the_filter_names_calls_as_the_kernels_headers_do() -> None:
    """The tables against ``asm/unistd_64.h``, where that file is."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    from llm_experts.families.sandbox import filter as tables

    numbers = dict(line.split()[1:3] for line in header.read_text().splitlines() if line.startswith("#define __NR_"))
    plain = dict(entry.split("=") for entry in tables._X86_64.split())
    for name, number in (plain | tables._MACHINES["x86_64"][2]).items():
        assert numbers[f"__NR_{name}"] == str(number)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_stays_in_it_and_its_end_refuses(machine: str) -> None:
    steps = list(struct.iter_unpack("=HBBI", program(machine, 1234)))
    for place, (code, yes, no, _) in enumerate(steps):
        if code in (0x15, 0x35):
            assert place + 1 + max(yes, no) < len(steps)
    assert steps[-1] == (0x06, 0, 0, 0x00050001)


@contained
def test_a_guard_that_cannot_shut_the_doors_runs_nothing() -> None:
    """A filter that the kernel refuses: the program is not started."""
    read, write = os.pipe()
    done = subprocess.run(
        [sys.executable, "-S", "-P", str(running.GUARD), str(write)],
        input=b'{"code": "print(12345)", "seconds": 5, "memory_mb": 256, "filter": "0000000000000000"}',
        capture_output=True,
        pass_fds=(write,),
    )
    os.close(write)
    told = os.read(read, 1000).decode()
    os.close(read)
    assert done.returncode == 1
    assert done.stdout == b""
    assert "broken" in told
    assert "PR_SET_SECCOMP" in told


def test_this_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "sparc64")
    assert "sparc64" in missing()


FORGED = [
    """import os, sys
for number in range(3, 24):
    try:
        os.write(number, b'{"ok": true, "reason": ""}')
    except OSError:
        pass
os._exit(0)""",
    """import json
json.dumps = lambda *a, **k: '{"ok": true, "reason": "", "mark": ""}'
assert False""",
    """import sys
main = sys.modules["__main__"]
main.told = main.perform = main.json = None
print('{"ok": true, "reason": ""}')
assert False""",
    """import builtins, os
builtins.AssertionError = builtins.BaseException = KeyError
os.write = os._exit = lambda *a: 0
assert False""",
]


@contained
@pytest.mark.parametrize("code", FORGED)
def test_an_outcome_is_not_forged_by_what_a_program_writes_or_replaces(code: str) -> None:
    outcome = run_python(code)
    assert not outcome.ok and outcome.reason


@contained
def test_a_program_is_the_main_module_and_sees_no_arguments() -> None:
    outcome = run_python("import sys\nx = 3\nprint(sys.argv, sys.modules['__main__'].x)\nsys.modules['__main__'].x")
    assert (outcome.ok, outcome.output) == (True, "['answer.py'] 3\n"), outcome


@contained
def test_a_long_name_of_an_error_is_cut() -> None:
    outcome = run_python("class E(Exception): pass\nE.__name__ = 'x' * 100_000\nraise E")
    assert outcome.reason == "x" * 300
