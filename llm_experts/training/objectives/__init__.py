"""What roles of language-model experts optimise, on verbaliser margins: the tabular definitions, one file per term."""

from llm_experts.training.objectives.answering import Answering
from llm_experts.training.objectives.objective import Objective
from llm_experts.training.objectives.registry import LAMBDAS, TERMS
from llm_experts.training.objectives.teacher import Teacher
from llm_experts.training.objectives.term import Options, Setting, Step, Term
from llm_experts.training.objectives.text_batch import TextBatch

__all__ = ["LAMBDAS", "TERMS", "Answering", "Objective", "Options", "Setting", "Step", "Teacher", "Term", "TextBatch"]
