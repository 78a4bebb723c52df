"""The queue: nothing is lost, priorities order, clients take turns, nobody waits forever or is shut out."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.work.fair_queue import FairQueue
from serving.work.rate import Rate

asked = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from(["text", "rows"])), max_size=40)


def drained(queue: FairQueue[int], lane: str) -> list[int]:
    found = []
    while (item := queue.take(lane)) is not None:
        found.append(item)
    return found


@given(asked, st.integers(1, 20))
def test_what_was_taken_in_comes_out_once_or_is_told_to_have_been_pushed_out(
    requests: list[tuple[str, int, str]], limit: int
) -> None:
    queue: FairQueue[int] = FairQueue(limit)
    waiting: set[int] = set()
    for number, (client, priority, lane) in enumerate(requests):
        waits, pushed = queue.put(number, lane=lane, priority=priority, client=client)
        if pushed is not None:
            assert waits
            waiting.remove(pushed)
        if waits:
            waiting.add(number)
        assert len(queue) == len(waiting) <= limit
    text, rows = drained(queue, "text"), drained(queue, "rows")
    assert sorted(text + rows) == sorted(waiting)
    assert all(requests[number][2] == "text" for number in text)
    assert all(requests[number][2] == "rows" for number in rows)


@given(asked)
def test_without_patience_higher_priorities_come_first_and_a_client_keeps_its_order(
    requests: list[tuple[str, int, str]],
) -> None:
    queue: FairQueue[int] = FairQueue(100, patience=10**6)
    for number, (client, priority, _) in enumerate(requests):
        queue.put(number, lane="text", priority=priority, client=client)
    order = drained(queue, "text")
    priorities = [requests[number][1] for number in order]
    assert priorities == sorted(priorities, reverse=True)
    for key in {request[:2] for request in requests}:
        own = [number for number in order if requests[number][:2] == key]
        assert own == sorted(own)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
def test_clients_take_turns(clients: list[str]) -> None:
    queue: FairQueue[str] = FairQueue(100, patience=10**6)
    for client in clients:
        queue.put(client, lane="text", client=client)
    order = drained(queue, "text")
    left = {client: clients.count(client) for client in clients}
    while order:
        turn, order = order[: len(left)], order[len(left) :]
        assert set(turn) == set(left)  # one of everybody who waits, before anybody's second
        left = {client: count - 1 for client, count in left.items() if count > 1}


@given(asked, st.integers(1, 5))
def test_nobody_waits_longer_than_patience_for_each_who_came_before(
    requests: list[tuple[str, int, str]], patience: int
) -> None:
    queue: FairQueue[int] = FairQueue(10_000, patience=patience)
    for number, (client, priority, _) in enumerate(requests):
        queue.put(number, lane="text", priority=priority, client=client)
    left, turns = set(range(len(requests))), 0
    while left:
        for flood in range(2):  # it never ends, is more important, and each comes from another client
            queue.put(-1, lane="text", priority=9, client=f"flood {turns} {flood}")
        turns += 1
        item = queue.take("text")
        left.discard(-1 if item is None else item)
        assert all(turns < patience * (number + 1) for number in left)


def test_the_first_of_all_leaves_by_its_turn_in_a_flood() -> None:
    queue: FairQueue[str] = FairQueue(1000, patience=4)
    queue.put("old", lane="text", priority=0, client="poor")
    taken = []
    for _ in range(4):
        queue.put("new", lane="text", priority=5, client="rich")
        taken.append(queue.take("text"))
    assert taken == ["new", "new", "new", "old"]


def test_a_full_queue_refuses_whoever_fills_it_and_makes_room_for_others() -> None:
    queue: FairQueue[str] = FairQueue(4)
    for number in range(4):
        assert queue.put(f"a{number}", lane="text", client="a") == (True, None)
    assert queue.put("a4", lane="text", client="a") == (False, None)
    assert queue.put("b0", lane="text", client="b") == (True, "a3")
    assert queue.put("b1", lane="rows", client="b") == (True, "a2")
    assert queue.put("b2", lane="rows", client="b") == (False, None)  # two each: nobody holds more than b would
    assert queue.put("c0", lane="rows", client="c") == (True, "b1")
    assert drained(queue, "text") == ["a0", "b0", "a1"]
    assert drained(queue, "rows") == ["c0"]


def test_nothing_of_a_higher_priority_makes_room() -> None:
    queue: FairQueue[str] = FairQueue(2)
    queue.put("a0", lane="text", client="a", priority=1)
    queue.put("a1", lane="text", client="a", priority=1)
    assert queue.put("b0", lane="text", client="b", priority=0) == (False, None)
    assert queue.put("b1", lane="text", client="b", priority=1) == (True, "a1")


def test_taking_waits_until_something_comes_and_wakes_with_nothing() -> None:
    queue: FairQueue[str] = FairQueue(4)
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.take("text", None)))
    thread.start()
    queue.put("x", lane="text")
    thread.join(5)
    assert found == ["x"]
    other = threading.Thread(target=lambda: found.append(queue.take("text", None)))
    other.start()
    while other.is_alive():
        queue.wake()
        other.join(0.01)
    assert found == ["x", None]


def test_many_threads_lose_nothing() -> None:
    queue: FairQueue[int] = FairQueue(10_000)
    found: list[int] = []
    ended = threading.Event()

    def work() -> None:
        while not (ended.is_set() and not len(queue)):
            item = queue.take("text", 0.01)
            if item is not None:
                found.append(item)

    def ask(start: int) -> None:
        for number in range(start, start + 100):
            queue.put(number, lane="text", client=str(start), priority=number % 3)

    workers = [threading.Thread(target=work) for _ in range(3)]
    askers = [threading.Thread(target=ask, args=(start,)) for start in range(0, 800, 100)]
    for thread in [*workers, *askers]:
        thread.start()
    for thread in askers:
        thread.join()
    ended.set()
    for thread in workers:
        thread.join(10)
    assert sorted(found) == list(range(800))


def test_bounds_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FairQueue(0)


def test_retry_after_follows_the_rate_within_bounds() -> None:
    rate = Rate()
    assert rate.retry_after(1000, now=0.0) == 1.0
    for second in range(11):
        rate.ended(float(second))
    assert rate.per_second(now=10.0) == pytest.approx(1.1)
    assert rate.retry_after(22, now=10.0) == pytest.approx(10.0)
    assert rate.retry_after(10**6, now=10.0) == 60.0
    assert rate.retry_after(0, now=10.0) == 1.0
