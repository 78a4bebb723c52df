"""Names of metrics as people type them."""

from __future__ import annotations

import pytest

from benchmarks.commands.models.metric_option import metric_ids
from metrics.registry import MetricError


def test_versions_and_letters_may_be_left_to_the_program() -> None:
    assert metric_ids("dp, EOPP@1,acc,dp@1") == ("dp@1", "eopp@1", "acc@1")
    assert metric_ids("ATT_JSD") == ("att_jsd@1",) and metric_ids(" , ") == ()


def test_unknown_ones_are_named_with_close_matches() -> None:
    with pytest.raises(MetricError, match=r"no metric 'eop'. Did you mean 'eopp@1'"):
        metric_ids("dp,eop")
    with pytest.raises(MetricError, match=r"no metric 'dp@2'. Did you mean 'dp@1'"):
        metric_ids("dp@2")
