"""What runs inside the sandbox: shuts every door, then the program. Needs the standard library alone.

Started as a script by :mod:`llm_experts.families.sandbox.run`, which sends one JSON object on the standard input.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock: the same numbers on every architecture
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER
EXECUTE, WRITE, READ, LIST, REMOVE, MAKE = 1, 2, 4, 8, 1 << 5, 1 << 8  # LANDLOCK_ACCESS_FS_*
TRUNCATE = 1 << 14
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}  # later versions: all of version 5
NETWORK, OTHERS = 3, 3  # bind and connect; abstract sockets and signals of processes outside
FILE_BYTES, MOST_OPEN = 8 << 20, 24
LONGEST_REASON = 300


class Rule(ctypes.Structure):
    """``struct landlock_path_beneath_attr``, which is packed."""

    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("folder", ctypes.c_int32))


class Filter(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def limit(settings: dict[str, Any]) -> None:
    """Processor time, memory, sizes and numbers of files; no core dump."""
    seconds, memory = int(settings["seconds"]), int(settings["memory_mb"]) << 20
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_OPEN, MOST_OPEN))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def fence(libc: Any, folder: str) -> None:
    """Landlock: the standard library and shared libraries can be read, plain files of the folder changed."""
    version = _called(libc.syscall(CREATE_RULESET, None, 0, 1), "landlock_create_ruleset")
    handled = (ctypes.c_uint64 * 3)(RIGHTS.get(version, (1 << 16) - 1), NETWORK, OTHERS)
    size = 24 if version >= 6 else 16 if version >= 4 else 8  # what this version knows of
    rules = _called(libc.syscall(CREATE_RULESET, ctypes.byref(handled), size, 0), "landlock_create_ruleset")
    own = READ | LIST | WRITE | REMOVE | MAKE | (TRUNCATE if version >= 3 else 0)
    _allow(libc, rules, folder, own)
    for place in libraries():
        _allow(libc, rules, place, READ | LIST | EXECUTE)
    _called(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    _called(libc.syscall(RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    os.close(rules)


def libraries() -> list[str]:
    """Folders of modules and shared libraries that a program may import from."""
    places = [Path(os.__file__).parent, *map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64"))]
    return list(dict.fromkeys(str(place.resolve()) for place in places if place.is_dir()))


def give_up_privileges(libc: Any) -> None:
    """No capability is left, even to the super-user (``capset`` with empty sets)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    number = {"x86_64": 126, "aarch64": 91}[os.uname().machine]
    _called(libc.syscall(number, header, (ctypes.c_uint32 * 6)()), "capset")


def filter_calls(libc: Any, steps: bytes) -> None:
    """Install the seccomp filter; from here on it is the kernel that refuses."""
    wanted = Filter(len(steps) // 8, steps)
    _called(libc.prctl(SECCOMP, FILTER, ctypes.byref(wanted), 0, 0), "PR_SET_SECCOMP")


def watch(folder: str) -> None:
    """Where the kernel has no fences: refuse by Python's audit events, which a program that means to can get round."""
    places, own = libraries(), os.path.realpath(folder)
    refused = (
        "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "os.ch", "os.link",
        "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.listdir", "os.scandir",
        "os.putenv", "os.unsetenv", "os.lockf", "os.utime", "ctypes.", "signal.pthread_kill", "resource.", "shutil.",
        "pty.", "syslog.", "fcntl.", "_thread.start", "sys.addaudithook", "sqlite3.", "ftplib.", "urllib.",
    )  # fmt: skip

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            reading = not int(arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if _under(path, own) or (reading and any(_under(path, place) for place in places)):
                return
            raise PermissionError(1, "Operation not permitted", path)
        if event.startswith(refused) and not (event in ("os.listdir", "os.scandir") and _reads(arguments, own, places)):
            raise PermissionError(1, f"Operation not permitted: {event}")

    sys.addaudithook(hook)


def perform(code: str) -> dict[str, Any]:
    """Run a program to its end, as a main module of its own; whether it came there, and why not."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    sys.argv[:] = ["answer.py"]
    try:
        exec(compile(code, "answer.py", "exec"), module.__dict__)
        sys.stdout.flush()
    except SystemExit:
        return {"ok": False, "reason": "the program ended itself before its end"}
    except MemoryError:
        return {"ok": False, "reason": "memory"}
    except BaseException as error:  # noqa: BLE001 whatever a foreign program raises is its outcome
        return {"ok": False, "reason": told(error)}
    return {"ok": True, "reason": ""}


def told(error: BaseException) -> str:
    """An error in one line; the text of a foreign error may fail itself."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except BaseException:  # noqa: BLE001
        text = ""
    return (f"{name}: {text}" if text else name)[:LONGEST_REASON]


def _allow(libc: Any, rules: int, folder: str, access: int) -> None:
    place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    _called(libc.syscall(ADD_RULE, rules, 1, ctypes.byref(Rule(access, place)), 0), "landlock_add_rule")
    os.close(place)


def _called(result: int, name: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _reads(arguments: tuple[Any, ...], own: str, places: list[str]) -> bool:
    path = os.path.realpath(os.fsdecode(arguments[0] or "."))
    return any(_under(path, place) for place in (own, *places))


def main() -> None:
    """Read the settings, shut the doors, run the program, tell its outcome."""
    status, folder = int(sys.argv[1]), str(Path.cwd())
    settings = json.loads(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        limit(settings)
        if settings["filter"] is None:
            watch(folder)
        else:
            libc = ctypes.CDLL(None, use_errno=True)
            fence(libc, folder)
            if os.geteuid() == 0:
                give_up_privileges(libc)
            filter_calls(libc, bytes.fromhex(settings["filter"]))
    except OSError as error:
        os.write(status, json.dumps({"broken": told(error)}).encode())
        os._exit(1)
    write, end, dumps = os.write, os._exit, json.dumps  # a program may put others in their place
    write(status, b"\n")  # ready: what takes time from here on is the program
    found = perform(settings.pop("code"))
    write(status, dumps({**found, "mark": settings["mark"]}).encode())
    end(0)


if __name__ == "__main__":
    main()
