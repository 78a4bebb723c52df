"""Elastic weight consolidation (Kirkpatrick et al. 2017): a second task is learnt, and the first not forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from foundation.hashing import hash_file
from llm_experts.data.reading import read_examples
from llm_experts.training.loop.earlier import earlier_hash
from llm_experts.training.loop.method import Method, MethodRecord, Need, Run
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.consolidation import holding_penalty
from llm_experts.training.methods.fisher import (
    FILE,
    HELD,
    Fisher,
    Labels,
    flat,
    keep_fisher,
    read_fisher,
    write_fisher,
)
from llm_experts.training.sequences.batch import Batch
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class EWCOptions:
    """Options of elastic weight consolidation; the earlier expert is the one that training goes on from (after).

    Attributes
    ----------
    strength : float
        How firmly the earlier task's weights are held (λ), at least 0; 0 is plain fine-tuning.
    data : str
        File with items of the earlier task; not needed where its Fisher information is in the expert's folder.
    items : int
        Most items that the Fisher information is measured on, the first of the file.
    labels : {"data", "model"}
        Answers from the data (empirical Fisher), or drawn from the earlier expert (true Fisher).
    decay : float
        How much the tasks before the earlier one still count (γ of online EWC), in [0, 1].
    """

    strength: float = 1000.0
    data: str = ""
    items: int = 256
    labels: Labels = "data"
    decay: float = 1.0

    def __post_init__(self) -> None:
        bounds = {
            "strength": (self.strength >= 0, "at least 0"),
            "items": (self.items >= 1, "at least 1"),
            "labels": (self.labels in ("data", "model"), "data or model"),
            "decay": (0 <= self.decay <= 1, "at least 0 and at most 1"),
        }
        for name, (sound, must) in bounds.items():
            if not sound:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be {must}.")


class EWC(Method):
    """``NLL of the new task + (λ/2) Σ_i F_i (θ_i - θ*_i)²``."""

    needs: Need = "completion"

    def __init__(self, options: EWCOptions) -> None:
        self._options = options
        self._anchor = self._fisher = torch.zeros(0, 0)

    def start(self, run: Run) -> None:
        """Take θ* and F of every lane's earlier expert, and note in the new one's folder what it holds.

        Raises
        ------
        SettingsError
            If there is no earlier expert, or nothing to measure its Fisher information on.
        """
        self._anchor = run.lanes.start.detach().clone()
        rows = []
        for given, folder in zip(run.assignments, run.folders, strict=True):
            if given.after is None:
                raise SettingsError(
                    f"The expert {given.name} has nothing to hold on to: name the folder of the earlier expert (after)."
                )
            found = self._of(given.after, run)
            rows.append(flat(run.lanes, found))
            write_fisher(folder / HELD, found)
        self._fisher = torch.stack(rows)

    def _of(self, earlier: Path, run: Run) -> Fisher:
        path = earlier / FILE
        if path.is_file():
            found = read_fisher(path)
            if found.adapter == earlier_hash(earlier):
                return found
        if not self._options.data:
            raise SettingsError(
                f"{earlier} has no Fisher information of its adapter ({FILE}). Name a file with items of its task "
                "(option data): it is measured there and kept beside the expert."
            )
        need: Need = "completion" if self._options.labels == "data" else "prompt"
        examples = read_examples(Path(self._options.data).expanduser(), need=need)[: self._options.items]
        return keep_fisher(
            earlier, run.base, examples, run.settings, labels=self._options.labels, decay=self._options.decay
        )

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] share of the mean over the tokens of a step, and of the penalty; figures: both."""
        plain = -lanes.token_logprobs(theta, batch).sum((1, 2)) / batch.tokens
        held = holding_penalty(theta, self._anchor, self._fisher, self._options.strength)
        held = held * batch.learnt.sum((-2, -1)) / batch.tokens  # a step's micro-batches add up to it
        return plain + held, {"surprise": plain.detach(), "held": held.detach()}

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._anchor, self._fisher = self._anchor[lanes], self._fisher[lanes]

    def state(self) -> dict[str, Tensor]:
        """θ* and F, which may be gone from the earlier expert's folder when training goes on."""
        return {"anchor": self._anchor, "fisher": self._fisher}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self._anchor, self._fisher = state["anchor"], state["fisher"]


def sources(options: EWCOptions) -> dict[str, str]:
    """sha256 of the earlier task's items."""
    path = Path(options.data).expanduser()
    return {"data": hash_file(path)} if options.data and path.is_file() else {}


METHOD = MethodRecord(
    name="ewc",
    label="elastic weight consolidation",
    about="learns a second task without forgetting the first",
    needs="completion",
    options=EWCOptions,
    make=EWC,
    sources=sources,
)
