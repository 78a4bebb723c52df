"""The spread over templates is that of the metrics of the reworded experts."""

import math

import pytest
import torch

from llm_experts.reading.expert import LLMExpert, calibrate
from llm_experts.reading.reader import Reader
from llm_experts.reading.template_spread import reworded_all, template_spread
from metrics.points import point_values
from tasks.templates import TEMPLATES
from tests.llm_experts.expert_fixtures import BASE, SCM, make_adapter

ROWS = SCM.split.validation[:40]


def test_spread_is_largest_minus_smallest() -> None:
    (expert,) = calibrate([LLMExpert("utility", Reader(BASE, "list"), make_adapter("lora"))], SCM, ROWS)
    rows = {row.metric: row for row in template_spread([expert], SCM, ROWS)[0]}
    assert {"acc@1", "dp@1", "fair_res@1"} <= rows.keys()
    for template in TEMPLATES:
        other = LLMExpert("utility", Reader(BASE, template), expert.adapter, expert.temperature, expert.bias)
        probability = torch.sigmoid(other.logits(SCM, ROWS))[None]
        values = point_values(
            probability, SCM.labels[ROWS], SCM.groups[ROWS], len(SCM.group_names), metrics=tuple(rows)
        )
        for metric, value in values.items():
            assert rows[metric].estimates[template] == pytest.approx(float(value[0]), abs=1e-4, nan_ok=True), metric
    row = rows["auc@1"]
    assert row.spread == pytest.approx(max(row.estimates.values()) - min(row.estimates.values()))
    assert row.spread > 0 and row.trained == "list"
    unknown = [row for row in rows.values() if any(map(math.isnan, row.estimates.values()))]
    assert all(math.isnan(row.spread) for row in unknown)


def test_the_trained_template_keeps_what_it_knows() -> None:
    expert = LLMExpert("utility", Reader(BASE), make_adapter("lora"), temperature=2.0, bias=1.0)
    before = expert.logits(SCM, ROWS)
    assert reworded_all([expert], "sentence")[0] is expert
    other = reworded_all([expert], "record")[0]
    assert (other.temperature, other.bias, other.reader.start) == (2.0, 1.0, expert.reader.start)
    assert not torch.allclose(other.logits(SCM, ROWS), before)
    assert torch.equal(expert.logits(SCM, ROWS), before)


def test_labels_must_be_known() -> None:
    expert = LLMExpert("utility", Reader(BASE), make_adapter("lora"))
    with pytest.raises(ValueError, match="hidden"):
        template_spread([expert], SCM, SCM.split.test[:10])
