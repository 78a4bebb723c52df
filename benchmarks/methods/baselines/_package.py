"""Packages that are not part of a plain installation, and the state that their code leaves behind."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.methods.process_state import kept_state
from benchmarks.methods.user_code import EstimatorError

GROUP = "baselines"
"""Dependency group of ``pyproject.toml`` that has them."""


def package(name: str, method: str) -> Any:
    """A module of the dependency group.

    Raises
    ------
    EstimatorError
        If it is not installed; says how it gets there.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise EstimatorError(
            f"{method} cannot be fitted: the package {error.name!r} is not installed. It is in the dependency group "
            f"{GROUP!r}: pip install --group {GROUP} -c constraints.txt, run where pyproject.toml lies. `tox -e bench` "
            "has it."
        ) from None


@contextmanager
def quiet_package() -> Iterator[None]:
    """Without log lines, and with the process as it was: some packages log by the root logger, which adds a handler."""
    with kept_state():
        logging.disable(logging.CRITICAL)
        yield
