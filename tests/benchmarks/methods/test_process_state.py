"""Code of users leaves the process as it was, whatever it did, and finds its own settings again."""

from __future__ import annotations

import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn as _sklearn
import torch

from benchmarks.methods.process_state import kept_state

sklearn: Any = _sklearn  # without annotations


def _errors() -> None:
    np.seterr(all="raise")


def _threads() -> None:
    torch.set_num_threads(torch.get_num_threads() + 1)


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "device": (lambda: torch.set_default_device("meta"), torch.get_default_device),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "precision": (lambda: torch.set_float32_matmul_precision("medium"), torch.get_float32_matmul_precision),
    "mkldnn": (lambda: setattr(torch.backends.mkldnn, "enabled", False), lambda: torch.backends.mkldnn.enabled),
    "threads": (_threads, torch.get_num_threads),
    "warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "errors": (_errors, np.geterr),
    "print": (lambda: np.set_printoptions(precision=2), np.get_printoptions),
    "scikit-learn": (lambda: sklearn.set_config(transform_output="pandas"), sklearn.get_config),
    "folder": (lambda: os.chdir("/"), Path.cwd),
    "environment": (lambda: os.environ.update(FAIRMOE_TEST="1"), lambda: dict(os.environ)),
    "path": (lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path)),
    "arguments": (lambda: sys.argv.append("--x"), lambda: list(sys.argv)),
    "recursion": (lambda: sys.setrecursionlimit(4321), sys.getrecursionlimit),
    "locale": (lambda: locale.setlocale(locale.LC_ALL, "C"), lambda: locale.setlocale(locale.LC_ALL)),
    "stdout": (lambda: setattr(sys, "stdout", sys.__stderr__), lambda: sys.stdout),
    "interrupt": (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), lambda: signal.getsignal(signal.SIGINT)),
    "logging": (lambda: logging.disable(logging.CRITICAL), lambda: logging.root.manager.disable),
    "random": (lambda: random.seed(0), random.getstate),
    "numpy": (lambda: np.random.seed(0), lambda: np.random.get_state()[1].tolist()),  # type: ignore[index]  # noqa: NPY002
    "torch": (lambda: torch.manual_seed(0), lambda: torch.get_rng_state().tolist()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_code_changes_is_put_back_also_when_it_raises(name: str) -> None:
    change, read = CHANGES[name]
    before = read()
    with kept_state():
        change()
    assert read() == before
    with pytest.raises(SystemExit), kept_state():
        change()
        raise SystemExit
    assert read() == before


def test_code_finds_its_own_settings_again() -> None:
    with kept_state() as left:
        torch.set_default_dtype(torch.float64)
        sklearn.set_config(transform_output="pandas")
    assert set(left) == {"torch", "scikit-learn"}
    with kept_state(left) as again:
        assert torch.get_default_dtype() == torch.float64
        assert sklearn.get_config()["transform_output"] == "pandas"
    assert again == left
    assert torch.get_default_dtype() == torch.float32


def test_generators_follow_the_seed_and_are_put_back() -> None:
    before = torch.get_rng_state().tolist(), random.getstate()
    drawn = []
    for seed in (1, 1, 2):
        with kept_state(seed=seed):
            drawn.append((float(torch.rand(())), random.random(), float(np.random.rand())))  # noqa: NPY002
    assert drawn[0] == drawn[1] != drawn[2]
    assert (torch.get_rng_state().tolist(), random.getstate()) == before


def test_a_working_folder_that_is_gone_is_left_behind(tmp_path: Path) -> None:
    before = Path.cwd()
    (tmp_path / "gone").mkdir()
    with kept_state():
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
    assert Path.cwd() == before
