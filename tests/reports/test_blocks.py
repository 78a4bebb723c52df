from dataclasses import replace

import pytest

from reports.blocks import BLOCKS, blocks_of
from reports.names import READS
from reports.table import ReportError
from tests.reports.conftest import KNOWN


def test_blocks_name_known_methods_once():
    pairs = [pair for block in blocks_of(KNOWN) for pair in block.pairs]
    assert len(pairs) == len(set(pairs))
    assert {m for pair in pairs for m in pair} <= set(KNOWN)
    assert all(block.reads in READS for block in BLOCKS)


def test_mixtures_stand_first_and_are_spoken_of_once():
    blocks = {block.id: block for block in blocks_of(KNOWN)}
    assert {id: block.mixture for id, block in blocks.items()} == {
        "tabular": "mixture", "baselines": "", "graph": "graph_gate_dense", "text": "", "text-mixtures": "llm_mixture",
        "both": "cross_gate_dense",
    }  # fmt: skip
    assert blocks["both"].pairs[-1] == ("llm_utility", "utility")  # although it stands before the mixture
    assert [a for a, _ in blocks["text-mixtures"].pairs] == [
        "llm_mixture",
        "llm_bank",
        "llm_dispatch",
        "llm_svf_search",
    ]


def test_without_records_there_are_no_pairs():
    assert all(block.pairs == () and block.mixture == "" for block in blocks_of({}))


def test_an_unknown_block_is_refused():
    wrong = replace(KNOWN["mixture"], compared=(("tabluar", "uniform"),))
    with pytest.raises(ReportError, match="in the block 'tabluar', which pages do not have"):
        blocks_of({"mixture": wrong})
