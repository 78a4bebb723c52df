"""Learning from rewards: of generated answers (RLOO), or in closed form where all answers are known.

The objective is the expected reward less β times the divergence from the reference, see
:mod:`llm_experts.training.losses.policy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from foundation.seeding import derive_seed
from llm_experts.data.encoding import all_stops
from llm_experts.data.example import Example
from llm_experts.families.registry import family_named
from llm_experts.training.loop.assignment import Judge
from llm_experts.training.loop.method import Method, MethodRecord, Need, Run
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.policy import answer_events, expected_reward, sampled_reward
from llm_experts.training.methods.drift import Bounds, Drift
from llm_experts.training.methods.listed import AnswerList, Listed, answer_sums, by_answer
from llm_experts.training.methods.reference import Reference, share
from llm_experts.training.sequences.batch import Batch, Item, Row, collate
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class RLOptions:
    """Options of learning from rewards.

    Attributes
    ----------
    estimate : {"rloo", "exact"}
        Rewards of generated answers, or the expected reward in closed form over listed answers.
    reward : str
        Family whose reward counts; "" takes the score that chooses checkpoints.
    beta : float
        Weight of the divergence from the reference, at least 0.
    target : float or None
        Divergence in nats per answer above which beta rises by half, and below two thirds of which it falls again.
    most_drift : float or None
        Divergence that ends training.
    least_reward : float or None
        Mean reward below which training ends.
    every : int
        Steps between two looks at drift and reward.
    samples : int
        Answers drawn for each prompt (rloo), at least 2.
    temperature : float
        Of the draws (rloo); only at 1 is the gradient unbiased.
    longest : int
        Most tokens of a generated answer (rloo).
    labels : str
        Where in an item's facts its answers are listed (exact).
    answers : tuple of str
        Answers of all items instead (exact).
    closed : bool
        Whether only listed answers are weighed against each other (exact), as of an expert whose answers are scored and
        never generated: other texts may then become likelier than all of them. Otherwise all other texts together are
        one more answer, with reward 0.
    """

    estimate: Literal["rloo", "exact"] = "rloo"
    reward: str = ""
    beta: float = 0.05
    target: float | None = None
    most_drift: float | None = None
    least_reward: float | None = None
    every: int = 8
    samples: int = 4
    temperature: float = 1.0
    longest: int = 32
    labels: str = "labels"
    answers: tuple[str, ...] = ()
    closed: bool = False

    def __post_init__(self) -> None:
        if self.estimate not in ("rloo", "exact"):
            raise SettingsError(f"estimate is {self.estimate!r}; it must be rloo or exact.")
        bounds = {
            "beta": (self.beta >= 0, "at least 0"),
            "target": (self.target is None or self.target > 0, "above 0, or left out"),
            "samples": (self.samples >= 2, "at least 2: each answer is compared with the others"),
            "temperature": (self.temperature > 0, "above 0: answers are drawn"),
            "longest": (self.longest >= 1, "at least 1"),
            "every": (self.every >= 1, "at least 1"),
        }
        for name, (sound, must) in bounds.items():
            if not sound:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be {must}.")
        if self.target is not None and not self.beta > 0:
            raise SettingsError("With target, beta must be above 0: it is multiplied.")


class RL(Method):
    """What both estimates share: rewards, the reference, β, and when to stop."""

    needs: Need = "prompt"

    def __init__(self, options: RLOptions) -> None:
        self._options = options
        self._reference = Reference()
        self._drift = Drift(
            options.beta, Bounds(options.target, options.most_drift, options.least_reward, options.every)
        )
        self._lanes: list[int] = []
        self._judges: list[Judge] = []
        self._stops: dict[int, str] = {}

    def start(self, run: Run) -> None:
        """Take reference and rewards.

        Raises
        ------
        SettingsError
            If nothing says what an answer is worth.
        """
        self._reference.start(run)
        self._drift.start(len(run.lanes), run.base.device)
        self._lanes = list(range(len(run.lanes)))
        self._judges = [self._judge(given.judge, given.name) for given in run.assignments]

    def _judge(self, judge: Judge | None, name: str) -> Judge:
        if self._options.reward:
            return family_named(self._options.reward).reward_of
        if judge is None:
            raise SettingsError(
                f"Nothing says what an answer of the expert {name} is worth. Name a family with the option reward, or "
                "train on a family's items."
            )
        return judge

    def after_step(self, figures: Mapping[str, Tensor]) -> None:
        """Let β follow the drift, and note which lanes should stop."""
        reasons = self._drift.after_step(figures["divergence"].detach(), figures["reward"].detach())
        self._stops = {lane: reason for lane, reason in enumerate(reasons) if reason}

    def stopped(self) -> Mapping[int, str]:
        """Running lanes that should stop after the last step, and why."""
        return self._stops

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._reference.select(lanes)
        self._drift.select(lanes)
        self._lanes = [self._lanes[lane] for lane in lanes.tolist()]
        self._stops = {}

    def state(self) -> dict[str, Tensor]:
        """β, and what was measured since it changed."""
        return self._drift.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self._drift.load(state)

    def _figures(self, reward: Tensor, divergence: Tensor, batch: Batch) -> dict[str, Tensor]:
        """[K] shares of reward and divergence [K, n], and of β, which micro-batches add up to itself."""
        ones = torch.ones_like(reward)
        found = {"reward": reward, "divergence": divergence, "beta": self._drift.beta[:, None] * ones}
        return {name: share(value.detach(), batch) for name, value in found.items()}


class Sampled(RL):
    """REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024) on answers that the lanes generate."""

    def __init__(self, options: RLOptions) -> None:
        super().__init__(options)
        self._step = 0

    def start(self, run: Run) -> None:
        """Also take the seeds of the draws, and the texts that end an answer."""
        super().start(run)
        self._step = 0
        self._seeds = [given.settings.seed for given in run.assignments]
        self._base, self._style = run.base, run.settings.style

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] share of a loss whose gradient is an unbiased estimate of that of -J."""
        said, rewards = self._drawn(lanes, theta, batch)
        shape = rewards.shape
        logprobs = lanes.token_logprobs(theta, said).sum(-1).view(shape)
        reference = self._reference.logprobs(lanes, said).sum(-1).view(shape)
        gain = sampled_reward(logprobs, reference, rewards, self._drift.beta[:, None, None])
        figures = self._figures(rewards.mean(-1), (logprobs - reference).mean(-1), batch)
        return share(-gain, batch), figures

    def after_step(self, figures: Mapping[str, Tensor]) -> None:
        """Also draw other numbers next time."""
        super().after_step(figures)
        self._step += 1

    def state(self) -> dict[str, Tensor]:
        """Also the number of draws."""
        return super().state() | {"draws": torch.tensor(self._step)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        super().load(state)
        self._step = int(state["draws"])

    def _drawn(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Batch, Tensor]:
        """Texts of every lane, and their rewards [K, n, k]."""
        k, width = self._options.samples, batch.rows.shape[-1]
        asked = [list(items) for items in batch.items] * (len(lanes) if len(batch.items) == 1 else 1)
        prompts = [[item.parts[0].ids for item in items for _ in range(k)] for items in asked]
        stop = all_stops((item.examples[0] for item in batch.items[0]), self._base, self._style)
        answers = lanes.sample(
            theta.detach(),
            prompts,
            max_new_tokens=self._options.longest,
            temperature=self._options.temperature,
            seed=[derive_seed(self._seeds[lane], "rl", self._step, *self._rows(batch, at)) for at, lane in self._own()],
            stop=stop,
        )
        rewards, texts = torch.zeros(len(lanes), width, k), []
        for at, (items, said) in enumerate(zip(asked, answers, strict=True)):
            judge = self._judges[self._lanes[at]]
            texts.append([_text(items[j // k], answer.ids) for j, answer in enumerate(said)])
            for j, answer in enumerate(said):
                rewards[at, j // k, j % k] = judge(items[j // k].examples[0], answer.text)
        return collate(texts, theta.device), rewards.to(theta.device)

    def _own(self) -> list[tuple[int, int]]:
        return list(enumerate(self._lanes))

    @staticmethod
    def _rows(batch: Batch, lane: int) -> Sequence[int]:
        """Numbers of a lane's items: micro-batches of a step draw numbers of their own."""
        rows: list[int] = (batch.rows if batch.shared else batch.rows[lane]).tolist()
        return [row for row in rows if row >= 0]


class Exact(RL):
    """The expected reward of listed answers in closed form: no sampling error, and no generation."""

    def start(self, run: Run) -> None:
        """Also prepare the lists."""
        super().start(run)
        self._lists = AnswerList(run.base, run.settings, self._options.answers, self._options.labels)
        every = (self._listed(one, lane) for lane, given in enumerate(run.assignments) for one in given.train)
        self._reference.prepare(run, (item.parts[0] for listed in every for item in listed.items))

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] share of -J."""
        listed = [
            [self._listed(item.examples[0], at) for item in batch.items[at % len(batch.items)]]
            for at in range(len(self._lanes))
        ]
        rows = [[item for entry in lane for item in entry.items] for lane in listed]
        texts = collate(rows[:1] if batch.shared else rows, theta.device)
        logprobs = by_answer(answer_sums(lanes.token_logprobs(theta, texts), texts, listed), listed)
        reference = by_answer(answer_sums(self._reference.logprobs(lanes, texts), texts, listed), listed)
        rewards = by_answer(_rewards(listed, theta.device), listed, filler=0.0)
        if not self._options.closed:
            logprobs, reference = answer_events(logprobs), answer_events(reference)
            rewards = torch.cat([rewards, torch.zeros_like(rewards[..., :1])], -1)
        gain, reward, divergence = expected_reward(logprobs, reference, rewards, self._drift.beta[:, None])
        return share(-gain, batch), self._figures(reward, divergence, batch)

    def _listed(self, example: Example, at: int) -> Listed:
        lane = self._lanes[at]
        return self._lists.of(example, lane, self._judges[lane])


def _text(item: Item, answer: Sequence[int]) -> Item:
    """A prompt with a generated answer, which is learnt."""
    prompt = item.parts[0].ids
    return Item(item.row, item.examples, (Row.of((*prompt, *answer), (False,) * len(prompt) + (True,) * len(answer)),))


def _rewards(listed: Sequence[Sequence[Listed]], device: torch.device) -> Tensor:
    """[K, m] of all listed answers, one after another, filled up with 0."""
    rows = [torch.tensor([reward for entry in lane for reward in entry.rewards]) for lane in listed]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)


def make(options: RLOptions) -> RL:
    """The method with the estimate that the options name."""
    return Exact(options) if options.estimate == "exact" else Sampled(options)


METHOD = MethodRecord(
    name="rl",
    label="learning from rewards",
    about="learns from what a checker says of its answers",
    needs="prompt",
    options=RLOptions,
    make=make,
)
