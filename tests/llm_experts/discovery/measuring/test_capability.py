"""What a base can do: known answers, pairing, both ways of measuring, and JSON."""

import json

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.capability import CapabilityReport, measure_capability
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.discovery.measuring.domains import DEFAULT_DOMAINS, domains_named
from llm_experts.training.sequences.choices import Choices
from llm_experts.training.sequences.lanes import SequenceLanes
from metrics.proportions import wilson

DOMAINS = domains_named("lookup", "classification")


def test_names_of_domains() -> None:
    found = domains_named("arithmetic", "json_task@0.5", "rows:adult:sex@1500", "rows")
    assert [(one.name, one.family, one.difficulty) for one in found] == [
        ("arithmetic", "arithmetic", 0.0), ("json-task-50", "json_task", 0.5),
        ("rows-adult", "rows:adult:sex@1500", None), ("rows-german", "rows", None),
    ]  # fmt: skip
    two = domains_named("rows:compas:race", "rows:compas:sex")
    assert [one.name for one in two] == ["rows-compas-race", "rows-compas-sex"]
    assert len(DEFAULT_DOMAINS) == 10 and len({one.name for one in DEFAULT_DOMAINS}) == 10


@pytest.mark.parametrize(
    ("texts", "message"),
    [(("cooking",), "no family 'cooking'"), (("sql@2",), "no difficulty"), (("sql@x",), "'x' is no difficulty"),
     (("sql", "sql@0"), "sql is named twice")],
)  # fmt: skip
def test_domains_that_are_none_are_refused(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        domains_named(*texts)


def test_choices_are_counted_with_their_intervals(tiny_base: Base) -> None:
    report = measure_capability(tiny_base, DOMAINS, items=20, opinions=False)
    told = scenarios(DOMAINS[:1], "capability", 20)
    choices = Choices.of(tiny_base, [item.example for item in told], [item.answers for item in told])
    lanes = SequenceLanes.fresh(tiny_base, "lora", [1], [0])
    among = choices.base_logprobs(lanes).softmax(-1)
    row = report.row("lookup")
    assert row.hits == tuple((among[:, 0] > 0.5).int().tolist()) and row.right == sum(row.hits) and row.n == 20
    assert (row.low, row.high) == wilson(row.right, 20) and row.share == row.right / 20
    assert row.p_mean == pytest.approx(float(among[:, 0].mean()))
    assert row.likeliest == pytest.approx(float((among.argmax(1) == 0).double().mean()))
    off = (among.max(1).values - (among.argmax(1) == 0).double()).square().mean()
    assert row.brier == pytest.approx(float(off))
    assert row.chance == pytest.approx(sum(1 / len(item.answers) for item in told) / 20)
    assert row.commonest is None and row.opinion is None and report.opinion.asked == 0


def test_a_choice_between_the_same_labels_has_a_commonest_one(tiny_base: Base) -> None:
    row = measure_capability(tiny_base, DOMAINS, items=20, opinions=False).row("classification")
    labels = [item.answers[0] for item in scenarios(DOMAINS[1:], "capability", 20)]
    assert row.chance == 0.5 and row.commonest == max(labels.count("yes"), labels.count("no")) / 20


def test_an_adapter_is_measured_by_the_same_items(tiny_base: Base) -> None:
    """An untrained one is the base, a planted one is not; its hits are paired with those of the base."""
    lanes = SequenceLanes.fresh(tiny_base, "lora", [2], [0])
    base = measure_capability(tiny_base, DOMAINS, items=20, opinions=False)
    same = measure_capability(tiny_base, DOMAINS, items=20, opinions=False, lanes=lanes, theta=lanes.start)
    assert [row.hits for row in same.rows] == [row.hits for row in base.rows]
    planted = lanes.start + torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(0))
    other = measure_capability(tiny_base, DOMAINS, items=20, opinions=False, lanes=lanes, theta=planted[0])
    assert [row.hits for row in other.rows] != [row.hits for row in base.rows]


def test_generated_answers_are_judged_by_the_family(tiny_base: Base) -> None:
    """A random base says nothing right, and its opinion is text without a number or one that is read."""
    report = measure_capability(tiny_base, DOMAINS, items=4, how="generate")
    assert [(row.right, row.chance, row.brier, row.p_mean) for row in report.rows] == [(0, 0, None, 0)] * 2
    assert report.how == "generate" and report.opinion.asked == 2
    assert all(0 < (row.opinion_yes or 0) < 1 for row in report.rows)


def test_a_report_survives_json_and_is_the_same_again(tiny_base: Base) -> None:
    report = measure_capability(tiny_base, DOMAINS, items=5)
    text = json.dumps(report.as_dict(), allow_nan=False)
    assert CapabilityReport.from_dict(json.loads(text) | {"seconds": 3.0}) == report
    assert json.dumps(measure_capability(tiny_base, DOMAINS, items=5).as_dict()) == text
    assert set(report.as_dict()) == {"base", "how", "domains", "opinion"}
    assert report.as_dict()["domains"][0]["name"] == "lookup"


def test_progress_is_told(tiny_base: Base) -> None:
    seen: list[tuple[int, int, str]] = []
    measure_capability(tiny_base, DOMAINS, items=2, opinions=False, progress=lambda *told: seen.append(told))
    assert seen == [(1, 2, "lookup"), (2, 2, "classification")]


def test_what_cannot_be_measured_is_refused(tiny_base: Base) -> None:
    with pytest.raises(DataError, match="no domain to measure"):
        measure_capability(tiny_base, [])
    with pytest.raises(ValueError, match="one model"):
        measure_capability(tiny_base, DOMAINS, lanes=SequenceLanes.fresh(tiny_base, "lora", [1, 1], [0, 1]))
    with pytest.raises(DataError, match="no domain sql"):
        measure_capability(tiny_base, DOMAINS, items=2, opinions=False).row("sql")
    assert Domain("x", "lookup").difficulty == 0
