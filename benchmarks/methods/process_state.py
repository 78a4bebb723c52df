"""What code of users may change in the process, and how it is put back: no method changes what another one is given.

Settings that code changes are its own: they come back whenever its next part runs (what a file set when it was imported
holds in its ``fit``), and are put back behind it.
"""

from __future__ import annotations

import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

Changes = Mapping[str, Any]
"""Name of a part of the state → what code left there."""

NOTHING: Changes = MappingProxyType({})
"""Of code that changed nothing."""


@contextmanager
def kept_state(own: Changes = NOTHING, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """Run the body in a state of its own and put the process back, whatever happens in it.

    Parameters
    ----------
    own : mapping
        What the body's code changed before: holds during the body.
    seed : int, optional
        Of the global generators of Python, NumPy and torch during the body; default: as they are.

    Yields
    ------
    dict
        Filled when the body ends: what is changed then, to be given to the next body of the same code.
    """
    before, left = _read(), dict[str, Any]()
    try:
        _write(own, before)
        if seed is not None:
            _seed(seed)
        yield left
    finally:
        after = _read()
        left.update({name: after[name] for name in CARRIED if after[name] != before[name]})
        _write(before, after)


def _read() -> dict[str, Any]:
    return {name: read() for name, (read, _) in _parts().items()}


def _write(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Set what differs; what is as wanted is not touched."""
    for name, (_, write) in _parts().items():
        if name in wanted and wanted[name] != now[name]:
            write(wanted[name])


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the generator that code of users may use
    torch.default_generator.manual_seed(seed)  # torch.manual_seed keeps a record per call where CUDA is not running


CARRIED = (
    "warnings", "folder", "environment", "arguments", "modules", "recursion", "locale", "errors", "print", "torch",
    "scikit-learn",
)  # fmt: skip
"""Parts that come back with their code; the others (generators, streams, signals, logging) are only put back."""

Part = tuple[Callable[[], Any], Callable[[Any], Any]]
"""How a part is read and written."""


def _parts() -> dict[str, Part]:
    return {
        "warnings": (lambda: list(warnings.filters), _set_filters),
        "folder": (_folder, lambda folder: os.chdir(folder) if folder else None),
        "environment": (lambda: dict(os.environ), _set_environment),
        "arguments": (lambda: list(sys.argv), lambda argv: _replace(sys.argv, argv)),
        "modules": (lambda: list(sys.path), lambda path: _replace(sys.path, path)),
        "recursion": (sys.getrecursionlimit, sys.setrecursionlimit),
        "locale": (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
        "streams": (lambda: (sys.stdin, sys.stdout, sys.stderr, sys.excepthook), _set_streams),
        "signals": (_signals, _set_signals),
        "logging": (_logging, _set_logging),
        **_numpy_parts(),
        **_torch_parts(),
        **_sklearn_parts(),
        "random": (random.getstate, random.setstate),
    }


def _numpy_parts() -> dict[str, Part]:
    import numpy as np

    def generator() -> tuple[Any, ...]:
        state: Any = np.random.get_state()  # noqa: NPY002 - the generator that code of users may use
        name, keys, *rest = state
        return (name, keys.tobytes(), *rest)  # bytes can be compared

    def set_generator(state: tuple[Any, ...]) -> None:
        name, keys, *rest = state
        np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))  # noqa: NPY002

    return {
        "errors": (np.geterr, lambda errors: np.seterr(**errors)),
        "print": (np.get_printoptions, lambda options: np.set_printoptions(**options)),
        "numpy generator": (generator, set_generator),
    }


def _torch_parts() -> dict[str, Part]:
    import torch

    def settings() -> dict[str, Any]:
        return {
            "dtype": torch.get_default_dtype(),
            "device": torch.get_default_device(),
            "grad": torch.is_grad_enabled(),
            "threads": torch.get_num_threads(),
            "precision": torch.get_float32_matmul_precision(),
            "mkldnn": torch.backends.mkldnn.enabled,
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
            "anomalies": torch.is_anomaly_enabled(),
        }

    def put(wanted: dict[str, Any]) -> None:
        torch.set_default_dtype(wanted["dtype"])
        if torch.get_default_device() != wanted["device"]:
            torch.set_default_device(wanted["device"])
        torch.set_grad_enabled(wanted["grad"])
        torch.set_num_threads(wanted["threads"])
        torch.set_float32_matmul_precision(wanted["precision"])
        torch.backends.mkldnn.enabled = wanted["mkldnn"]
        torch.use_deterministic_algorithms(wanted["deterministic"], warn_only=wanted["warn only"])
        torch.autograd.set_detect_anomaly(wanted["anomalies"])

    def generator() -> bytes:
        return torch.get_rng_state().numpy().tobytes()

    def set_generator(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    return {"torch": (settings, put), "torch generator": (generator, set_generator)}


def _sklearn_parts() -> dict[str, Part]:
    import sklearn

    library: Any = sklearn  # without annotations
    return {"scikit-learn": (library.get_config, lambda config: library.set_config(**config))}


def _folder() -> str:
    """The working folder; empty where it was deleted."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


def _replace(what: list[str], wanted: list[str]) -> None:
    what[:] = wanted


def _set_filters(filters: list[Any]) -> None:
    warnings.resetwarnings()  # also tells every module that its record of shown warnings is out of date
    warnings.filters[:] = filters  # type: ignore[index]


def _set_environment(wanted: dict[str, str]) -> None:
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def _set_streams(streams: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr, sys.excepthook = streams


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _signals() -> tuple[Any, ...]:
    return tuple(signal.getsignal(number) for number in SIGNALS)


def _set_signals(handlers: tuple[Any, ...]) -> None:
    if threading.current_thread() is threading.main_thread():  # elsewhere nobody can have changed them
        for number, handler in zip(SIGNALS, handlers, strict=True):
            if handler is not None:  # None: set by a library in C, and not from Python
                signal.signal(number, handler)


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.manager.disable, root.level, list(root.handlers)


def _set_logging(state: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    disabled, level, root.handlers[:] = state
    logging.disable(disabled)
    root.setLevel(level)
