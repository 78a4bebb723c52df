"""How much an expert's task needs each of its weights: the diagonal Fisher information, kept beside the expert."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from foundation.files import atomic_path
from foundation.tensor_facts import facts_of, header_of
from llm_experts.bases.base import Base
from llm_experts.data.encoding import all_stops
from llm_experts.data.example import Example
from llm_experts.decoder.program import Adapter
from llm_experts.training.loop.earlier import earlier_adapter, earlier_hash
from llm_experts.training.loop.order import items_of
from llm_experts.training.loop.settings import Settings, SettingsError
from llm_experts.training.losses.consolidation import consolidated
from llm_experts.training.sequences.batch import Item, Row, collate
from llm_experts.training.sequences.lanes import SequenceLanes
from llm_experts.training.sequences.lower import LowerLayers

FILE = "fisher.safetensors"
"""In an expert's folder."""
HELD = "held.safetensors"
"""What an expert held in place while it was trained: the Fisher information of the tasks before its own."""
TOGETHER = 16
"""Samples whose gradients are held at once: as many copies of the adapter are lanes, each with a sample of its own."""
Labels = Literal["data", "model"]


@dataclass(frozen=True)
class Fisher:
    """Diagonal Fisher information of an adapter's weights.

    Attributes
    ----------
    values : dict of str -> Tensor
        By the keys of the adapter's state, those that train; at least 0.
    adapter : str
        sha256 of the weights that it was measured at.
    samples : int
        Answers that it is a mean over.
    labels : {"data", "model"}
        Whether answers are those of the data (empirical) or drawn from the expert (true).
    """

    values: dict[str, Tensor]
    adapter: str
    samples: int
    labels: Labels


def fisher_of(
    base: Base,
    adapter: Adapter,
    examples: Sequence[Example],
    settings: Settings,
    *,
    labels: Labels = "data",
    longest: int = 32,
    lower: LowerLayers | None = None,
) -> Tensor:
    """[P] diagonal Fisher information of an adapter on a task, ``mean of (∂ log p(y|x) / ∂θ_i)²`` over its items.

    A gradient for every sample: copies of the adapter are lanes, each of which reads one item.

    Parameters
    ----------
    base, adapter
        The expert.
    examples : sequence of Example
        Of its task, with answers where ``labels`` is data.
    settings : Settings
        How they become tokens.
    labels : {"data", "model"}
        y from the data, or drawn from the expert (temperature 1, seed of the settings).
    longest : int
        Most tokens of a drawn answer.
    lower : LowerLayers, optional
        For the states that it keeps.
    """
    start = settings.start
    if labels == "data":
        items = items_of(examples, base, settings, "completion")
    else:
        items = _drawn(SequenceLanes.of(base, [adapter], start, lower), examples, settings, longest)
    items = sorted(items, key=lambda item: item.length)
    copies = SequenceLanes.of(base, [adapter] * min(TOGETHER, len(items)), start, lower)
    total = torch.zeros_like(copies.start[0], dtype=torch.float64)
    for at in range(0, len(items), len(copies)):
        some = items[at : at + len(copies)]
        lanes = copies if len(some) == len(copies) else copies.select(torch.arange(len(some)))
        theta = lanes.start.clone().requires_grad_()
        logprobs = lanes.token_logprobs(theta, collate([[item] for item in some], theta.device))
        (each,) = torch.autograd.grad(logprobs.sum(), theta)  # lanes do not meet: row i is the gradient of sample i
        total += each.double().square().sum(0)
    return (total / len(items)).float()


def _drawn(lanes: SequenceLanes, examples: Sequence[Example], settings: Settings, longest: int) -> list[Item]:
    prompts = items_of(examples, lanes.base, settings, "prompt")
    stop = all_stops(examples, lanes.base, settings.style)
    rows = [item.parts[0].ids for item in prompts]
    (said,) = lanes.sample(lanes.start, rows, max_new_tokens=longest, temperature=1.0, seed=settings.seed, stop=stop)
    return [
        Item(item.row, item.examples, (Row.of((*row, *answer.ids), (False,) * len(row) + (True,) * len(answer.ids)),))
        for item, row, answer in zip(prompts, rows, said, strict=True)
    ]


def keep_fisher(
    folder: Path,
    base: Base,
    examples: Sequence[Example],
    settings: Settings,
    *,
    labels: Labels = "data",
    longest: int = 32,
    decay: float = 1.0,
) -> Fisher:
    """Measure the Fisher information of a finished expert and write it into its folder.

    What the expert itself held in place counts on, ``F ← γ F_earlier + F_new`` (online EWC).

    Parameters
    ----------
    folder : Path
        Of the expert, as :func:`llm_experts.training.loop.fit.fit` wrote it.
    base, examples, settings, labels, longest
        See :func:`fisher_of`.
    decay : float
        γ, in [0, 1].
    """
    adapter = earlier_adapter(folder, base)
    lanes = SequenceLanes.of(base, [adapter], settings.start)
    new = fisher_of(base, adapter, examples, settings, labels=labels, longest=longest, lower=lanes.lower)
    earlier = folder / HELD
    if earlier.is_file():
        new = consolidated(flat(lanes, read_fisher(earlier)), new, decay)
    values = {key: value for key, value in lanes.state(0, new).items() if key in lanes.layers.trained}
    found = Fisher(values, earlier_hash(folder), len(examples), labels)
    write_fisher(folder / FILE, found)
    return found


def write_fisher(path: Path, fisher: Fisher) -> None:
    """Write it, whole or not at all."""
    from safetensors.torch import save_file

    facts = {"adapter": fisher.adapter, "samples": fisher.samples, "labels": fisher.labels}
    with atomic_path(path) as made:
        values = {key: value.detach().cpu().contiguous() for key, value in sorted(fisher.values.items())}
        save_file(values, made, metadata=header_of(facts))


def read_fisher(path: Path) -> Fisher:
    """Read what :func:`write_fisher` wrote.

    Raises
    ------
    SettingsError
        If the file is damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            facts = _facts(stream.metadata() or {})
            values = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118 (a handle, no mapping)
        found = Fisher(values, **facts)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise SettingsError(
            f"{path} is no Fisher information that can be read ({error}). Remove it; it is then measured again from "
            "the earlier task's items."
        ) from error
    if any(not bool(value.isfinite().all()) or bool((value < 0).any()) for value in values.values()):
        raise SettingsError(f"{path} holds numbers that are no Fisher information. Remove it, and measure it again.")
    return found


def _facts(header: Mapping[str, str]) -> dict[str, Any]:
    """Those of this version, or of the entry of its own that an earlier version wrote."""
    found = facts_of(header)
    if found is None:
        found = json.loads(header["fisher"])
    return {name: found[name] for name in ("adapter", "samples", "labels")}


def flat(lanes: SequenceLanes, fisher: Fisher) -> Tensor:
    """[P] values in the order of the lanes' weights.

    Raises
    ------
    SettingsError
        If they are of another adapter.
    """
    if set(fisher.values) != set(lanes.layers.trained):
        raise SettingsError(
            "The Fisher information is of an adapter of another kind or other layers than the one that is trained on. "
            "Train with the kind, rank and start of the earlier expert."
        )
    return lanes.theta_of([Adapter(lanes.layers.config, fisher.values)])[0]
