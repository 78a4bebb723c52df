"""How probably does the model answer right: neither surely, nor hardly ever.

Where answers can be listed it is the exact probability of the right one among them, else the share of right answers in
k drawn ones, which stands for as much as its interval says.
"""

from __future__ import annotations

from collections.abc import Sequence

from foundation.seeding import derive_seed
from llm_experts.data.encoding import prompt_ids, stops_of
from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.judge import answers_of, judge_of
from llm_experts.generation.spec import DataSpec
from llm_experts.training.sequences.choices import Choices
from metrics.proportions import wilson


def of(drafts: Sequence[Draft], spec: DataSpec, context: Context) -> list[Finding]:
    """Probability of a right answer; where it is only reported, every item is taken."""
    answers = [answers_of(draft, spec, context.seed) for draft in drafts]
    listed = [place for place, told in enumerate(answers) if told]
    found: dict[int, Finding] = {}
    if listed:
        choices = Choices.of(context.model, [drafts[i].example for i in listed], [answers[i] for i in listed])
        p = choices.margins(*context.judging)[0].sigmoid().tolist()
        found = {place: _judged(value, value, value, spec, context) for place, value in zip(listed, p, strict=True)}
    return [found[i] if i in found else _drawn(draft, spec, context) for i, draft in enumerate(drafts)]


def _drawn(draft: Draft, spec: DataSpec, context: Context) -> Finding:
    """From drawn answers; their numbers depend on the item alone."""
    family = judge_of(draft, spec)
    if family is None:
        return Finding(context.options.difficulty == "report", reason="no family can judge answers to it")
    base, k, (lanes, theta) = context.model, context.options.samples, context.judging
    [answers] = lanes.sample(
        theta,
        [prompt_ids(draft.example, base)] * k,
        max_new_tokens=family.longest_answer,
        temperature=1.0,
        seed=derive_seed(context.seed, "difficulty", draft.example.id),
        stop=stops_of(draft.example, base),
    )
    right = sum(family.check(draft.example, answer.text).correct for answer in answers)
    return _judged(right / k, *wilson(right, k), spec, context)


def _judged(value: float, low: float, high: float, spec: DataSpec, context: Context) -> Finding:
    least, most = spec.success
    reason = ""
    if high < least:
        reason = f"too hard: a right answer has probability {value:.2f}, below {least:g}"
    elif low > most:
        reason = f"too easy: a right answer has probability {value:.2f}, above {most:g}"
    return Finding(not reason or context.options.difficulty == "report", value, reason)


CHECK = Check(
    name="difficulty",
    label="difficulty",
    about="The model answers right with a probability in the range of the spec.",
    needs_model=True,
    of=of,
)
