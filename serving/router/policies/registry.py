"""Policies by name: those that profiles alone make, and those that are fitted, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from serving.router.config import RouterConfig
from serving.router.error import RouterError
from serving.router.policies.capabilities import CapabilityPolicy
from serving.router.policies.generic import GenericPolicy
from serving.router.policies.keywords import KeywordPolicy
from serving.router.policies.priority import PriorityPolicy
from serving.router.policy import Policy
from serving.router.profile import ExpertProfile


class FittedPolicy(Policy, Protocol):
    """A policy that was fitted, and can be saved."""

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON into a folder that is made."""
        ...


def from_profiles(name: str, profiles: Sequence[ExpertProfile], config: RouterConfig) -> Policy | None:
    """The policy of a name that profiles alone make; None where it must be fitted."""
    makers: dict[str, Callable[[], Policy]] = {
        "generic": lambda: GenericPolicy(config.generic),
        "keywords": lambda: KeywordPolicy(profiles),
        "capabilities": lambda: CapabilityPolicy(profiles),
        "priority": lambda: PriorityPolicy(profiles),
    }
    return makers[name]() if name in makers else None


def load_fitted(name: str, folder: Path) -> FittedPolicy:
    """A fitted policy that was saved.

    Raises
    ------
    RouterError
        If there is none of this name, or the folder does not hold it.
    """
    if name == "prototypes":
        from serving.router.policies.prototypes import PrototypePolicy

        return PrototypePolicy.load(folder)
    if name == "calibrated":
        from serving.router.policies.calibrated import CalibratedPolicy

        return CalibratedPolicy.load(folder)
    if name == "dispatch":
        from serving.router.policies.dispatch import DispatchPolicy

        return DispatchPolicy.load(folder)
    raise RouterError(f"{folder} holds a policy {name!r}, which cannot be loaded")
