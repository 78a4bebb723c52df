"""Mixtures inside the layers: every row has its own weights on the adapters, and one pass composes them.

An output mixture averages what K experts say after K passes. Here the weights act on what the adapters add to each
matrix (:class:`llm_experts.mixtures.bank.AdapterBank`), so that a row is read once, whatever it is mixed of.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from experts.saved import part_of, read_facts
from foundation.files import write_json
from gates.gate import masked_features
from llm_experts.adapters.error import AdapterError
from llm_experts.decoder.cut import Top
from llm_experts.mixtures.bank import AdapterBank
from llm_experts.mixtures.routers import Router, load_router
from llm_experts.reading.calibration import calibrated, fit_calibration
from llm_experts.reading.expert import DESCRIPTION, LLMExpert, check_one_scope
from llm_experts.reading.margin_memory import MarginMemory
from metrics.explainers.occlusion import occlusion_columns

if TYPE_CHECKING:
    from llm_experts.prompts.prompts import Packed
    from llm_experts.reading.reader import Reader
    from tasks.task import TaskView


KIND = "text mixture"


@dataclass(frozen=True, eq=False)
class RowMixture:
    """Adapters composed row by row inside the layers; an :class:`experts.expert.Expert`.

    Attributes
    ----------
    experts : tuple of LLMExpert
        Of one reader; one without an adapter is the base, whose weight changes nothing.
    router : Router
        Weights on ``experts``.
    temperature, bias : float
        Calibration of the mixture's own margin.
    """

    experts: tuple[LLMExpert, ...]
    router: Router
    temperature: float = 1.0
    bias: float = 0.0
    memory: MarginMemory = field(default_factory=MarginMemory, repr=False)
    role: str = "mixture"
    family: str = "mixture"
    explainer: str = "occlusion"
    _reading: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        check_one_scope(self.experts)

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt: the adapters', and the calibration."""
        return sum(e.adapter.parameter_count for e in self.experts if e.adapter is not None) + 2

    def weights(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, m] weights of rows."""
        return self.router.weights(task, rows, keep)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] calibrated margin of class 1."""
        return calibrated(self.margins(task, rows, keep), self.temperature, self.bias)

    def margins(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margins before calibration; a text is read once, unless rows that read alike differ to a gate."""
        if not len(rows):
            return torch.zeros(0)
        packed = self._reader.pack(task, rows, keep)
        seen = (masked_features(task, rows, keep) + 0.0).numpy()  # a masked negative number is -0.0
        keys = [text + _digest(row.tobytes()) for text, row in zip(packed.keys(), seen, strict=True)]
        missing = self.memory.missing(keys)
        if missing:
            shown = None if keep is None else keep[missing]
            weights = self.router.weights(task, rows[missing], shown)[:, self._slots]
            found = self._read(packed.select(torch.tensor(missing)), weights, self._reader.prompts(task).answer_ids)
            self.memory.learn([keys[index] for index in missing], found)
        return self.memory.values(keys)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] margin minus margin with the column unknown; the routing is part of what is explained."""

        def margin(picked: Tensor, keep: Tensor) -> Tensor:
            return self.logits(task, rows[picked], keep)

        return occlusion_columns(margin, len(rows), len(task.columns)).float()

    def save(self, folder: Path) -> None:
        """Write one sub-folder per expert, one for the router, and ``expert.json``."""
        names = [f"expert_{index}_{expert.kind}_{expert.role}" for index, expert in enumerate(self.experts)]
        for name, expert in zip(names, self.experts, strict=True):
            (folder / name).mkdir()
            expert.save(folder / name)
        (folder / "router").mkdir()
        self.router.save(folder / "router")
        facts = {"kind": KIND, "family": self.family, "role": self.role, "experts": names}
        told = {"temperature": self.temperature, "bias": self.bias, "router": self.router.kind}
        write_json(folder / DESCRIPTION, {**facts, **told})

    @property
    def _reader(self) -> Reader:
        return self.experts[0].reader

    @cached_property
    def _slots(self) -> list[int]:
        """Which of the experts have an adapter."""
        return [index for index, expert in enumerate(self.experts) if expert.adapter is not None]

    @contextmanager
    def composed(self, weights: Tensor) -> Iterator[None]:
        """Within, the base itself computes one composition, ``weights`` [m], for all texts."""
        bank = self._new_bank()
        with bank.gate(weights[self._slots]):
            yield

    @cached_property
    def _bank(self) -> AdapterBank:
        return self._new_bank()

    def _new_bank(self) -> AdapterBank:
        adapters = [self.experts[slot].adapter for slot in self._slots]
        if not adapters:
            raise AdapterError("A mixture inside the layers needs at least one expert with an adapter.")
        sources = [(adapter.config, adapter.state) for adapter in adapters if adapter is not None]
        return AdapterBank.from_adapters(self._reader.base, sources)

    @torch.no_grad()
    def _read(self, packed: Packed, weights: Tensor, answer_ids: tuple[int, int]) -> Tensor:
        """[r] margins of prompts with weights [r, slots], in batches of texts of like length.

        One thread at a time: the bank is attached to the top of one question.
        """
        found = torch.empty(len(packed))
        with self._reading:
            top = self._top(answer_ids)
            for batch, given in self._reader.batches(packed):
                with self._bank.gate(weights[batch]):
                    margin = top(given.hidden, given.layout, past=given.past or None).margin
                    found[batch] = margin.float().cpu()
        return found

    def _top(self, answer_ids: tuple[int, int]) -> Top:
        """The base's own top with the bank attached."""
        if answer_ids not in self._tops:
            top = self._reader.cut.top(answer_ids)
            self._bank.detach()
            self._bank.attach(top.layers, self._reader.start)
            self._tops.clear()
            self._tops[answer_ids] = top
        return self._tops[answer_ids]

    @cached_property
    def _tops(self) -> dict[tuple[int, int], Top]:
        return {}


def _digest(features: bytes) -> bytes:
    return hashlib.blake2b(features, digest_size=16).digest()


def calibrate_mixture(mixture: RowMixture, task: TaskView, rows: Tensor) -> RowMixture:
    """The mixture with temperature and bias fitted on labelled rows; it keeps its stored margins."""
    temperature, bias = fit_calibration(mixture.margins(task, rows)[None], task.labels[rows])
    return dataclasses.replace(mixture, temperature=float(temperature[0]), bias=float(bias[0]))


def load_row_mixture(folder: Path, load_expert: Callable[[Path], LLMExpert]) -> RowMixture:
    """Read what :meth:`RowMixture.save` wrote.

    Parameters
    ----------
    folder : Path
    load_expert : callable
        Reads one expert's folder; all must share a reader (:func:`llm_experts.reading.expert.load_llm_expert`).

    Raises
    ------
    AdapterError
        If the router is of no known kind.
    """
    facts = read_facts(folder / DESCRIPTION)
    experts = tuple(load_expert(part_of(folder, name)) for name in facts["experts"])
    router = load_router(folder / "router", facts["router"], experts)
    return RowMixture(experts, router, facts["temperature"], facts["bias"], role=facts["role"])
