"""Which experts answer a prompt: policies behind one protocol, chained by a config, the base where none fits."""

from serving.router.config import RouterConfig
from serving.router.error import RouterError
from serving.router.outcomes import Outcomes
from serving.router.policy import Policy, Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query
from serving.router.route import Route
from serving.router.router import Router

__all__ = [
    "ExpertProfile",
    "Outcomes",
    "Policy",
    "Query",
    "Route",
    "Router",
    "RouterConfig",
    "RouterError",
    "Verdict",
]
