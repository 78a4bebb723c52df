"""A language model that is asked beside the measurements."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.discovering.context import Context


def advisor_of(context: Context) -> Callable[[str], str] | None:
    """The base that gives advice, loaded; None where none is asked for. The base itself is not loaded twice."""
    named = context.settings.advise
    if named is None:
        return None
    from benchmarks.run.stages.text import device_of
    from llm_experts.bases.load import load_base
    from llm_experts.search.advisor import LanguageAdvisor

    same = named == context.settings.base
    return LanguageAdvisor(context.base if same else load_base(named, device=device_of(context.settings.device)))
