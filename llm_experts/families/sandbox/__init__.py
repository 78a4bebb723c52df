"""Programs that a language model wrote, run where they can do no harm: the kernel's own fences, and limits."""

from llm_experts.families.sandbox.run import Outcome, SandboxError, missing, run_python

__all__ = ["Outcome", "SandboxError", "missing", "run_python"]
