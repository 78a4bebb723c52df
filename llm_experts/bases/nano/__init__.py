"""The embedded base model that the project pretrains itself, from texts that it generates."""

from llm_experts.bases.nano.store import ensure_nano, nano_facts, nano_hash

__all__ = ["ensure_nano", "nano_facts", "nano_hash"]
