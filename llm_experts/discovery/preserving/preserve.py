"""What must stay as it was with the base: tests of non-inferiority, their margins stated beforehand.

A task is preserved if the lower end of the 95 % interval of after less before lies above −margin; where it does not,
that is "not shown to be preserved", and more items may show it. A base that is right in no larger share than the margin
has nothing to lose, and nothing is said of it: staying at 0 of 60 would pass any such test. Shares of right answers are
compared pair by pair (Newcombe's interval), log-probabilities of neutral texts by a bootstrap of the texts. A published
set that cannot be had is not measured, which is said; it ends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.bases.base import Base
from llm_experts.bias.likelihood import LMScorer
from llm_experts.bias.sources import BiasError
from llm_experts.data.encoding import Style, all_stops, prompt_ids
from llm_experts.data.error import DataError
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.discovery.measuring.domains import domains_named
from llm_experts.discovery.preserving import bias, persona, tools
from llm_experts.discovery.preserving.neutral import NEUTRAL
from llm_experts.evaluation.compare import PairedShares
from llm_experts.families.listed import listed_answers
from llm_experts.mixtures.item_mixtures import lowest_layer
from llm_experts.prompts.chat import encode_prompt
from llm_experts.search.books.strata import DRAWS, percentile_ends, stratified_weights
from llm_experts.training.sequences.batch import Item, by_length, whole_text
from llm_experts.training.sequences.choices import BATCH_TOKENS, choices_of
from llm_experts.training.sequences.lanes import SequenceLanes
from tasks.fetch import FetchError

Progress = Callable[[int, int], None]
FORMAT, PERPLEXITY = "tools_format", "perplexity"
BUILT_IN = (tools.NAME, FORMAT, persona.NAME, bias.NAME, PERPLEXITY)
"""What is looked at unless tasks are named."""
MARGIN = 0.10
"""Share of right answers, or natural units of log-probability per token, that may be lost."""
SKIPPED = 200
"""Items of the examination's part ahead of those that are asked for here, so that none is the same."""
LONGEST_CALL = 48
"""Tokens of a generated call at most."""
MOST_GENERATED = 60
"""Generated calls at most: they take longer than choices. Fewer than 40 show nothing of a base that makes none."""


@dataclass(frozen=True)
class Preserved:
    """What became of one task.

    Attributes
    ----------
    name : str
    kind : {"choice", "format", "bias", "perplexity"}
        Share of right choices among listed answers; share of generated answers that are a call of a tool; share of
        questions that are not answered as a stereotype has it; mean log-probability of a token of neutral texts.
    n : int
        Items or texts; 0: it could not be measured.
    before, after : float
        Of the base, and with the adapter; more is better in every kind.
    difference, low, high : float
        After less before, with its 95 % interval.
    margin : float
        Loss that was allowed beforehand.
    preserved : bool or None
        Whether ``low`` lies above −margin; None where ``before`` is a share of at most the margin, or where nothing was
        measured.
    reason : str
        Why nothing was measured; "" where it was.
    """

    name: str
    kind: str
    n: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    margin: float
    preserved: bool | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, without nan."""
        return finite_dict(asdict(self))

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Preserved:
        """The inverse of :meth:`as_dict`; unknown keys are left out."""
        return cls(**{part.name: given[part.name] for part in fields(cls) if part.name in given})


def check_preserved(
    base: Base,
    adapter: Adapter,
    preserve: Sequence[str] | None = None,
    *,
    items: int = 60,
    margin: float = MARGIN,
    skip: int = SKIPPED,
    style: Style = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Preserved, ...]:
    """Compare an adapter, such as a mixture, with its base on tasks that must stay.

    Parameters
    ----------
    preserve : sequence of str, optional
        Of ``tools``, ``tools_format``, ``persona``, ``bias``, ``perplexity`` (by default all), and families such as
        ``sql``, ``sql@0.5`` or ``rows:adult:sex@1500``.
    items : int
        Of each task; generated calls and neutral texts are fewer.
    margin : float
    skip : int
        Items of a family's test part that are left out, as the examination has those.
    progress : callable or None
        Called with tasks done and in all.

    Raises
    ------
    DataError
        If a task is unknown, or has not so many items.
    """
    wanted = tuple(dict.fromkeys(BUILT_IN if preserve is None else preserve))
    check_named(wanted)
    both = _Both.of(base, adapter, style)
    found = []
    for done, name in enumerate(wanted, 1):
        found.append(_task(both, name, items, margin, skip, seed))
        if progress is not None:
            progress(done, len(wanted))
    return tuple(found)


@dataclass(frozen=True)
class _Both:
    """A base, and lanes of one adapter over it."""

    base: Base
    adapter: Adapter
    lanes: SequenceLanes
    bare: SequenceLanes
    style: Style

    @classmethod
    def of(cls, base: Base, adapter: Adapter, style: Style) -> _Both:
        start = 0 if adapter.config.is_prompt_learning else lowest_layer([adapter])
        lanes = SequenceLanes.of(base, [adapter], start)
        return cls(base, adapter, lanes, SequenceLanes.bare(base, start, lanes.lower), style)


def _task(both: _Both, name: str, items: int, margin: float, skip: int, seed: int) -> Preserved:
    if name == PERPLEXITY:
        return _perplexity(both, margin, seed)
    if name == FORMAT:
        return _format(both, min(items, MOST_GENERATED), margin, seed)
    if name == bias.NAME:
        return _bias(both, items, margin, seed)
    choices = choices_of(both.base, _asked(both.base, name, items, skip, seed), both.style)
    before = choices.base_margins(both.lanes) > 0
    after = choices.margins(both.lanes, both.lanes.start)[0] > 0
    return _shares(name, "choice", before, after, margin)


def check_named(names: Sequence[str]) -> None:
    """Refuse a name that is no task to preserve.

    Raises
    ------
    DataError
        Saying which there are.
    """
    for name in names:
        if name in BUILT_IN:
            continue
        try:
            domains_named(name)
        except DataError as error:
            raise DataError(
                f"{name[:60]!a} is nothing that can be preserved: {', '.join(BUILT_IN)} are, and families. {error}"
            ) from error


def _asked(base: Base, name: str, items: int, skip: int, seed: int) -> list[Scenario]:
    if name == tools.NAME:
        return tools.tool_scenarios(items, seed)
    if name == persona.NAME:
        return persona.persona_scenarios(base, items, seed)
    (domain,) = domains_named(name)
    left = domain.items("scenarios", skip + items, seed)[skip:]
    return [Scenario(name, example, listed_answers(domain.judge, example, seed=seed)) for example in left]


def _shares(name: str, kind: str, before: Tensor, after: Tensor, margin: float) -> Preserved:
    """Two shares of the same items, with Newcombe's interval of their difference."""
    pair = PairedShares.of(after, before)
    low, high = pair.interval()
    shares = float(before.double().mean()), float(after.double().mean())
    kept = low > -margin if shares[0] > margin else None
    return Preserved(name, kind, len(before), *shares, pair.difference, low, high, margin, kept)


