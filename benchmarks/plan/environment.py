"""What the numbers were made with: code, libraries and threads."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache

from foundation.discovery import ROOT
from foundation.hashing import hash_json

LIBRARIES = ("lightgbm", "numba", "numpy", "optuna", "pandas", "scikit-learn", "scipy", "torch")
BASELINE_LIBRARIES = ("fairlearn", "fairret", "oxonfair", "torch-geometric")
LLM_LIBRARIES = ("bitsandbytes", "peft", "tokenizers", "transformers")


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide numbers."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def baseline_library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide numbers of baselines alone."""
    return {name: importlib.metadata.version(name) for name in BASELINE_LIBRARIES} | _installed("catboost")


@cache
def llm_library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide numbers of text experts."""
    return _installed(*LLM_LIBRARIES)


def _installed(*names: str) -> dict[str, str]:
    """Versions of those of some libraries that are there."""
    there = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in names if name in there}


def environment_facts() -> dict[str, str]:
    """Python, machine type and library versions."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **library_versions(),
        **baseline_library_versions(),
        **llm_library_versions(),
    }


@cache
def environment_hash() -> str:
    """Short hash of Python, machine type and library versions."""
    return hash_json(environment_facts())[:12]


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


def version_line() -> str:
    """Version and commit of the project, Python and torch, on one line; no library is loaded for it."""
    torch = _installed("torch").get("torch", "not installed")
    return f"fairmoe {code_version()}, Python {platform.python_version()}, torch {torch}"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
