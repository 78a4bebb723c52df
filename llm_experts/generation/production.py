"""Batches of drafts, judged and taken, topic after topic in turn, until each has what it should give."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from llm_experts.generation.budget import Budget
from llm_experts.generation.checks.check import Check, Finding, Findings
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft, Provider
from llm_experts.generation.examined import examine
from llm_experts.generation.journal import Journal
from llm_experts.generation.judged import Judged
from llm_experts.generation.spec import DataSpec
from llm_experts.generation.supply import Order, Supply, supplies

FORM, REPEATED = "form", "repeated"
"""What is always checked: that a draft could be read, and that it did not come before."""
CENTS = 9
"""Decimals of dollars: below the price of a token, above the noise of a sum."""


class Production:
    """The making of one set.

    Parameters
    ----------
    spec, provider, context, checks, seed
        As in :func:`llm_experts.generation.produce.produce`.
    journal : Journal
    budget : Budget
    stop : callable
        Asked after every draft; true ends the run.
    filling : bool
        Whether what is missing will be filled up.
    clock : callable
        Seconds.

    Attributes
    ----------
    supplies : list of Supply
        One for every topic.
    dollars : float
        What the drafts cost.
    stopped : str
        Why it ended before its time: "asked", "minutes", or what the provider says; "" where it did not.
    """

    def __init__(
        self,
        spec: DataSpec,
        provider: Provider,
        context: Context,
        checks: Sequence[Check],
        journal: Journal,
        seed: int,
        budget: Budget,
        stop: Callable[[], bool],
        *,
        filling: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec, self.supplies = spec, supplies(spec, filling=filling)
        self.dollars, self.stopped = 0.0, ""
        self._provider, self._context, self._checks = provider, context, checks
        self._journal, self._seed = journal, seed
        self._stop, self._clock = stop, clock
        self._end = None if budget.minutes is None else clock() + 60 * budget.minutes
        self._seen: set[str] = set()
        provider.allow(None if budget.dollars is None else budget.dollars - journal.dollars + provider.spent)

    def run(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make items until every topic has ended, or the run is stopped."""
        while True:
            orders = [(supply, order) for supply in self.supplies if (order := supply.order())]
            if not orders:
                return
            for supply, order in orders:
                if not self._batch(supply, order):
                    return
                if progress is not None:
                    progress(sum(len(known.accepted) for known in self.supplies), self.spec.count)

    def _batch(self, supply: Supply, order: Order) -> bool:
        """Draft and judge an order; whether the run goes on."""
        drafts = self._recorded(supply, order)
        findings = self._journal.findings()
        if findings is None:
            drafts += self._made(supply, order, len(drafts))
            if self.stopped in ("asked", "minutes"):  # the drafts are in the journal
                return False
            if not drafts:
                supply.ended = "" if self.stopped else "none left"
                return not self.stopped
            findings = self._judged(drafts)
            self._journal.add_findings(findings)
        self._seen.update(draft.example.id for draft in drafts)
        batch = [Judged(*pair) for pair in zip(drafts, findings, strict=True)]
        for judged in batch:
            if judged.accepted:
                self._context.accept(judged.draft.example)
        supply.take(batch)
        return not self.stopped

    def _recorded(self, supply: Supply, order: Order) -> list[Draft]:
        recorded = self._journal.drafts(order.many)
        for drafted in recorded:
            self.dollars += drafted.dollars
            supply.in_place_of()
        return [drafted.draft for drafted in recorded]

    def _made(self, supply: Supply, order: Order, done: int) -> list[Draft]:
        """The drafts of an order from number ``done`` on; each is in the journal as soon as it is made."""
        found: list[Draft] = []
        if done == order.many or self._interrupted():
            return found
        spent = self._provider.spent
        for made in self._provider.drafts(self.spec, order.topic, order.many - done, self._seed, order.start + done):
            draft = replace(made, variant_of=supply.in_place_of())
            dollars, spent = round(self._provider.spent - spent, CENTS), self._provider.spent
            self._journal.add_draft(draft, dollars)
            self.dollars += dollars
            found.append(draft)
            if self._interrupted():
                return found
        if done + len(found) < order.many:
            self.stopped = self._provider.stopped
        return found

    def _interrupted(self) -> bool:
        if self._stop():
            self.stopped = "asked"
        elif self._end is not None and self._clock() >= self._end:
            self.stopped = "minutes"
        return bool(self.stopped)

    def _judged(self, drafts: Sequence[Draft]) -> list[Findings]:
        """Findings of every draft; what cannot be read, or came before, is not examined further."""
        found: list[Findings] = []
        seen = set(self._seen)
        for draft in drafts:
            found.append(_refused(draft, seen))
            seen.add(draft.example.id)
        asked = [draft for draft, refused in zip(drafts, found, strict=True) if not refused]
        examined = iter(examine(asked, self.spec, self._context, self._checks) if asked else ())
        return [refused or next(examined) for refused in found]


def _refused(draft: Draft, seen: set[str]) -> Findings:
    if draft.fault:
        return {FORM: Finding(False, reason=draft.fault)}
    if draft.example.id in seen:
        return {REPEATED: Finding(False, reason="it came before")}
    return {}
