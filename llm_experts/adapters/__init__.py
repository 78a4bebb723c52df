"""Adapters, one file each; :mod:`llm_experts.adapters.registry` knows them by name."""
