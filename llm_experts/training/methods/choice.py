"""Choosing the right one of listed answers, in closed form, without leaving the base behind.

Of an item's answers a_0 (the right one) … a_m let p = P(a_0) / Σ P(a_j). Spec 004's REINFORCE with rewards ±1 has the
expectation 2p - 1 where the answers can be listed, and needs no samples; its gradient goes with p (1 - p) and vanishes
where the base is surely wrong. log p is climbed by the same steps divided by p, so that what is wrong is learnt most.
What leaving the base costs is β KL(π ‖ π₀) over the listed answers and, as one more event, all other texts together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.listed import LISTED, with_listed
from llm_experts.families.registry import family_of
from llm_experts.training.loop.method import Method, MethodRecord, Need, Run
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.policy import answer_events, expected_reward
from llm_experts.training.methods.listed import AnswerList, Listed, answer_sums, by_answer
from llm_experts.training.methods.reference import Reference, share
from llm_experts.training.sequences.batch import Batch, collate
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class ChoiceOptions:
    """Options of learning to choose.

    Attributes
    ----------
    worth : {"log", "sign"}
        What is climbed: log p, or the expected reward 2p - 1 of answers that are worth 1 and -1.
    answer : float
        Weight of the right answer's mean log-probability of a token, at least 0: what is chosen is then also written.
    beta : float
        Weight of the divergence from the base, at least 0. Who watches the training may ask for more or less; it
        never falls below a tenth of this.
    """

    worth: Literal["log", "sign"] = "log"
    answer: float = 0.0
    beta: float = 0.02

    def __post_init__(self) -> None:
        bounds = {
            "worth": (self.worth in ("log", "sign"), "log or sign"),
            "answer": (self.answer >= 0, "at least 0"),
            "beta": (self.beta >= 0, "at least 0"),
        }
        for name, (sound, must) in bounds.items():
            if not sound:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be {must}.")


class Choice(Method):
    """Loss of items with listed answers (``facts["listed"]``, the labels, or made by their family)."""

    needs: Need = "prompt"

    def __init__(self, options: ChoiceOptions) -> None:
        self._options = options
        self._reference = Reference()
        self._made: dict[int, Example] = {}
        self.beta = torch.zeros(0)

    def start(self, run: Run) -> None:
        """Take the reference, and prepare the lists."""
        self._reference.start(run)
        self._lists = AnswerList(run.base, run.settings, (), LISTED)
        self.beta = torch.full((len(run.lanes),), self._options.beta, device=run.base.device)
        every = (self._listed(example) for given in run.assignments for example in given.train)
        self._reference.prepare(run, (item.parts[0] for listed in every for item in listed.items))

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] share of the mean over items; figures: p (``chosen``), divergence in nats an answer, β."""
        listed = [[self._listed(item.examples[0]) for item in items] for items in batch.items]
        texts = collate([[item for entry in lane for item in entry.items] for lane in listed], theta.device)
        lane_lists = listed * (len(theta) if batch.shared else 1)
        logprobs = by_answer(answer_sums(lanes.token_logprobs(theta, texts), texts, lane_lists), lane_lists)
        reference = by_answer(answer_sums(self._reference.logprobs(lanes, texts), texts, lane_lists), lane_lists)
        right = _right(lane_lists, theta.device)
        log_p = logprobs.log_softmax(-1).gather(-1, right)[..., 0]
        gain = log_p if self._options.worth == "log" else 2 * log_p.exp() - 1
        if self._options.answer:
            length = by_answer(answer_sums(texts.learnt.float(), texts, lane_lists), lane_lists, 1.0).gather(-1, right)[
                ..., 0
            ]
            gain = gain + self._options.answer * logprobs.gather(-1, right)[..., 0] / length.clamp_min(1)
        events = answer_events(logprobs), answer_events(reference)
        held, _, divergence = expected_reward(*events, torch.zeros_like(events[0]), self.beta[:, None])
        figures = {"chosen": log_p.exp(), "divergence": divergence, "beta": self.beta[:, None].expand_as(log_p)}
        return share(-(gain + held), batch), {name: share(value.detach(), batch) for name, value in figures.items()}

    def _listed(self, example: Example) -> Listed:
        found = self._lists.of(self._with_list(example), 0, _worth)
        if example.completion not in found.texts:
            raise DataError(
                f"Item {example.id!r} does not list its completion {example.completion!r} among the answers in "
                f"facts[{LISTED!r}], so nothing says which of them is right."
            )
        return found

    def _with_list(self, example: Example) -> Example:
        """The item with its list, made once: that of its facts, its labels, or what its family refutes."""
        if LISTED in example.facts:
            return example
        if id(example) not in self._made:
            family, labels = family_of(example), example.facts.get("labels")
            if family is not None:
                self._made[id(example)] = with_listed(family, example)
            else:
                facts = example.facts if labels is None else {**example.facts, LISTED: labels}
                self._made[id(example)] = replace(example, facts=facts)
        return self._made[id(example)]

    def after_look(self, hold: Mapping[int, float]) -> None:
        """Multiply β of lanes."""
        for lane, factor in hold.items():
            self.beta[lane] = max(float(self.beta[lane]) * factor, self._options.beta / 10)

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._reference.select(lanes)
        self.beta = self.beta[lanes]

    def state(self) -> dict[str, Tensor]:
        """β of every lane."""
        return {"beta": self.beta}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self.beta = state["beta"].to(self.beta.device)


def _worth(example: Example, answer: str) -> float:
    return 1.0 if answer == example.completion else -1.0


def _right(listed: list[list[Listed]], device: torch.device) -> Tensor:
    """[K, n, 1] place of the right answer in every list; 0 where a lane has fewer items."""
    places = [
        torch.tensor([entry.rewards.index(max(entry.rewards)) for entry in lane], dtype=torch.int64) for lane in listed
    ]
    return torch.nn.utils.rnn.pad_sequence(places, batch_first=True).to(device)[..., None]


METHOD = MethodRecord(
    name="choice",
    label="learning to choose",
    about="learns which of an item's listed answers is right",
    needs="prompt",
    options=ChoiceOptions,
    make=Choice,
)
