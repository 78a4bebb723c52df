"""Language bias sets: BBQ, CrowS-Pairs, StereoSet and WinoBias, scored with intervals."""

from llm_experts.bias.likelihood import LMScorer, MixtureScorer, RememberingScorer, Scored, Scorer
from llm_experts.bias.result import METRICS, BiasMetric
from llm_experts.bias.run import SETS, score_bias
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
    "score_bias",
]
