"""How good a lane's checkpoint is on its validation items."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.encoding import all_stops, answer_ids, prompt_ids
from llm_experts.training.loop.assignment import Assignment, Score
from llm_experts.training.loop.method import Need
from llm_experts.training.loop.order import items_of, micro_batches
from llm_experts.training.sequences.lanes import SequenceLanes


class Examiner:
    """Scores of one lane on the validation items of its assignment.

    Parameters
    ----------
    base : Base
    assignment : Assignment
    need : str
        What the method's items have: those of prompts alone have no completions to weigh.
    """

    def __init__(self, base: Base, assignment: Assignment, need: Need) -> None:
        self._assignment, settings = assignment, assignment.settings
        examples = list(assignment.validation)
        whole: Need = "text" if need == "text" else "completion"
        with_answers = [example for example in examples if example.completion or whole == "text"]
        self._items = items_of(with_answers, base, settings, whole)
        self._prompts: list[list[int]] = []
        if assignment.judge is not None:
            self._prompts = [prompt_ids(example, base, settings.style) for example in examples]
            self._stop = all_stops(examples, base, settings.style)
            self._most = assignment.longest_answer or _longest(base, assignment)

    @torch.no_grad()
    def score(self, lanes: SequenceLanes, theta: Tensor) -> Score:
        """Of a single lane with weights [1, P]."""
        logprob = self._logprob(lanes, theta)
        if self._assignment.judge is None:
            return Score(logprob, logprob)
        (answers,) = lanes.sample(theta, self._prompts, max_new_tokens=self._most, stop=self._stop)
        given = zip(self._assignment.validation, answers, strict=True)
        scores = [self._assignment.judge(example, said.text) for example, said in given]
        return Score(math.fsum(scores) / len(scores), logprob)

    def _logprob(self, lanes: SequenceLanes, theta: Tensor) -> float:
        """Mean over the completions' tokens; NaN without any."""
        if not self._items:
            return math.nan
        total = 0.0
        for batch in micro_batches([self._items], theta.device):
            total += float(lanes.token_logprobs(theta, batch).double().sum())
        return total / max(1, sum(item.learnt for item in self._items))


def _longest(base: Base, assignment: Assignment) -> int:
    style = assignment.settings.style
    examples = [*assignment.train, *assignment.validation]
    longest = max(len(answer_ids(example, base, example.completion, style)) for example in examples)
    return max(8, longest * 5 // 4)
