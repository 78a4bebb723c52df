"""An LLM expert: a frozen base, one adapter and a calibration, seen as an :class:`experts.expert.Expert`.

After the first question an expert is its stored margins: evidence, gates and mixtures ask again and get the same
numbers without the model. Attributions are by occlusion, so what explains an expert is also what measures its fidelity.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from experts.expert import Role
from foundation.files import write_json
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.store import SCOPE, check_base, read_adapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.bases.identify import base_key
from llm_experts.decoder.entry import FULL, SUFFIX
from llm_experts.decoder.program import Adapter
from llm_experts.decoder.verbaliser import AnswerMass
from llm_experts.prompts.prompts import Packed, pad
from llm_experts.reading.calibration import calibrated, fit_calibration
from llm_experts.reading.margin_memory import MarginMemory
from llm_experts.reading.origin import Origin, joined
from llm_experts.reading.reader import Reader
from metrics.explainers.occlusion import occlusion_columns
from tasks.task import TaskView

log = logging.getLogger(__name__)

DESCRIPTION = "expert.json"
ADAPTER = "adapter"
FORMAT = 2
TEXT = "text"
"""What ``expert.json`` calls a text expert."""
BASE_KIND = "base"
ROLES = (*get_args(Role), "base", "mixture")
"""What an expert may be: tuned for a role, the base as one of the experts of a mixture, or a mixture of SVF experts."""
PROBE_ROWS = 128
"""Rows that are probed at once: they and their variants are held as tokens."""


@dataclass(frozen=True, eq=False)
class LLMExpert:
    """One adapter on a base, calibrated; without an adapter the base itself, asked as it is.

    Attributes
    ----------
    role : {"utility", "result", "procedural", "combined", "base", "mixture"}
    reader : Reader
        Shared by the experts of a base: what they have in common is computed once.
    adapter : Adapter or None
    temperature, bias : float
        The margin is the verbaliser's log-odds / temperature + bias.
    origins : tuple of Origin
        Which rows trained, chose or calibrated it; () if that is not known.
    memory : MarginMemory
        Uncalibrated margins that were computed.
    """

    role: str
    reader: Reader
    adapter: Adapter | None = None
    temperature: float = 1.0
    bias: float = 0.0
    origins: tuple[Origin, ...] = ()
    memory: MarginMemory = field(default_factory=MarginMemory, repr=False)
    family: str = "llm"
    explainer: str = "occlusion"

    @property
    def kind(self) -> str:
        """Kind of the adapter; "base" without one."""
        return BASE_KIND if self.adapter is None else self.adapter.kind

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt: the adapter's that train, temperature and bias."""
        return (0 if self.adapter is None else self.adapter.parameter_count) + 2

    @property
    def adapter_bytes(self) -> int:
        """Size of the adapter's weights."""
        return 0 if self.adapter is None else self.adapter.bytes

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; a column not kept ([r, columns] bool) is written as unknown."""
        return calibrated(self.margins(task, rows, keep), self.temperature, self.bias)

    def margins(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margins before calibration."""
        if not len(rows):
            return torch.zeros(0)
        packed = self.reader.pack(task, rows, keep)
        keys = packed.keys()
        _learn([self], self.reader.prompts(task).answer_ids, packed, keys)
        return self.memory.values(keys)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] margin minus margin with the column unknown."""
        if not len(rows):
            return torch.zeros(0, len(task.columns))
        probe([self], task, rows, moved=False)

        def margin(picked: Tensor, keep: Tensor) -> Tensor:
            return self.logits(task, rows[picked], keep)

        return occlusion_columns(margin, len(rows), len(task.columns)).float()

    def pooled(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, d] final hidden state of the answer tokens: what dispatchers and adversaries see."""
        return self.reader.pooled([self.adapter], task, rows)[0]

    def answer_mass(self, task: TaskView, rows: Tensor) -> AnswerMass:
        """Probability of the two answers among all words; warns if its mean is below 0.1."""
        mass = self.reader.answer_mass([self.adapter], task, rows)[0]
        return AnswerMass.of(mass, f"The {self.role} expert ({self.kind} on {self.reader.base.id}) of {task.name}")

    def forget(self) -> None:
        """Drop all stored margins."""
        self.memory.clear()

    def save(self, folder: Path) -> None:
        """Write ``expert.json`` and, in PEFT's format, ``adapter/`` into an existing folder."""
        base = self.reader.base
        if self.adapter is not None:
            facts = {"role": self.role, **({} if self.reader.scope == FULL else {SCOPE: self.reader.scope})}
            save_adapter(folder / ADAPTER, base, self.adapter.config, self.adapter.state, facts)
        write_json(
            folder / DESCRIPTION,
            {
                "format": FORMAT,
                "family": self.family,
                "role": self.role,
                "kind": TEXT,
                "adapter": self.kind,
                "explainer": self.explainer,
                "template": self.reader.template,
                "start": self.reader.start,
                **({} if self.reader.scope == FULL else {SCOPE: self.reader.scope}),
                "temperature": self.temperature,
                "bias": self.bias,
                "base": base_facts(base),
                "origins": [origin.as_dict() for origin in self.origins],
            },
        )


