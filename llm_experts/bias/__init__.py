"""Language bias sets, one file each, scored with intervals."""

from llm_experts.bias.bias_set import BiasSet
from llm_experts.bias.likelihood import LMScorer
from llm_experts.bias.mixtures import MixtureScorer, RememberingScorer, dispatched
from llm_experts.bias.result import BiasMetric
from llm_experts.bias.run import METRICS, SETS, score_bias
from llm_experts.bias.scorer import Scored, Scorer
from llm_experts.bias.sources import BiasError

__all__ = [
    "METRICS",
    "SETS",
    "BiasError",
    "BiasMetric",
    "BiasSet",
    "LMScorer",
    "MixtureScorer",
    "RememberingScorer",
    "Scored",
    "Scorer",
    "dispatched",
    "score_bias",
]
