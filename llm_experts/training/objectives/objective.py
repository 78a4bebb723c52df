"""The loss of the lanes of a role: utility, and the terms that the role has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from experts.expert import Role
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.training.objectives.answering import Answering
from llm_experts.training.objectives.registry import LAMBDAS, TERMS
from llm_experts.training.objectives.term import Options, Run, Setting, Step, Term
from llm_experts.training.objectives.text_batch import TextBatch
from llm_experts.training.objectives.utility import utility


class Objective:
    """The loss of K lanes of a role.

    Parameters
    ----------
    role : str
    lambdas : sequence of mapping
        Weights of each lane; a name that is missing is 0.
    options : Options
    pooled : int
        Width of the hidden states that the adversary sees.
    n_groups : int
    seeds : sequence of int
        Seeds of the lanes' adversaries.
    device : torch.device, optional
    answering : Answering, optional
        How much probability the answers must keep; None: the loss does not look.
    """

    def __init__(
        self,
        role: Role,
        lambdas: Sequence[Mapping[str, float]],
        options: Options,
        pooled: int,
        n_groups: int,
        seeds: Sequence[int],
        device: torch.device | None = None,
        answering: Answering | None = None,
    ) -> None:
        self._answering = answering
        self._options, self._terms = options, [TERMS[name] for name in LAMBDAS[role]]
        self._lambdas = {
            name: torch.tensor([float(lane.get(name, 0.0)) for lane in lambdas], device=device)
            for name in LAMBDAS[role]
        }
        setting = Setting(options, pooled, n_groups, seeds, device)
        self._states = {
            term.name: term.state(setting) for term in self._terms if term.state is not None and self.uses(term.name)
        }

    def uses(self, name: str) -> bool:
        """Whether a lane has a weight above 0 of this name."""
        return name in self._lambdas and bool((self._lambdas[name] > 0).any())

    @property
    def needs_moved(self) -> bool:
        """Whether a lane compares rows with themselves in another group."""
        return any(term.needs_moved and self.uses(term.name) for term in self._terms)

    def loss(self, run: Run, batch: TextBatch, lanes: slice, fair: bool = True) -> Tensor:
        """[k] losses of a chunk of lanes; ``fair`` False leaves out all but utility (warm-up)."""
        active = self._active(lanes, fair)
        given = _own_hidden(batch.given, lanes) if self.differentiates(lanes, fair) else batch.given
        answers = run(given)
        loss = utility(answers.margin, batch, lanes, self._options)
        if self._answering is not None:
            loss = loss + self._answering.shortfall(answers, batch.of(batch.relative_weights, lanes))
        return self._with_terms(loss, active, Step(answers, given, batch, lanes, run, self._options, None))

    def loss_by_rows(self, run: Run, part: TextBatch, lanes: slice, fair: bool) -> tuple[Tensor, Tensor]:
        """[k] what the rows of a part of a batch add to the losses, and to the mean mass of the answers.

        For losses that add up (:meth:`adds_up`), where no answers lack mass (:meth:`lacks`).
        """
        answers = run(part.given)
        loss = utility(answers.margin, part, lanes, self._options)
        step = Step(answers, part.given, part, lanes, run, self._options, None)
        with torch.no_grad():
            mass = self.mass(answers, part, lanes)
        return self._with_terms(loss, self._active(lanes, fair), step), mass

    def mass(self, answers: Answers, batch: TextBatch, lanes: slice) -> Tensor:
        """[k] mean mass of the answers, or a part's share of it; endless where nothing asks for it."""
        if self._answering is None:
            return torch.full_like(answers.margin[:, 0], torch.inf)
        return self._answering.mean_mass(answers, batch.of(batch.relative_weights, lanes)).detach()

    def lacks(self, mass: Tensor) -> bool:
        """Whether a lane's mean mass [k] is so small that the loss pulls at it."""
        return self._answering is not None and bool((mass < self._answering.wanted).any())

    def adds_up(self, lanes: slice, fair: bool) -> bool:
        """Whether the losses of a chunk of lanes are sums over rows, but for what keeps the answers' mass."""
        return all(term.adds_up for term, _ in self._active(lanes, fair))

    def differentiates(self, lanes: slice, fair: bool) -> bool:
        """Whether a term of a chunk of lanes takes slopes of the answers: such a batch is one part."""
        return any(term.differentiates(self._options) for term, _ in self._active(lanes, fair))

    def _active(self, lanes: slice, fair: bool) -> list[tuple[Term, Tensor]]:
        weighted = [(term, self._weight(term.name, lanes)) for term in self._terms] if fair else []
        return [(term, weight) for term, weight in weighted if weight is not None]

    def _with_terms(self, loss: Tensor, active: Sequence[tuple[Term, Tensor]], step: Step) -> Tensor:
        for term, weight in active:
            loss = loss + term.add(step._replace(state=self._states.get(term.name)), weight)
        return loss

    def after_step(self) -> None:
        """Let the terms learn, once all chunks have gone backward."""
        for state in self._states.values():
            state.step()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._lambdas = {name: values[lanes.to(values.device)] for name, values in self._lambdas.items()}
        for state in self._states.values():
            state.select(lanes)

    def _weight(self, name: str, lanes: slice) -> Tensor | None:
        """[k] weights of a term, or None if no lane of the chunk has it."""
        values = self._lambdas.get(name)
        return values[lanes] if values is not None and bool((values[lanes] > 0).any()) else None


def _own_hidden(given: TopInput, lanes: slice) -> TopInput:
    """The same input with hidden states [k, n, T, d] of each lane's own, which the margin is differentiated in."""
    own = given.hidden.expand(lanes.stop - lanes.start, *given.hidden.shape)
    return given._replace(hidden=own.clone().requires_grad_())
