"""Which experts a base needs: what is left out, targets, names, advice, the probe."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.capability import CapabilityReport, DomainCapability, measure_capability
from llm_experts.discovery.measuring.domains import domains_named
from llm_experts.discovery.planning.advice import PlanAdvice, ask_advice, read_groups
from llm_experts.discovery.planning.plan import ExpertPlan, expert_name, plan_experts, target_of
from llm_experts.discovery.planning.probe import Probe
from llm_experts.search.guiding.guidance import AdviceError
from metrics.proportions import wilson

DOMAINS = domains_named("lookup", "classification", "strings", "arithmetic")
NAMES = tuple(domain.name for domain in DOMAINS)


def row(right: int, n: int = 100, name: str = "lookup") -> DomainCapability:
    low, high = wilson(right, n)
    return DomainCapability(name, name, 0.0, n, right, right / n, low, high, right / n, 0.25)


def measured(base: Base, rights: Sequence[int] = (40, 50, 44, 11), n: int = 100) -> CapabilityReport:
    """A report with the shares that a test wants, of a base that was measured on a few items."""
    report = measure_capability(base, DOMAINS, items=2, opinions=False)
    return replace(report, rows=tuple(row(right, n, name) for right, name in zip(rights, NAMES, strict=True)))


def test_a_plan_has_every_domain_once_and_survives_json(tiny_base: Base) -> None:
    report = measured(tiny_base, (2, 3, 4, 1), 10)
    plan = plan_experts(tiny_base, report, DOMAINS)
    assert sorted(name for expert in plan.experts for name in expert.domains) == sorted(NAMES)
    assert plan.chosen == len(plan.experts) == 3 and plan.asked is None and plan.domains == NAMES
    assert ExpertPlan.from_dict(json.loads(json.dumps(plan.as_dict(), allow_nan=False)) | {"seconds": 1.0}) == plan
    assert plan_experts(tiny_base, report, DOMAINS) == plan
    wanted = {"experts", "chosen", "asked", "evidence", "domains", "similarity", "stability", "left_out", "advice"}
    assert wanted <= set(plan.as_dict())


def test_mastered_domains_and_those_without_headroom_are_left_out(tiny_base: Base) -> None:
    """100 of 100: low end .963. 95 of 100: high end .978, half of the way is .975. 90 of 100: .945 and .95."""
    domains = domains_named("lookup", "classification", "strings", "arithmetic", "dates", "sql")
    report = measure_capability(tiny_base, domains, items=2, opinions=False)
    rows = zip((100, 95, 90, 11, 20, 30), domains, strict=True)
    report = replace(report, rows=tuple(row(right, 100, domain.name) for right, domain in rows))
    report = replace(report, rows=tuple(replace(one, n=10) for one in report.rows))  # fewer items to compare by
    plan = plan_experts(tiny_base, report, domains, evidence="random")
    assert [(one.domain, one.reason.partition(":")[0]) for one in plan.left_out] == [
        ("lookup", "mastered"), ("classification", "no headroom"),
    ]  # fmt: skip
    assert plan.domains == ("strings", "arithmetic", "dates", "sql")


@pytest.mark.parametrize(
    ("rights", "experts", "message"),
    [((100, 100, 44, 11), None, "Only 2 domains are worth training.*lookup: mastered"),
     ((40, 50, 44, 11), 2, "makes 3 to 10"), ((40, 50, 44, 11), 11, "makes 3 to 10"),
     ((40, 50, 44, 100), 4, "4 experts are asked for, and 3 domains")],
)  # fmt: skip
def test_plans_that_cannot_be_are_refused(
    tiny_base: Base, rights: Sequence[int], experts: int | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        plan_experts(tiny_base, measured(tiny_base, rights), DOMAINS, experts=experts, evidence="random")


def test_a_number_that_is_asked_for(tiny_base: Base) -> None:
    plan = plan_experts(tiny_base, measured(tiny_base), DOMAINS, experts=4, evidence="random")
    assert [expert.domains for expert in plan.experts] == [(name,) for name in NAMES] and plan.asked == 4
    assert (
        plan.experts[3].target == pytest.approx(0.555)
        and "measured arithmetic 0.11 (0.06 to 0.19)" in plan.experts[3].reason
    )


def test_targets() -> None:
    """Halfway without a probe; with one twice the upper end of its gain, at least .05 more, at most halfway."""
    probe = Probe("lookup", 30, 100, 0.4, 0.45, 0.05, -0.05, 0.1, 0.1, 0.0, 0.2)
    assert target_of(row(40)) == pytest.approx(0.7)
    assert target_of(row(40), probe) == pytest.approx(0.6)
    assert target_of(row(40), replace(probe, high=0.4)) == pytest.approx(0.7)
    assert target_of(row(40), replace(probe, high=-0.1)) == pytest.approx(0.45)
    assert target_of(row(97), replace(probe, high=-0.1)) == pytest.approx(0.985)


def test_names_of_experts() -> None:
    assert expert_name(["a"]) == "a" and expert_name(["a", "b", "c"]) == "a-b-c"
    assert expert_name(["a", "b", "c", "d"]) == "a-b-and-2-more"


def test_a_probe_tells_what_data_do(tiny_base: Base) -> None:
    report = measured(tiny_base, (2, 3, 4, 1), 10)
    plan = plan_experts(tiny_base, report, DOMAINS, evidence="random", probe_steps=2)
    assert len(plan.probe) == 4 and {probe.steps for probe in plan.probe} == {2}
    for probe in plan.probe:
        assert probe.low <= probe.gain <= probe.high and probe.log_p_low <= probe.log_p <= probe.log_p_high
        assert (probe.domain in plan.domains) == probe.helps
    assert ExpertPlan.from_dict(plan.as_dict()) == plan


def test_a_domain_that_no_data_helps_is_left_out_with_its_figures(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    useless = Probe("strings", 30, 100, 0.4, 0.38, -0.02, -0.1, 0.06, -0.2, -0.3, -0.1)
    useful = [replace(useless, domain=name, log_p_high=0.1) for name in NAMES if name != "strings"]
    monkeypatch.setattr("llm_experts.discovery.planning.plan.probe_domains", lambda *_args, **_more: (useless, *useful))
    plan = plan_experts(tiny_base, measured(tiny_base), DOMAINS, evidence="random", probe_steps=30)
    assert [one.domain for one in plan.left_out] == ["strings"] and "strings" not in plan.domains
    assert "-0.02 (-0.10 to +0.06)" in plan.left_out[0].reason and len(plan.probe) == 4


GROUPS = {"groups": [["arithmetic", "lookup"], ["classification"], ["strings"]]}


def test_advice_is_read_compared_and_not_followed_unless_that_is_said(tiny_base: Base) -> None:
    def advisor(question: str) -> str:
        assert "lookup: 0.40" in question and "JSON" in question
        return f"Sure: {json.dumps(GROUPS)}"

    report = measured(tiny_base)
    plan = plan_experts(tiny_base, report, DOMAINS, evidence="random", advisor=advisor)
    bare = plan_experts(tiny_base, report, DOMAINS, evidence="random")
    assert plan.experts == bare.experts and plan.advice.asked and not plan.advice.followed
    assert plan.advice.groups == (("lookup", "arithmetic"), ("classification",), ("strings",))
    assert plan.advice.agreement is not None and ExpertPlan.from_dict(plan.as_dict()) == plan
    led = plan_experts(tiny_base, report, DOMAINS, evidence="random", advisor=advisor, follow_advice=True)
    assert led.advice.followed and [expert.domains for expert in led.experts] == list(plan.advice.groups)
    four = plan_experts(tiny_base, report, DOMAINS, evidence="random", experts=4, advisor=advisor, follow_advice=True)
    assert not four.advice.followed and four.chosen == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [("none", "no JSON object"), ('{"groups": [["lookup"]]}', "no division"), ('{"groups": ["lookup"]}', "no list"),
     ('{"groups": [["lookup", "lookup", "classification", "strings", "arithmetic"]]}', "stands there twice"),
     ('{"groups": [["lookup", "classification"], ["strings", "arithmetic"]]}', "2 groups"),
     ('{"groups": [["cooking"], ["lookup"], ["classification"], ["strings"], ["arithmetic"]]}', "cooking")],
)  # fmt: skip
def test_advice_that_cannot_be_read_changes_nothing(tiny_base: Base, text: str, reason: str) -> None:
    with pytest.raises(AdviceError, match=reason):
        read_groups(text, NAMES)
    groups = tuple((name,) for name in NAMES)
    found = ask_advice(lambda _question: text, measured(tiny_base), NAMES, groups, follow=True)
    assert found == PlanAdvice(True, False, text, (), found.reason) and reason in found.reason
