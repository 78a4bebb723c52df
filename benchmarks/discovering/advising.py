"""A language model that is asked beside the measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.discovering.context import Context

if TYPE_CHECKING:
    from llm_experts.search.guiding.advisor import LanguageAdvisor


def advisor_of(context: Context) -> LanguageAdvisor | None:
    """The base that gives advice, loaded; None where none is asked for. The base itself is not loaded twice."""
    named = context.settings.advise
    if named is None:
        return None
    from benchmarks.run.stages.text import device_of
    from llm_experts.bases.load import load_base
    from llm_experts.search.guiding.advisor import LanguageAdvisor

    same = named == context.settings.base
    return LanguageAdvisor(context.base if same else load_base(named, device=device_of(context.settings.device)))