def _format(both: _Both, items: int, margin: float, seed: int) -> Preserved:
    """Whether generated answers are calls of the tools that were offered, right or not."""
    examples = [one.example for one in tools.tool_scenarios(items, seed)]
    prompts = [prompt_ids(example, both.base, both.style) for example in examples]
    stop = (*all_stops(examples, both.base, both.style), "\n")

    def valid(lanes: SequenceLanes) -> Tensor:
        told = lanes.sample(lanes.start, prompts, max_new_tokens=LONGEST_CALL, stop=stop)[0]
        pairs = zip(told, examples, strict=True)
        return torch.tensor([tools.call_in(one.text, tools.tools_of(item)) is not None for one, item in pairs])

    return _shares(FORMAT, "format", valid(both.bare), valid(both.lanes), margin)


def _bias(both: _Both, items: int, margin: float, seed: int) -> Preserved:
    """Whether questions that cannot be answered are answered as the stereotype has it."""
    try:
        asked = bias.ambiguous_questions(items, seed)
        before = bias.not_stereotyped(LMScorer.of(both.base), asked)
        after = bias.not_stereotyped(LMScorer.with_adapter(both.base, both.adapter), asked)
    except (FetchError, BiasError) as error:
        unknown = (math.nan,) * 5
        return Preserved(bias.NAME, bias.NAME, 0, *unknown, margin, None, reason=str(error))
    return _shares(bias.NAME, bias.NAME, before, after, margin)


def _perplexity(both: _Both, margin: float, seed: int) -> Preserved:
    texts = [text_item(both.base, row, sentence) for row, sentence in enumerate(NEUTRAL)]
    counts = torch.tensor([float(text.learnt) for text in texts], dtype=torch.float64)
    before, after = _logprobs(both, texts, None), _logprobs(both, texts, both.lanes.start)
    weights = stratified_weights(torch.zeros(len(texts), dtype=torch.int64), DRAWS, seed)
    drawn = (weights @ (after - before)) / (weights @ counts)
    difference = float((after - before).sum() / counts.sum())
    spread = float(drawn.max() - drawn.min()) > 0
    low, high = percentile_ends(difference, drawn, len(texts), -math.inf, math.inf) if spread else (difference,) * 2
    means = float(before.sum() / counts.sum()), float(after.sum() / counts.sum())
    return Preserved(PERPLEXITY, PERPLEXITY, len(texts), *means, difference, low, high, margin, low > -margin)


def text_item(base: Base, row: int, sentence: str) -> Item:
    """A text of which every token but the first is weighed."""
    return whole_text(row, encode_prompt(base, sentence))


@torch.no_grad()
def _logprobs(both: _Both, texts: Sequence[Item], theta: Tensor | None) -> Tensor:
    """[n] float64 log-probability of texts, of the base without ``theta``."""
    found = torch.empty(len(texts), dtype=torch.float64)
    for places, batch in by_length(texts, both.base.device, BATCH_TOKENS):
        each = both.lanes.base_logprobs(batch)[None] if theta is None else both.lanes.token_logprobs(theta, batch)
        found[places] = each[0].sum(-1).double().cpu()
    return found
