"""What the numbers were made with: code, libraries, threads and memory."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

from foundation.hashing import hash_json

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("numpy", "optuna", "pandas", "scikit-learn", "scipy", "torch")
BASELINE_LIBRARIES = ("fairlearn", "lightgbm", "torch-geometric")
LLM_LIBRARIES = ("bitsandbytes", "peft", "tokenizers", "transformers")
COMPUTING = ("tasks", "metrics", "experts", "gates", "moe")


def limit_threads(count: int = 1) -> None:
    """Use ``count`` threads per process: small tensor programs on busy cores are far slower with more.

    Must run before torch or scikit-learn are imported; values that the user set are kept.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(count))


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide numbers."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def baseline_library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide numbers of baselines alone."""
    return {name: importlib.metadata.version(name) for name in BASELINE_LIBRARIES}


@cache
def llm_library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide numbers of text experts."""
    installed = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in LLM_LIBRARIES if name in installed}


@cache
def environment_hash() -> str:
    """Short hash of Python, machine type and library versions."""
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **library_versions(),
        **baseline_library_versions(),
        **llm_library_versions(),
    }
    return hash_json(facts)[:12]


def source_hash(*names: str) -> str:
    """Hash of the sources of files or folders under the project's root."""
    digest = hashlib.sha256()
    for name in names:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def computing_hash() -> str:
    """Hash of the code that turns a task into experts and scores; part of every job key."""
    return source_hash(
        *COMPUTING,
        *(
            "benchmarks/run/stages.py",
            "benchmarks/methods/networks.py",
            "benchmarks/run/scoring.py",
            "benchmarks/run/levels.py",
        ),
    )


@cache
def code_version() -> str:
    """Package version and, in a checkout, the commit ('+' when there are uncommitted changes)."""
    version = importlib.metadata.version("fairmoe")
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return version  # an installed copy: the version is all there is to know
    return f"{version} ({commit.stdout.strip()}{'+' if dirty.stdout.strip() else ''})"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reset_peak_memory() -> None:
    """Start a new high-water mark of resident memory, where the kernel can (Linux)."""
    with contextlib.suppress(OSError):  # no such file elsewhere: the mark is then that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """High-water mark of resident memory in MiB since :func:`reset_peak_memory`."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
