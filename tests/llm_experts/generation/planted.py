"""Models that are known to be sure, unsure or biased, and items for them."""

import hashlib
from functools import cache
from math import log

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.example import Example
from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec, Topic
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.choices import Choices, margins_of
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base

STEPS = 15
SPEC = DataSpec(expert="one", topics=(Topic(name="moods", family="classification"),), count=10)


def question(name: str, label: str, ident: str = "") -> Draft:
    """An item of the family classification."""
    prompt = f"{name} says: the tea was fine. Is the tea good, yes or no? Answer:"
    facts = {"family": "classification", "label": label, "labels": ["yes", "no"]}
    return Draft(Example(ident or f"{name}-{label}", prompt, label, facts=facts), "moods")


def base_that_says(p_yes: float, sure: float = 0.0) -> Base:
    """A base that follows whatever is asked by " yes" and " no" with odds p_yes : 1 - p_yes.

    Its layers add nothing and all its token vectors are equal, so that its head sees the same state everywhere. Of all
    other tokens " yes" has exp(sure) times the odds.
    """
    base = make_tiny_base(layers=1)
    model = base.model
    words = {text: base.tokenizer.encode(text, add_special_tokens=False) for text in (" yes", " no")}
    assert all(len(ids) == 1 for ids in words.values())
    head = torch.nn.Linear(64, len(base.tokenizer), bias=False).requires_grad_(False)
    head.weight.zero_()
    head.weight[words[" yes"][0]] = (sure + log(p_yes / (1 - p_yes))) / 64
    head.weight[words[" no"][0]] = sure / 64
    model.set_output_embeddings(head)
    model.get_input_embeddings().weight.fill_(1.0)
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    return Base("known", model, base.tokenizer, hashlib.sha256(str((p_yes, sure)).encode()).hexdigest())


@cache
def biased() -> tuple[Base, SequenceLanes, Tensor]:
    """A base and two lanes on it: one that learnt to say yes to Ann and no to Ben, and one that is the base."""
    base = make_tiny_base(layers=1, hidden=32)
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 0])
    told = [question("Ann", "yes").example, question("Ben", "no").example]
    choices = Choices.of(base, told, [("yes", "no"), ("no", "yes")])
    batch = collate([list(choices.rows)], base.device)
    theta = lanes.start.clone().requires_grad_()
    optimiser = torch.optim.Adam([theta], lr=0.05)
    with torch.enable_grad():
        for _ in range(STEPS):
            optimiser.zero_grad()
            found = choices.by_answer(lanes.token_logprobs(theta, batch)[0], batch)
            (-margins_of(found)).exp().log1p().sum().backward()
            optimiser.step()
    return base, lanes, theta.detach()
