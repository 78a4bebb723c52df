"""True evaluations of mixtures, kept in memory and, where a folder is given, on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from foundation.files import atomic_path
from llm_experts.search.mixture import MixtureModel, MovableMixture, Outputs, TimedMixture
from llm_experts.search.settings import SearchError


class TrueEvaluations:
    """Runs mixtures through the model, each once.

    Parameters
    ----------
    model : MixtureModel
    moved : bool
        Whether moved margins are wanted.
    latency : bool
        Whether the model's cost model is asked.
    folder : Path or None
        One safetensors file per mixture, named by the hash of model and weights; a search that was killed goes on
        with what is there.
    batch : int
        Mixtures handed to the model at once. Batches are formed in order, so that a resumed search asks for the same
        ones.
    """

    def __init__(
        self, model: MixtureModel, *, moved: bool, latency: bool, folder: Path | None = None, batch: int = 16
    ) -> None:
        self.model, self.moved, self.latency, self.folder, self.batch = model, moved, latency, folder, batch
        self.passes = 0
        """Mixtures that went through the model in this process."""
        self.asked: set[tuple[float, ...]] = set()
        """Weights that were asked for, from the model or from the folder."""
        self._known: dict[str, dict[str, Tensor]] = {}

    def __call__(self, alphas: Tensor) -> Outputs:
        """Outputs of mixtures [P, K] float64; new ones go through the model."""
        keys = [self._key(alpha) for alpha in alphas]
        self.asked |= {tuple(alpha.tolist()) for alpha in alphas}
        missing = [i for i, key in enumerate(keys) if key not in self._known and not self._load(key)]
        missing = list({keys[i]: i for i in reversed(missing)}.values())[::-1]
        for start in range(0, len(missing), self.batch):
            self._run(alphas, keys, missing[start : start + self.batch])
        margins = torch.stack([self._known[key]["margins"] for key in keys])
        moved = torch.stack([self._known[key]["moved"] for key in keys]) if self.moved else None
        return Outputs(margins, moved, self.latency_of(alphas))

    def latency_of(self, alphas: Tensor) -> Tensor | None:
        """[P] milliseconds, or None where latency is not asked for."""
        return self.model.latency_ms(alphas) if self.latency and isinstance(self.model, TimedMixture) else None

    def _key(self, alpha: Tensor) -> str:
        words = (self.model.hash, str(self.moved), *(float(a).hex() for a in alpha))
        return hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:32]

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / "evaluations" / f"{key}.safetensors"

    def _load(self, key: str) -> bool:
        path = self._path(key)
        if path is None or not path.exists():
            return False
        self._known[key] = load_file(path)
        return True

    def _run(self, alphas: Tensor, keys: list[str], batch: list[int]) -> None:
        with torch.no_grad():
            margins = self.model.margins(alphas[batch])
            moved = self.model.moved(alphas[batch]) if self.moved and isinstance(self.model, MovableMixture) else None
        if margins.shape[0] != len(batch) or margins.ndim != 2:
            raise SearchError(
                f"The mixture model gave margins of shape {tuple(margins.shape)} for {len(batch)} mixtures; it has to "
                "give one row per mixture, [P, n]."
            )
        self.passes += len(batch)
        for place, i in enumerate(batch):
            found = {"margins": margins[place].detach().cpu().contiguous()}
            if moved is not None:
                found["moved"] = moved[place].detach().cpu().contiguous()
            self._known[keys[i]] = found
            path = self._path(keys[i])
            if path is not None:
                with atomic_path(path) as temporary:
                    save_file(found, temporary)
