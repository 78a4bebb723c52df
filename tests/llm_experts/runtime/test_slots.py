"""Slots without weights: who stays and who goes."""

import pytest

from llm_experts.runtime.slots import SlotsFullError, SlotTable


def test_the_least_recently_used_goes_and_who_is_in_use_or_pinned_stays() -> None:
    table = SlotTable(3)
    assert table.place(["a", "b", "c"]) == {"a": 0, "b": 1, "c": 2} and table.place(["b"]) == {}
    table.use(["a"])
    table.leave(["a"])
    assert table.names == ("b", "c", "a")
    table.pin("b")
    table.use(["c"])
    assert table.place(["d"]) == {"d": 0} and table.evictions == 1
    assert table.slot("a") is None and table.names == ("b", "c", "d")
    with pytest.raises(SlotsFullError, match="2 experts have to be loaded and 1 of 3 slots can be had") as waiting:
        table.place(["a", "e"])
    assert not waiting.value.permanent and table.names == ("b", "c", "d")
    with pytest.raises(SlotsFullError, match="more slots") as never:
        table.place(["a", "d", "e"])
    assert never.value.permanent
    table.leave(["c"])
    table.unpin("b")
    assert set(table.place(["a", "d", "e"])) == {"a", "e"} and table.evictions == 3


def test_a_name_is_held_as_often_as_it_is_used() -> None:
    table = SlotTable(1)
    table.place(["a"])
    table.use(["a", "virtual"])
    table.use(["a"])
    table.leave(["a"])
    assert table.uses("a") == 1 and table.uses("virtual") == 1
    with pytest.raises(SlotsFullError):
        table.place(["b"])
    table.leave(["a"])
    assert table.place(["b"]) == {"b": 0} and table.uses("a") == 0