def check_whole(expert: LLMExpert) -> None:
    """Raise :class:`AdapterError` for an expert whose adapter must not act on whole texts of any kind."""
    if expert.adapter is not None and expert.reader.scope != FULL:
        raise AdapterError(
            f"The {expert.role} expert's adapter was trained with scope {expert.reader.scope}: it acts on the question "
            "behind a row, and other texts have no such end. Take an expert that was trained with --scope full."
        )


def check_one_scope(experts: Sequence[LLMExpert]) -> None:
    """Raise :class:`AdapterError` for experts whose adapters act on different parts of a text: they cannot be added."""
    scopes = {expert.reader.scope for expert in experts}
    if len(scopes) > 1:
        raise AdapterError(
            f"Experts of scopes {' and '.join(sorted(scopes))} cannot be mixed inside the layers: their adapters act "
            "on different parts of a text. Train all with the same --scope, or mix their answers with a gate."
        )


def base_facts(base: Base) -> dict[str, str]:
    """What an expert's files say of its base: id, hash and precision."""
    key = base_key(base)
    return {"id": base.id, "hash": base.hash, "dtype": key["dtype"], "quantisation": key["quantisation"]}


def base_expert(reader: Reader, role: str = "utility") -> LLMExpert:
    """The base itself, asked without any training; calibrate it before use."""
    return LLMExpert(role, reader)


def calibrate(experts: Sequence[LLMExpert], task: TaskView, rows: Tensor) -> list[LLMExpert]:
    """The experts with temperature and bias fitted on labelled rows; they keep their stored margins.

    Raises
    ------
    CalibrationError
        If a label is hidden or all rows have one class.
    """
    answer(experts, task, rows)
    margins = torch.stack([expert.margins(task, rows) for expert in experts])
    temperature, bias = fit_calibration(margins, task.labels[rows])
    seen = Origin.of(task, chosen=rows)
    return [
        dataclasses.replace(expert, temperature=t, bias=b, origins=joined([*expert.origins, seen]))
        for expert, t, b in zip(experts, temperature.tolist(), bias.tolist(), strict=True)
    ]


def answer(experts: Sequence[LLMExpert], task: TaskView, rows: Tensor, keep: Tensor | None = None) -> None:
    """Fill the memos of experts for some texts, those of one reader at once."""
    for reader, members in _by_reader(experts).items():
        packed = reader.pack(task, rows, keep)
        _learn(members, reader.prompts(task).answer_ids, packed, packed.keys())


def _learn(experts: Sequence[LLMExpert], answer_ids: tuple[int, int], packed: Packed, keys: Sequence[bytes]) -> None:
    """Ask experts of one reader for the prompts that one of them does not know."""
    missing = sorted({index for expert in experts for index in expert.memory.missing(keys)})
    if not missing:
        return
    adapters = [expert.adapter for expert in experts]
    asked = packed.select(torch.tensor(missing))
    found = experts[0].reader.ask(adapters, answer_ids, asked, lambda answers: answers.margin)
    for expert, margins in zip(experts, found, strict=True):
        expert.memory.learn([keys[index] for index in missing], margins)


def probe(experts: Sequence[LLMExpert], task: TaskView, rows: Tensor, *, moved: bool = True) -> None:
    """Fill the memos of experts with all that the fixed metrics will ask.

    The rows, the rows with each single column unknown and, where the sensitive columns are features and ``moved``, the
    rows moved to every group. Experts of one reader are asked at once, and what altered rows begin with is read once.
    """
    others = [task.moved_to(group) for group in range(len(task.group_names))] if moved and task.flip else []
    for reader, members in _by_reader(experts).items():
        for part in torch.split(rows, PROBE_ROWS):
            _probe(reader, members, [task, *others], part)


