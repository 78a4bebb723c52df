"""Which system calls a program in the sandbox may make: a seccomp filter (Linux, seccomp(2)).

A list of what is allowed, not of what is forbidden: reading and writing files that are open or that Landlock lets it
open, memory, clocks, its own signals. There is no socket, no process, no thread, no signal to others, no mount, no
ptrace, no io_uring in it. Anything else fails with EPERM, which Python raises as PermissionError.
"""

from __future__ import annotations

import struct

_X86_64 = """
read=0 write=1 close=3 fstat=5 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12 rt_sigaction=13 rt_sigprocmask=14
rt_sigreturn=15 pread64=17 pwrite64=18 readv=19 writev=20 mremap=25 madvise=28 dup=32 dup3=292 nanosleep=35
getitimer=36 setitimer=38 getpid=39 exit=60 exit_group=231 uname=63 ftruncate=77 getcwd=79 fsync=74
fdatasync=75 readlinkat=267 umask=95 gettimeofday=96 getrusage=98 sysinfo=99 times=100 getuid=102 geteuid=107
getgid=104 getegid=108 getppid=110 getpgid=121 getsid=124 sigaltstack=131 gettid=186 futex=202 sched_yield=24
sched_getaffinity=204 getdents64=217 set_tid_address=218 clock_gettime=228 clock_getres=229 clock_nanosleep=230
openat=257 newfstatat=262 unlinkat=263 renameat=264 renameat2=316 faccessat=269 faccessat2=439
set_robust_list=273 getrandom=318 statx=332 rseq=334 close_range=436 pipe2=293 ppoll=271 pselect6=270
restart_syscall=219 fadvise64=221 mincore=27 rt_sigpending=127 rt_sigtimedwait=128 fchdir=81 chdir=80
membarrier=324 getgroups=115 getresuid=118 getresgid=120 rt_sigsuspend=130 statfs=137 fstatfs=138
getpriority=140 open=2 stat=4 lstat=6 poll=7 access=21 pipe=22 select=23 dup2=33 getdents=78 rename=82 unlink=87
readlink=89 time=201 alarm=37 pause=34 arch_prctl=158 getrlimit=97
"""
"""Numbers of ``asm/unistd_64.h``."""
_AARCH64 = """
read=63 write=64 close=57 fstat=80 lseek=62 mmap=222 mprotect=226 munmap=215 brk=214 rt_sigaction=134
rt_sigprocmask=135 rt_sigreturn=139 pread64=67 pwrite64=68 readv=65 writev=66 mremap=216 madvise=233 dup=23
dup3=24 nanosleep=101 getitimer=102 setitimer=103 getpid=172 exit=93 exit_group=94 uname=160
ftruncate=46 getcwd=17 fsync=82 fdatasync=83 readlinkat=78 umask=166 gettimeofday=169 getrusage=165 sysinfo=179
times=153 getuid=174 geteuid=175 getgid=176 getegid=177 getppid=173 getpgid=155 getsid=156 sigaltstack=132
gettid=178 futex=98 sched_yield=124 sched_getaffinity=123 getdents64=61 set_tid_address=96 clock_gettime=113
clock_getres=114 clock_nanosleep=115 openat=56 newfstatat=79 unlinkat=35 renameat=38 renameat2=276 faccessat=48
faccessat2=439 set_robust_list=99 getrandom=278 statx=291 rseq=293 close_range=436 pipe2=59 ppoll=73 pselect6=72
restart_syscall=128 fadvise64=223 mincore=232 rt_sigpending=136 rt_sigtimedwait=137 fchdir=50 chdir=49
membarrier=283 getgroups=158 getresuid=148 getresgid=150 rt_sigsuspend=133 statfs=43 fstatfs=44 getpriority=141
getrlimit=163
"""
"""Numbers of ``asm-generic/unistd.h``."""
_MACHINES = {
    "x86_64": (0xC000003E, _X86_64, {"fcntl": 72, "ioctl": 16, "kill": 62, "tgkill": 234, "prlimit64": 302}),
    "aarch64": (0xC00000B7, _AARCH64, {"fcntl": 25, "ioctl": 29, "kill": 129, "tgkill": 131, "prlimit64": 261}),
}
"""Architecture as the kernel reports it, plain calls, and those that depend on an argument."""
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000  # SECCOMP_RET_ALLOW, ERRNO|EPERM, KILL_PROCESS
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # places in struct seccomp_data
OTHER_NUMBERING = 0x40000000
"""x32 calls of a 64-bit kernel have this bit: the same calls under other numbers."""
TCGETS, FIOCLEX, FIONCLEX = 0x5401, 0x5451, 0x5450
"""Whether a file is a terminal, and whether it outlives a call that is forbidden anyway."""
FILE_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 1030)
"""Copies, flags and locks of a file (``F_DUPFD`` … ``F_SETLKW``, ``F_DUPFD_CLOEXEC``): not whom it signals."""


def known_machine(machine: str) -> bool:
    """Whether there is a filter for a processor, as ``platform.machine`` names it."""
    return machine in _MACHINES


def program(machine: str, process: int) -> bytes:
    """The filter as an array of ``struct sock_filter``, for the process with this number."""
    architecture, plain, depending = _MACHINES[machine]
    code = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, architecture, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER),
        _step(AT_LEAST, OTHER_NUMBERING, 0, 1),
        _step(RETURN, REFUSE),
    ]
    for entry in plain.split():
        code += [_step(EQUAL, int(entry.partition("=")[2]), 0, 1), _step(RETURN, ALLOW)]
    code += _if_argument(depending["kill"], 0, (process,))
    code += _if_argument(depending["tgkill"], 0, (process,))
    code += _if_argument(depending["fcntl"], 1, FILE_COMMANDS)
    code += _if_argument(depending["ioctl"], 1, (TCGETS, FIOCLEX, FIONCLEX))
    code += _if_argument(depending["prlimit64"], 2, (0,))  # without new limits: to read them
    return b"".join([*code, _step(RETURN, REFUSE)])


def _if_argument(number: int, place: int, values: tuple[int, ...]) -> list[bytes]:
    """Allow a call if both halves of an argument are those of one of these 32-bit values."""
    at = ARGUMENTS + 8 * place
    body = [_step(LOAD, at + 4), _step(EQUAL, 0, 1, 0), _step(RETURN, REFUSE), _step(LOAD, at)]
    for value in values:
        body += [_step(EQUAL, value, 0, 1), _step(RETURN, ALLOW)]
    body.append(_step(RETURN, REFUSE))
    return [_step(EQUAL, number, 0, len(body)), *body]


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)
