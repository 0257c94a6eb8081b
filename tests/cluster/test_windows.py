"""Windows of events: when they close, what they keep, and what is read from them."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from math import inf

import pytest

from triocql.abc import Address
from triocql.cluster.events import LONGEST, QUIET, EventWindow, Window, read_events


def string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def event(kind: str, change: str, host: str, port: int = 9042) -> tuple[int, bytes]:
    packed = ip_address(host).packed
    return 0, string(kind) + string(change) + bytes([len(packed)]) + packed + struct.pack(">i", port)


UP, DOWN = (event("STATUS_CHANGE", change, "10.0.0.1") for change in ("UP", "DOWN"))
NEW, REMOVED = (event("TOPOLOGY_CHANGE", change, "10.0.0.1") for change in ("NEW_NODE", "REMOVED_NODE"))
MOVED = event("TOPOLOGY_CHANGE", "MOVED_NODE", "10.0.0.1")
NODE = Address("10.0.0.1", 9042)


def window_of(*events: tuple[int, bytes], overflowed: bool = False) -> Window:
    return Window(dict.fromkeys(events, 0.0), len(events), overflowed)


def test_it_closes_some_time_after_the_last_event() -> None:
    window = EventWindow()
    assert window.due == inf
    window.add(*UP, 10.0)
    assert window.due == 10.0 + QUIET
    window.add(*DOWN, 10.05)
    assert window.due == 10.05 + QUIET


def test_it_closes_in_any_case_and_the_next_one_begins_anew() -> None:
    window = EventWindow()
    now = 10.0
    while now < 10.0 + LONGEST:
        window.add(*UP, now)
        now += QUIET / 2
    assert window.due == 10.0 + LONGEST
    window.take()
    assert window.due == inf
    window.add(*UP, 20.0)
    assert window.due == 20.0 + QUIET


def test_equal_events_are_one_where_the_last_of_them_came() -> None:
    window = EventWindow()
    for each in (UP, DOWN, UP):
        window.add(*each, 0.0)
    taken = window.take()
    assert list(taken.events) == [DOWN, UP]
    assert (taken.total, taken.overflowed) == (3, False)
    assert window.take() == ({}, 0, False)


def test_of_too_many_it_is_only_known_that_there_were_more() -> None:
    window = EventWindow()
    for number in range(5000):
        window.add(0, b"%d" % number, 0.0)
    window.add(0, b"0", 0.1)  # one that is kept
    events, total, overflowed = window.take()
    assert overflowed
    assert (total, len(events)) == (5001, 1024)
    assert list(events)[-1] == (0, b"0")
    window.add(*UP, 0.2)
    assert window.take() == ({UP: 0.2}, 1, False)


def test_a_very_long_one_is_not_kept() -> None:
    window = EventWindow()
    window.add(0, bytes(5000), 0.0)
    assert window.take() == ({}, 1, True)


def test_the_last_word_on_each_node_counts() -> None:
    other = event("STATUS_CHANGE", "UP", "fd00::1", 9142)
    news = read_events(window_of(DOWN, other, UP), 5)
    assert news.up == {NODE: True, Address("fd00::1", 9142): True}
    assert news.concerns_nodes
    assert not read_events(window_of(UP, DOWN), 5).concerns_nodes


@pytest.mark.parametrize(
    ("events", "present", "removed"),
    [
        ([NEW], {NODE}, set()),
        ([MOVED], {NODE}, set()),
        ([NEW, REMOVED], set(), {NODE}),
        ([REMOVED, NEW], {NODE}, set()),
    ],
)
def test_whether_a_node_is_there(
    events: list[tuple[int, bytes]], present: set[Address], removed: set[Address]
) -> None:
    news = read_events(window_of(*events), 5)
    assert (news.present, news.removed) == (present, removed)
    assert news.concerns_nodes


def test_one_that_cannot_be_read_keeps_none_of_the_others_back() -> None:
    news = read_events(window_of((0, b"\0\xff"), UP, (0, string("STATUS_CHANGE"))), 5)
    assert news.up == {NODE: True}
    assert len(news.problems) == 2


def test_what_is_incomplete_may_concern_nodes() -> None:
    assert read_events(window_of(overflowed=True), 5).concerns_nodes
    assert not read_events(window_of(), 5).concerns_nodes
