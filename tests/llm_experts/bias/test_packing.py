"""Token sequences that begin alike share a trunk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_experts.bias.packing import pack


def test_packs_share_what_texts_share() -> None:
    context = tuple(range(50, 80))
    wanted = {(*context, 1, 2): 30, (*context, 3): 30, (*context, 4, 5, 6): 30, (7, 8): 0}
    packs = pack(wanted, 0, share=True)
    assert [len(p.members) for p in packs] == [1, 3]
    shared = packs[1]
    assert len(shared.ids) == 1 + 30 + 2 + 1 + 3
    assert shared.positions == [*range(31), 31, 32, 31, 31, 32, 33]
    assert shared.branch == [0] * 31 + [1, 1, 2, 3, 3, 3]
    assert shared.members[(*context, 4, 5, 6)] == [(30, 4), (34, 5), (35, 6)]
    assert [len(p.members) for p in pack(wanted, 0, share=False)] == [1] * 4


@given(st.dictionaries(st.lists(st.integers(1, 3), min_size=1, max_size=9).map(tuple), st.just(0), max_size=30))
def test_every_member_reads_as_it_was(wanted: dict[tuple[int, ...], int]) -> None:
    packs = pack(wanted, 0, share=True)
    assert sorted(member for p in packs for member in p.members) == sorted(wanted)
    assert sum(len(p.ids) - 1 for p in packs) <= sum(map(len, wanted)), "sharing never costs tokens"
    for p in packs:
        for number, (member, path) in enumerate(p.members.items(), start=1):
            seen = [
                (at, token)
                for at, (token, branch) in enumerate(zip(p.ids, p.branch, strict=True))
                if branch in (0, number)
            ]
            assert [token for _, token in seen] == [0, *member]
            assert [p.positions[at] for at, _ in seen] == list(range(len(member) + 1))
            assert path == [(at, token) for (at, _), token in zip(seen, member, strict=False)]
            assert set(path) <= set(p.asked)
