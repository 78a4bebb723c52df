import pytest

from reports.names import KINDS, PALETTE, READS, SECTIONS, metric_symbol, section_of
from tests.reports.conftest import KNOWN


@pytest.mark.parametrize(
    ("kind", "reads", "wanted"),
    [
        ("gate", "tabular", "tabular"),
        ("baseline", "tabular", "baselines"),
        ("twin", "graph", "graph"),
        ("baseline", "graph", "graph-baselines"),
        ("gate", "text", "text"),
        ("baseline", "text", "adapters"),
        ("static", "both", "both"),
        ("own", "graph", "own"),
    ],
)
def test_section(kind, reads, wanted):
    assert section_of(kind, reads) == wanted
    assert wanted in SECTIONS


def test_records_use_words_that_pages_know():
    for row in KNOWN.values():
        assert row.kind in KINDS and row.reads in READS and row.colour in PALETTE


def test_symbols_of_metrics():
    assert [metric_symbol(m) for m in ("utility@1", "routing_jsd@1", "new_thing@1")] == [
        "utility", "routing disparity", "new thing",
    ]  # fmt: skip
