"""Bases whose weights have three values: how they are rounded, multiplied with, and kept on disk."""

from llm_experts.bases.ternary.absmean import Scale, Ternary, ternary
from llm_experts.bases.ternary.linear import TernaryLinear

__all__ = ["Scale", "Ternary", "TernaryLinear", "ternary"]
