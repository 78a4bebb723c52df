"""Answers of one group should not be surer than those of others."""

from llm_experts.training.objectives.term import Term


def add(step, weight):
    sure = step.batch.group_sums(step.answers.margin.abs()[..., None], step.lanes)
    return weight * sure.std(1).squeeze(-1)


TERM = Term(name="lambda_sure", roles=("result",), bounds=(0.1, 10.0), add=add)
