"""Language bias sets: BBQ, CrowS-Pairs, StereoSet and WinoBias, scored with intervals."""

from llm_experts.bias.likelihood import LMScorer
from llm_experts.bias.mixtures import MixtureScorer, RememberingScorer, dispatched
from llm_experts.bias.result import METRICS, BiasMetric
from llm_experts.bias.run import SETS, score_bias
from llm_experts.bias.scorer import Scored, Scorer
from llm_experts.bias.sources import SOURCES, BiasError

__all__ = [
    "METRICS",
    "SETS",
    "SOURCES",
    "BiasError",
    "BiasMetric",
    "LMScorer",
    "MixtureScorer",
    "RememberingScorer",
    "Scored",
    "Scorer",
    "dispatched",
    "score_bias",
]