def _probe(reader: Reader, experts: Sequence[LLMExpert], tasks: Sequence[TaskView], rows: Tensor) -> None:
    """Ask experts for rows of the first task, these with single columns unknown, and the same rows of other tasks."""
    prompts, n, columns = reader.prompts(tasks[0]), len(rows), len(tasks[0].columns)
    each, keep = torch.arange(n).repeat_interleave(columns), ~torch.eye(columns, dtype=torch.bool).repeat(n, 1)
    plain = prompts.pack(tasks[0], rows)
    altered = pad([prompts.pack(tasks[0], rows[each], keep), *(prompts.pack(task, rows) for task in tasks[1:])])
    source = torch.cat([each, *[torch.arange(n)] * (len(tasks) - 1)])
    keys, others = plain.keys(), altered.keys()
    missing = sorted({index for expert in experts for index in expert.memory.missing([*keys, *others])})
    asked = torch.tensor([index - n for index in missing if index >= n], dtype=torch.int64)
    own = {*source[asked].tolist(), *(index for index in missing if index < n)}
    if not own:
        return
    needed = torch.tensor(sorted(own))
    adapters, back = [expert.adapter for expert in experts], torch.searchsorted(needed, source[asked])
    found = reader.ask_branches(
        adapters, prompts.answer_ids, plain.select(needed).trimmed(), altered.select(asked).trimmed(), back
    )
    for expert, first, second in zip(experts, *found, strict=True):
        expert.memory.learn([keys[index] for index in needed.tolist()], first)
        expert.memory.learn([others[index] for index in asked.tolist()], second)


def _by_reader(experts: Sequence[LLMExpert]) -> dict[Reader, list[LLMExpert]]:
    readers: dict[Reader, list[LLMExpert]] = {}
    for expert in experts:
        readers.setdefault(expert.reader, []).append(expert)
    return readers


def load_llm_expert(folder: Path, base: Base, readers: Sequence[Reader] = ()) -> LLMExpert:
    """Read what :meth:`LLMExpert.save` wrote.

    Parameters
    ----------
    folder : Path
    base : Base
        The one that it was trained on.
    readers : sequence of Reader, optional
        One of them is taken if it reads the same base in the same way.

    Raises
    ------
    AdapterError
        If a file is missing, damaged, describes no LLM expert, or belongs to another base.
    """
    facts = _description(folder / DESCRIPTION)
    if facts["base"]["hash"] != base.hash:
        raise AdapterError(
            f"The expert in {folder} was made on {facts['base']['id']} with hash {facts['base']['hash']}, but this "
            f"base is {base.id} with hash {base.hash}. Load the base that it was made on, or train the expert again."
        )
    adapter = None
    if facts["adapter"] != BASE_KIND:
        saved = read_adapter(folder / ADAPTER, facts.get(SCOPE, FULL))
        check_base(saved, base, folder / ADAPTER)
        adapter = Adapter(saved.config, saved.state)
    way = facts["template"], facts["start"], facts.get(SCOPE, FULL)
    same = (r for r in readers if r.base.hash == base.hash and (r.template, r.start, r.scope) == way)
    reader = next(same, None) or Reader(base, *way[:2], scope=way[2])
    _say_precision(folder, facts["base"], base)
    origins = tuple(Origin.from_dict(found) for found in facts.get("origins", ()))
    return LLMExpert(facts["role"], reader, adapter, facts["temperature"], facts["bias"], origins)


def _say_precision(folder: Path, made: dict[str, Any], base: Base) -> None:
    """Warn if a base is loaded in another precision than the one that an expert was made on."""
    here = base_key(base)
    other = [f"{name} {made[name]}" for name in ("dtype", "quantisation") if made.get(name, here[name]) != here[name]]
    if other:
        log.warning(
            "The expert in %s was made on %s with %s; here the base has dtype %s and quantisation %s, so its answers "
            "and its calibration are not those that were chosen. Load the base as it was.",
            folder, made["id"], " and ".join(other), here["dtype"], here["quantisation"],
        )  # fmt: skip


def _description(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AdapterError(f"There is no {path}; an LLM expert is a folder with {DESCRIPTION} and {ADAPTER}.") from None
    except ValueError as error:
        raise AdapterError(f"{path} is not JSON ({error}); train or fetch the expert again.") from error
    if problem := _problem(facts):
        raise AdapterError(f"{path} does not describe an LLM expert: {problem}. Train or fetch the expert again.")
    return dict(facts)


def _problem(facts: Any) -> str:
    """What is wrong with a description; "" if nothing is."""
    if not isinstance(facts, dict):
        return "it is not an object"
    if facts.get("family") != "llm":
        return f"its family is {facts.get('family')!r}"
    if facts.get("role") not in ROLES:
        return f"its role is {facts.get('role')!r}"
    if not isinstance(facts.get("base"), dict) or not {"id", "hash"} <= facts["base"].keys():
        return "it names no base"
    for name, kind in (("adapter", str), ("template", str), ("start", int), ("temperature", float), ("bias", float)):
        if not isinstance(facts.get(name), kind):
            return f"{name} is {facts.get(name)!r}"
    if not facts["temperature"] > 0:
        return f"temperature is {facts['temperature']}, it must be positive"
    if facts.get(SCOPE, FULL) not in (FULL, SUFFIX):
        return f"its scope is {facts[SCOPE]!r}"
    try:
        _ = [Origin.from_dict(found) for found in facts.get("origins", ())]
    except (TypeError, ValueError) as error:
        return str(error)
    return ""
