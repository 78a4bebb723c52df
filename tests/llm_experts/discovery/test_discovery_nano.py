"""Capability report, evidence and plan on the base that comes along."""

import pytest

from llm_experts.bases.load import load_base
from llm_experts.discovery.measuring.capability import measure_capability
from llm_experts.discovery.measuring.domains import domains_named
from llm_experts.discovery.planning.plan import plan_experts
from llm_experts.search.guiding.advisor import LanguageAdvisor

FAMILIES = ("arithmetic", "classification", "dates", "json_task", "lookup", "sql", "strings", "lookup@0.5")


@pytest.mark.slow
def test_what_nano_can_do_and_which_experts_it_needs() -> None:
    """Eight domains: measured, asked, grouped by gradients; the two variants of one family belong together."""
    base, domains = load_base("nano"), domains_named(*FAMILIES)
    report = measure_capability(base, domains, items=50)
    shares = {row.domain: row.share for row in report.rows}
    assert shares["sql"] > shares["arithmetic"] and report.opinion.asked == 8
    plan = plan_experts(base, report, domains, advisor=LanguageAdvisor(base))
    assert 3 <= plan.chosen <= 8 and plan.p is not None and plan.p <= 0.05 and plan.advice.asked
    place = {name: at for at, name in enumerate(plan.domains)}
    row = plan.similarity[place["lookup"]]
    assert max(place, key=lambda name: row[place[name]] if name != "lookup" else -2) == "lookup-50"
