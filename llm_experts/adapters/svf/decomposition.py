"""Singular value decompositions of weights: computed once, kept on disk under the weight's hash."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from foundation.files import atomic_path
from llm_experts.adapters.delta import Spectrum
from llm_experts.adapters.error import AdapterError
from tasks.fetch import cache_folder as user_cache

logger = logging.getLogger(__name__)

ENERGY_TOLERANCE = 1e-4
"""Largest relative difference between Σσ² and ‖W‖² of a decomposition that is believed."""

PATIENCE = 2.0
"""Seconds of decompositions in this process after which it is said, once, what takes so long."""
_spent = [0.0]

_DEFAULT = object()
_folder: ContextVar[object] = ContextVar("svf_cache", default=_DEFAULT)


class _Damaged(Exception):
    """A file that is not the decomposition it was written as."""


def cache_folder() -> Path | None:
    """Where decompositions are kept; None: nowhere. See :func:`spectra_in`."""
    folder = _folder.get()
    if folder is _DEFAULT:
        return user_cache() / "svd"
    return None if folder is None else Path(str(folder))


@contextmanager
def spectra_in(folder: Path | None) -> Iterator[None]:
    """Within, keep decompositions in this folder, or nowhere; the default is ``svd`` in the user's cache folder."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def weight_hash(weight: Tensor) -> str:
    """sha256 of a matrix as float32: shape and values, not dtype, device or memory layout."""
    values = weight.detach().to("cpu", torch.float32).contiguous()
    digest = hashlib.sha256(f"{tuple(values.shape)}".encode())
    digest.update(values.numpy().data)
    return digest.hexdigest()


class _Hashed(NamedTuple):
    """A hash, and what the weight was like that has it."""

    like: tuple[Any, ...]
    digest: str


_HASHES: MutableMapping[Tensor, _Hashed] = WeakIdKeyDictionary()
"""By the tensor that a module keeps: copies of a base keep the very same ones."""


def kept_hash(stored: Tensor, weight: Tensor) -> str:
    """:func:`weight_hash` of a matrix, computed once for all modules that keep it as ``stored``.

    A changed weight is hashed anew: beside torch's counter of changes, which does not see all of them, its sum and its
    norm are compared, ten times faster than the hash.
    """
    total, norm = weight.sum(dtype=torch.float64), torch.linalg.vector_norm(weight, dtype=torch.float64)
    like = (stored._version, stored.data_ptr(), weight.shape, weight.dtype, weight.device, float(total), float(norm))
    known = _HASHES.get(stored)
    if known is None or known.like != like:
        known = _HASHES[stored] = _Hashed(like, weight_hash(weight))
    return known.digest


def spectrum_of(weight: Tensor, digest: str | None = None) -> Spectrum:
    """The decomposition of a matrix [out, in], from the cache if it is there.

    Parameters
    ----------
    weight : [out, in]
        Any floating dtype.
    digest : str, optional
        Its :func:`weight_hash`, if known.

    Notes
    -----
    A damaged file is reported and computed again.

    Raises
    ------
    AdapterError
        If the weight is not finite or no driver can decompose it.
    """
    folder = cache_folder()
    if folder is None:
        return decompose(weight)
    path = folder / f"{digest or weight_hash(weight)}.safetensors"
    if path.exists():
        try:
            return _read(path, tuple(weight.shape)).to(weight.device)
        except _Damaged as damage:
            logger.warning("%s is damaged (%s); the decomposition is computed again and written over it.", path, damage)
    begun = time.perf_counter()
    found = decompose(weight)
    _write(path, found)
    _tell(time.perf_counter() - begun, folder)
    return found


def _tell(seconds: float, folder: Path) -> None:
    """Say what takes so long, when it has taken so long."""
    before = _spent[0]
    _spent[0] += seconds
    if before <= PATIENCE < _spent[0]:
        logger.warning(
            "SVF needs the singular values of the base's matrices. They are computed once, which can take minutes, and "
            "kept in %s; the next start reads them there.", folder,
        )  # fmt: skip


def decompose(weight: Tensor) -> Spectrum:
    """The decomposition of a matrix [out, in] on its own device, in float32.

    Where LAPACK's divide and conquer does not converge, or returns what is no decomposition, the slower QR iteration in
    float64 takes over and a log line says so.
    """
    w = weight.detach().to(torch.float32)
    if not bool(torch.isfinite(w).all()):
        raise AdapterError(
            f"A weight of shape {tuple(w.shape)} holds values that are not finite and has no singular values; "
            "load the base again, in float32 if it overflowed in float16."
        )
    try:
        u, s, vh = torch.linalg.svd(w, full_matrices=False)
        reason = None if _keeps_energy(w, s) else "its result was no decomposition"
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        reason = str(error)
    if reason is not None:
        logger.warning("torch.linalg.svd failed on a weight %s (%s): gesvd in float64.", tuple(w.shape), reason)
        u, s, vh = _qr_iteration(w)
    return _with_signs(u, s, vh.mT)


def _keeps_energy(w: Tensor, s: Tensor) -> bool:
    whole = float(w.double().square().sum())
    return abs(float(s.double().square().sum()) - whole) <= ENERGY_TOLERANCE * whole


def _qr_iteration(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """LAPACK's gesvd in float64, on the CPU."""
    from scipy.linalg import svd

    try:
        factors = svd(w.double().cpu().numpy(), full_matrices=False, lapack_driver="gesvd")
    except np.linalg.LinAlgError as error:
        raise AdapterError(
            f"No driver can decompose a weight of shape {tuple(w.shape)} ({error}); leave this module out."
        ) from error
    u, s, vh = (torch.from_numpy(np.ascontiguousarray(f)).to(w.device, torch.float32) for f in factors)
    return u, s, vh


def _with_signs(u: Tensor, s: Tensor, v: Tensor) -> Spectrum:
    """Singular vectors are unique up to their sign: make the largest entry of each column of U positive."""
    pivots = u.gather(0, u.abs().argmax(0, keepdim=True))
    signs = torch.where(pivots < 0, -1.0, 1.0)
    return Spectrum((u * signs).contiguous(), s.contiguous(), (v * signs).contiguous())


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()


def _write(path: Path, spectrum: Spectrum) -> None:
    from safetensors.torch import save_file

    tensors = {name: t.cpu().contiguous() for name, t in spectrum._asdict().items()}
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={"sha256": _checksum(tensors)})
    except OSError as error:
        logger.warning("%s cannot be written (%s): this decomposition will be computed again next time.", path, error)


def _read(path: Path, shape: tuple[int, ...]) -> Spectrum:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            expected = (file.metadata() or {}).get("sha256")
    except SafetensorError as error:
        raise _Damaged(str(error)) from error
    k = min(shape)
    if {name: tuple(t.shape) for name, t in tensors.items()} != {"u": (shape[0], k), "s": (k,), "v": (shape[1], k)}:
        raise _Damaged("it holds other arrays")
    if _checksum(tensors) != expected:
        raise _Damaged("its checksum is wrong")
    return Spectrum(**tensors)
