"""Roles: what an expert optimises. Known without importing a model library."""

from __future__ import annotations

from typing import Literal

Role = Literal["utility", "result", "procedural", "combined"]
ROLES: tuple[Role, ...] = ("utility", "result", "procedural")
"""The experts of a mixture; "combined" is the one network with all their losses that a mixture has to beat."""
ALIASES: dict[str, Role] = {"expert1": "utility", "expert2": "result", "expert3": "procedural"}
