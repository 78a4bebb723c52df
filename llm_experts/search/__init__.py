"""Search for mixtures: evolutionary, on a surrogate, verified by the model itself."""

from llm_experts.search.guiding.guidance import Advisor
from llm_experts.search.mixture import MixtureModel, MovableMixture, SearchRows, TimedMixture
from llm_experts.search.result import Candidate, SearchResult
from llm_experts.search.search import search_mixtures
from llm_experts.search.settings import Constraint, Objective, SearchError, SearchSettings

__all__ = [
    "Advisor",
    "Candidate",
    "Constraint",
    "MixtureModel",
    "MovableMixture",
    "Objective",
    "SearchError",
    "SearchResult",
    "SearchRows",
    "SearchSettings",
    "TimedMixture",
    "search_mixtures",
]
