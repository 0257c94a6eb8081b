"""Tablets: hints as the bytes of nodes tell them, what is learnt of them, and when it is forgotten (T1-T7)."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from struct import pack
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.clusters import node
from tests.metadata.hints import field, hint, on, replica
from triocql.codecs.values import FrozenMap
from triocql.metadata import tablets as pure
from triocql.metadata import tabletstore
from triocql.metadata.node import Node
from triocql.metadata.replication import strategy_of
from triocql.metadata.schema import Keyspace, Table
from triocql.metadata.tablethints import MOST_REPLICAS, BadHint, Hint, read_hint
from triocql.metadata.tabletstore import Tablets

IMPLS: dict[str, Any] = {"python": pure}
if find_spec("triocql.metadata._tablets") is not None:
    IMPLS["cython"] = __import__("triocql.metadata._tablets", fromlist=["_tablets"])

NOTHING: FrozenMap[str, Any] = FrozenMap({})
LOW, HIGH = -(2**63), 2**63 - 1
ONE, TWO = UUID("11111111-1111-1111-1111-111111111111"), UUID("22222222-2222-2222-2222-222222222222")
GOLDEN = bytes.fromhex(
    "00000008ffffffffffffff9c00000008000000000000006400000044000000020000001c000000101111111111111111111111111111"
    "111100000004000000000000001c00000010222222222222222222222222222222220000000400000003"
)
TOLD = (ONE.bytes, TWO.bytes), (0, 3)


def nodes_of(*names: str) -> tuple[Node, ...]:
    made = []
    for number, name in enumerate(names, 1):
        each = node(name)
        each.host_id = UUID(int=number)
        made.append(each)
    return tuple(made)


A, B, C = NODES = nodes_of("a", "b", "c")


def store(*nodes: Node, keyspaces: dict[str, Keyspace] | None = None) -> Tablets:
    made = Tablets()
    made.follow(nodes or NODES, keyspaces or {})
    return made


def learn(tablets: Tablets, first: int, last: int, *nodes: Node, table: str = "carts") -> None:
    tablets.take("shop", table, hint(first, last, on(nodes, *range(len(nodes)))), versioned=False)


def ranges(tablets: Tablets, table: str = "carts") -> list[tuple[int, int]]:
    return [(each.first, each.last) for each in tablets.of("shop", table)]


# --- Hints ------------------------------------------------------------------------------------------------------------


def test_hints_are_read_as_two_other_encoders_write_them() -> None:
    assert hint(-100, 100, [(ONE, 0), (TWO, 3)]) == GOLDEN
    assert read_hint(GOLDEN) == Hint(-100, 100, *TOLD)
    versioned = GOLDEN + bytes.fromhex("000000080123456789abcdef")
    assert read_hint(versioned, versioned=True) == Hint(-100, 100, *TOLD, 0x0123456789ABCDEF)
    assert (
        read_hint(GOLDEN + bytes.fromhex("00000008deadbeefcafebabe"), versioned=True).version
        == 0xDEADBEEFCAFEBABE
    )


@pytest.mark.parametrize("versioned", [False, True], ids=["v1", "v2"])
def test_a_hint_that_is_cut_off_anywhere_is_refused(versioned: bool) -> None:
    """Test 11: every truncation."""
    whole = GOLDEN + (field(bytes(8)) if versioned else b"")
    read_hint(whole, versioned=versioned)
    for size in range(len(whole)):
        with pytest.raises(BadHint):
            read_hint(whole[:size], versioned=versioned)


def test_fields_that_newer_servers_may_add_are_left_out() -> None:
    """Test 11: a fourth and a fifth field, and one more in a replica, whatever they are."""
    for more in (field(b"1234567"), field(None), field(b"") * 3, b"odd"):
        assert read_hint(GOLDEN + more) == Hint(-100, 100, *TOLD)
        assert read_hint(GOLDEN + field(bytes(8)) + more, versioned=True) == Hint(-100, 100, *TOLD, 0)
    listed = field(replica(ONE.bytes, 0) + field(b"more")) + field(replica(TWO.bytes, 3))
    wide = field(pack(">q", -100)) + field(pack(">q", 100)) + field(pack(">i", 2) + listed)
    assert read_hint(wide) == Hint(-100, 100, *TOLD)


LISTED = field(replica(ONE.bytes, 0))
FIRST, LAST = field(pack(">q", -100)), field(pack(">q", 100))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        hint(100, 100, [(ONE, 0)]),
        hint(101, 100, [(ONE, 0)]),
        hint(HIGH, LOW, [(ONE, 0)]),
        hint(-100, 100, []),
        hint(-100, 100, [(ONE, -1)]),
        hint(-100, 100, [(ONE, 65_535)]),
        field(None) + LAST + field(pack(">i", 1) + LISTED),
        field(b"1234567") + LAST + field(pack(">i", 1) + LISTED),
        FIRST + LAST + field(None),
        FIRST + LAST + field(pack(">i", -1)),
        FIRST + LAST + field(pack(">i", 2) + LISTED),
        FIRST + LAST + field(pack(">i", 1) + LISTED + LISTED),
        FIRST + LAST + field(pack(">i", 2**31 - 1) + LISTED),
        FIRST + LAST + pack(">i", 2**31 - 1) + pack(">i", 1) + LISTED,
        FIRST + LAST + field(pack(">i", 1) + field(None)),
        FIRST + LAST + field(pack(">i", 1) + field(replica(b"short", 0))),
        FIRST + LAST + field(pack(">i", 1) + pack(">i", -5) + replica(ONE.bytes, 0)),
        hint(-100, 100, [(UUID(int=each), 0) for each in range(MOST_REPLICAS + 1)]),
    ],
)  # fmt: skip
def test_a_hint_that_cannot_be_is_refused_and_counted(value: bytes | None) -> None:
    """Test 11: first ≥ last, a negative shard, no replicas, lengths that lie."""
    with pytest.raises(BadHint):
        read_hint(value)
    tablets = store()
    tablets.take("shop", "carts", value, versioned=False)
    assert (tablets.refused, tablets.learnt, len(tablets)) == (1, 0, 0)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_are_more_than_refused(data: st.DataObject) -> None:
    value = bytearray(GOLDEN + field(bytes(8)))
    for at in data.draw(st.lists(st.integers(0, len(value) - 1), max_size=4)):
        value[at] = data.draw(st.integers(0, 255))
    try:
        found = read_hint(bytes(value), versioned=True)
    except BadHint:
        return
    assert found.first < found.last
    assert all(len(host_id) == 16 for host_id in found.host_ids)
    assert all(0 <= shard < 65_535 for shard in found.shards)


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.lists(
        st.tuples(st.sampled_from([ONE, TWO, UUID(int=3)]), st.integers(-1, 70_000)), max_size=4
    ),
    data=st.data(),
)
def test_what_is_read_at_once_is_what_is_read_piece_by_piece(replicas: Any, data: st.DataObject) -> None:
    """As nearly all hints are; those that have a version are read piece by piece."""
    value = bytearray(hint(*data.draw(st.tuples(st.integers(-3, 3), st.integers(-3, 3))), replicas))
    for at in data.draw(st.lists(st.integers(0, len(value) - 1), max_size=1)):
        value[at] = data.draw(st.integers(0, 255))

    def read(value: bytes, *, versioned: bool) -> Hint | None:
        try:
            return read_hint(value, versioned=versioned)._replace(version=None)
        except BadHint:
            return None

    assert read(bytes(value), versioned=False) == read(bytes(value) + field(bytes(8)), versioned=True)


def test_a_host_id_that_is_told_twice_is_one_replica() -> None:
    assert read_hint(hint(1, 2, [(ONE, 0), (ONE, 1), (TWO, 2)])) == Hint(1, 2, (ONE.bytes, TWO.bytes), (0, 2))


# --- The tablets of a table -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", IMPLS)
def test_a_tablet_has_the_tokens_behind_its_first_up_to_its_last(impl: str) -> None:
    held = IMPLS[impl].TableTablets("shop", "carts")
    assert (held.find(0), len(held), held.tablets) == (None, 0, ())
    left, right = (IMPLS[impl].Tablet(*each, (A,), (0,)) for each in ((LOW, -100), (100, HIGH)))
    held.put(right)
    held.put(left)
    found = {token: held.find(token) for token in (LOW, LOW + 1, -100, -99, 0, 100, 101, HIGH)}
    assert [token for token, each in found.items() if each is left] == [LOW + 1, -100]
    assert [token for token, each in found.items() if each is right] == [101, HIGH]
    assert held.tablets == (left, right)
    assert repr(left) == f"<Tablet ({LOW}, -100] on a shard 0>"


@pytest.mark.parametrize("impl", IMPLS)
def test_a_tablet_knows_the_shards_of_its_replicas(impl: str) -> None:
    with pytest.raises(ValueError, match="each replica"):
        IMPLS[impl].Tablet(0, 10, (A,), ())
    tablet = IMPLS[impl].Tablet(0, 10, (A, C), (7, 0), 5)
    assert [tablet.shard_of(each) for each in NODES] == [7, -1, 0]
    assert tablet.says_the_same(IMPLS[impl].Tablet(0, 10, (A, C), (7, 0), 5))
    others: list[Any] = [
        ((1, 10), (A, C), (7, 0), 5),
        ((0, 11), (A, C), (7, 0), 5),
        ((0, 10), (C, A), (7, 0), 5),
    ]
    others += [((0, 10), (A, C), (7, 1), 5), ((0, 10), (A, C), (7, 0), None)]
    for span, nodes, shards, version in others:
        assert not tablet.says_the_same(IMPLS[impl].Tablet(*span, nodes, shards, version))


class Model:
    """The tablet that each of some tokens is in, one by one: who comes later takes the whole of what it overlaps."""

    def __init__(self, size: int) -> None:
        self.of: list[Any] = [None] * size

    def put(self, tablet: Any) -> None:
        touched = {id(each) for each in self.of[tablet.first + 1 : tablet.last + 1] if each is not None}
        self.of = [None if id(each) in touched else each for each in self.of]
        self.of[tablet.first + 1 : tablet.last + 1] = [tablet] * (tablet.last - tablet.first)


SIZE = 24
SPANS = st.tuples(st.integers(0, SIZE - 2), st.integers(1, SIZE - 1)).filter(lambda span: span[0] < span[1])


@settings(max_examples=100, deadline=None)
@given(data=st.data(), spans=st.lists(st.one_of(SPANS, st.none()), max_size=25))
@pytest.mark.parametrize("impl", IMPLS)
def test_any_history_of_tablets_is_that_of_a_model(
    impl: str, data: st.DataObject, spans: list[tuple[int, int] | None]
) -> None:
    """Moves, splits, merges and hints that are late, in any order (T5); None: what is on a node is forgotten."""
    held, model = IMPLS[impl].TableTablets("shop", "carts"), Model(SIZE)
    for span in spans:
        if span is None:
            gone = data.draw(st.sampled_from(NODES))
            held.keep(lambda each, gone=gone: gone not in each.replicas)
            model.of = [None if each is not None and gone in each.replicas else each for each in model.of]
        else:
            tablet = IMPLS[impl].Tablet(*span, (data.draw(st.sampled_from(NODES)),), (0,))
            known = held.find(span[1])
            is_news = known is None or not known.says_the_same(tablet)
            assert held.put(tablet) is is_news
            if is_news:
                model.put(tablet)
        assert [held.find(token) for token in range(SIZE)] == model.of
        assert list(held.tablets) == list(dict.fromkeys(each for each in model.of if each is not None))
        assert held.weight == 4 * len(held)


def even(count: int) -> list[bytes]:
    """Return hints about a table of so many tablets, in any order."""
    bounds = [LOW + 2**64 * number // count for number in range(count)] + [HIGH]
    chosen = random.Random(1)
    hints = [hint(first, last, on(chosen.sample(NODES, 3), 0, 1, 2)) for first, last in pairwise(bounds)]
    chosen.shuffle(hints)
    return hints


def test_thousands_of_tablets_are_learnt_one_by_one() -> None:
    """Test 13: each is put in its place, and nothing is made anew."""

    def taken(count: int) -> float:
        hints, times = even(count), []
        for _ in range(5):
            tablets = store()
            began = time.process_time()
            for each in hints:
                tablets.take("shop", "carts", each, versioned=False)
            times.append(time.process_time() - began)
            assert len(tablets) == tablets.learnt == count
        return min(times)

    assert taken(4096) < 0.3, "0.05 s, where nothing else is done"


@pytest.mark.parametrize("impl", IMPLS)
def test_a_token_is_found_among_thousands_of_tablets_in_no_time(impl: str) -> None:
    """Test 13: 0.3 µs compiled, 1 µs in pure Python; more on a busy machine, but never as a walk through them."""
    held = IMPLS[impl].TableTablets("shop", "carts")
    for value in even(4096):
        told = read_hint(value)
        held.put(IMPLS[impl].Tablet(told.first, told.last, NODES, (0, 1, 2)))
    tokens = [random.Random(number).randrange(LOW, HIGH) + 1 for number in range(2000)]
    assert all((found := held.find(token)) and found.first < token <= found.last for token in tokens)
    times = []
    for _ in range(7):
        began = time.process_time()
        for token in tokens:
            held.find(token)
        times.append((time.process_time() - began) / len(tokens))
    assert min(times) < 4e-6


# --- The store --------------------------------------------------------------------------------------------------------


def test_tablets_are_learnt_by_table() -> None:
    tablets = store()
    learn(tablets, 0, 10, A, B)
    learn(tablets, 10, 20, C, table="orders")
    (found,) = tablets.of("shop", "carts")
    assert (found.replicas, found.shards, found.version) == ((A, B), (0, 1), None)
    assert sorted(tablets) == [("shop", "carts"), ("shop", "orders")]
    assert tablets.of("other", "carts") == ()
    assert tablets.table("shop", "carts").find(5) is found
    assert (len(tablets), repr(tablets)) == (2, "<Tablets: 2 of 2 tables>")


def test_what_is_known_already_stays_the_same() -> None:
    tablets = store()
    learn(tablets, 0, 10, A, B)
    (found,) = tablets.of("shop", "carts")
    learn(tablets, 0, 10, A, B)
    assert tablets.of("shop", "carts")[0] is found
    learn(tablets, 0, 10, B, A)
    assert [each.replicas for each in tablets.of("shop", "carts")] == [(B, A)]


def test_a_node_that_is_not_known_is_looked_for_once() -> None:
    """Test 14: its tablets have the other replicas meanwhile, and are forgotten if it is still not known after that."""
    tablets, asked = store(A), []
    tablets.on_unknown = lambda: asked.append(len(tablets))
    tablets.take("shop", "carts", hint(0, 10, on((A, B), 0, 1), version=9), versioned=True)
    (found,) = tablets.of("shop", "carts")
    assert (found.replicas, found.shards, found.version, asked) == ((A,), (0,), None, [1])
    tablets.nodes_read()
    assert (len(tablets), asked) == (0, [1])
    tablets.take("shop", "carts", hint(0, 10, on((A, B), 0, 1)), versioned=False)
    assert (len(tablets), asked) == (0, [1]), "it was sought in vain, and is not sought again"
    tablets.follow((A, C), {})
    tablets.take("shop", "carts", hint(0, 10, on((A, B), 0, 1)), versioned=False)
    assert (len(tablets), asked) == (1, [1, 1]), "there are other nodes: it may be among them soon"


def test_a_node_that_was_looked_for_and_found_gets_its_tablets() -> None:
    tablets = store(A)
    tablets.take("shop", "carts", hint(0, 10, on((A, B), 0, 1), version=9), versioned=True)
    tablets.take("shop", "carts", hint(10, 20, on((B,), 2)), versioned=False)
    assert ranges(tablets) == [(0, 10)], "one of them has no node that is known"
    tablets.take("shop", "carts", hint(20, 30, on((A, C), 0, 1)), versioned=False)
    learn(tablets, 22, 28, A)
    tablets.follow((A, B), {})
    tablets.nodes_read()
    assert [(each.first, each.replicas, each.version) for each in tablets.of("shop", "carts")] == [
        (0, (A, B), 9),
        (10, (B,), None),
        (22, (A,), None),
    ], "what is newer than what waited stays"


@pytest.mark.parametrize("way", ["another", "none", "an event"])
def test_what_waits_for_a_node_is_forgotten_with_its_table(way: str) -> None:
    """A later table of that name has other tablets."""
    before = {"shop": keyspace("carts")}
    tablets = store(A, keyspaces=before)
    tablets.take("shop", "carts", hint(0, 10, on((B,), 2)), versioned=False)
    tablets.take("shop", "carts", hint(10, 20, on((A, B), 0, 1)), versioned=False)
    if way == "an event":
        tablets.forget("shop", "carts")
    else:
        tablets.follow((A,), {"shop": keyspace("carts" if way == "another" else "orders")})
    tablets.follow((A, B), tablets._keyspaces)
    tablets.nodes_read()
    assert (len(tablets), tablets._weight) == (0, 0)


def test_nodes_that_were_sought_in_vain_are_not_sought_in_turns() -> None:
    """However many there are, each is sought once, until there are other nodes."""
    tablets = store(A)
    asked: list[None] = []
    tablets.on_unknown = lambda: asked.append(None)
    for _ in range(3):
        for stranger in (B, C):
            tablets.take("shop", "carts", hint(0, 10, on((A, stranger), 0, 1)), versioned=False)
            tablets.nodes_read()
    assert len(asked) == 2
    for number in range(2 * tabletstore.MOST_AWAITED):
        tablets.take("shop", "carts", hint(0, 10, [(UUID(int=1000 + number), 0)]), versioned=False)
        tablets.nodes_read()
    assert len(asked) == tabletstore.MOST_AWAITED
    tablets.follow((A, nodes_of("d")[0]), {})
    tablets.take("shop", "carts", hint(0, 10, on((A, B), 0, 1)), versioned=False)
    assert len(asked) == tabletstore.MOST_AWAITED + 1


def test_tablets_of_nodes_that_are_gone_are_forgotten() -> None:
    """T7: and of no others, as long as a node is the same, wherever it is and whether or not it is up."""
    tablets = store()
    learn(tablets, 0, 10, A, B)
    learn(tablets, 10, 20, B, C)
    tablets.follow((C, B, A), {})
    assert ranges(tablets) == [(0, 10), (10, 20)]
    tablets.follow((B, C), {})
    assert ranges(tablets) == [(10, 20)]


def keyspace(*tables: str, **more: Any) -> Keyspace:
    known = FrozenMap({name: Table("shop", name, NOTHING) for name in tables})
    replication = FrozenMap({"class": "NetworkTopologyStrategy", "dc1": "3"})
    made = Keyspace(
        "shop",
        strategy_of(replication),
        replication_options=replication,
        options=FrozenMap({"initial_tablets": 8}),
        is_loaded=True,
        tables=known,
    )
    return replace(made, **more)


def test_tablets_of_tables_that_are_others_than_before_are_forgotten() -> None:
    """T7: dropped, altered or made anew, however that came to be known."""
    both = keyspace("carts", "orders")
    tablets = store(keyspaces={"shop": both})

    def after(changed: Keyspace | None) -> list[str]:
        tablets.follow(NODES, {"shop": both})
        for table in ("carts", "orders"):
            learn(tablets, 0, 10, A, table=table)
        tablets.follow(NODES, {} if changed is None else {"shop": changed})
        return [table for _, table in tablets]

    assert after(both) == ["carts", "orders"]
    assert after(replace(both, durable_writes=False)) == ["carts", "orders"]
    assert after(replace(both, tables=FrozenMap({**both.tables, "new": Table("shop", "new", NOTHING)}))) == [
        "carts",
        "orders",
    ]
    assert after(replace(both, tables=FrozenMap({"carts": both.tables["carts"]}))) == ["carts"]
    altered = FrozenMap(
        {**both.tables, "carts": Table("shop", "carts", NOTHING, options=FrozenMap({"comment": "altered"}))}
    )
    assert after(replace(both, tables=altered)) == ["orders"]
    assert after(replace(both, replication_options=FrozenMap({"dc1": "1"}))) == []
    assert after(replace(both, options=FrozenMap({"initial_tablets": 8, "consistency": "global"}))) == []
    assert after(None) == []


def test_hints_that_come_late_are_not_about_a_keyspace_without_tablets() -> None:
    """It was dropped, and made anew without them: no other hint would ever put right what a late one says."""
    with_tablets, without = keyspace("carts"), keyspace("carts", options=FrozenMap({}))
    tablets = store(keyspaces={"shop": without})
    learn(tablets, 0, 10, A)
    assert ranges(tablets) == [(0, 10)], "no keyspace tells whether it has any: nodes do not tell that"
    tablets.follow(NODES, {"shop": with_tablets})
    learn(tablets, 0, 10, A)
    tablets.follow(NODES, {})
    learn(tablets, 0, 10, A)
    assert ranges(tablets) == [(0, 10)], "it may be new"
    tablets.follow(NODES, {"shop": without})
    assert ranges(tablets) == []
    learn(tablets, 0, 10, A)
    assert (ranges(tablets), tablets.refused) == ([], 1)
    tablets.follow(NODES, {"shop": with_tablets})
    learn(tablets, 0, 10, A)
    assert ranges(tablets) == [(0, 10)]


def test_nothing_is_kept_of_tables_that_are_not_there_any_more() -> None:
    tablets = store(keyspaces={"shop": keyspace(is_loaded=False)})
    for number in range(5):
        name = f"t{number}"
        tablets.follow(NODES, {"shop": keyspace(name)})
        held = tablets.table("shop", name)
        learn(tablets, 0, 10, A, table=name)
        assert len(held) == 1
        tablets.follow(NODES, {"shop": keyspace()})
        assert (list(tablets), len(held)) == ([], 0)
        assert tablets.table("shop", name) is not held
        tablets.follow(NODES, {} if number % 2 else {"shop": keyspace(name)})
    assert len(tablets._tables) <= 2


def test_each_change_of_what_is_known_is_counted() -> None:
    tablets, seen = store(), set()

    def changed() -> bool:
        new = tablets.changes not in seen
        seen.add(tablets.changes)
        return new

    assert changed()
    learn(tablets, 0, 10, A)
    assert changed()
    learn(tablets, 0, 10, A)
    assert not changed()
    tablets.follow((B, C), {})
    assert changed()
    tablets.forget("shop")
    assert changed()


def test_tables_that_come_to_be_known_keep_what_was_learnt_of_them() -> None:
    tablets = store(keyspaces={"shop": keyspace(is_loaded=False)})
    learn(tablets, 0, 10, A)
    tablets.follow(NODES, {"shop": keyspace("carts")})
    assert ranges(tablets) == [(0, 10)]


def test_events_make_tablets_be_forgotten() -> None:
    tablets = store()
    for table in ("carts", "orders"):
        learn(tablets, 0, 10, A, table=table)
    tablets.forget("shop", "carts")
    assert list(tablets) == [("shop", "orders")]
    tablets.forget("other")
    assert list(tablets) == [("shop", "orders")]
    tablets.forget("shop")
    assert list(tablets) == []


def test_tables_that_nothing_is_known_of_are_forgotten_when_events_may_have_been_lost() -> None:
    """T7: what is known of others is compared with what is read anew."""
    tablets = store(keyspaces={"shop": keyspace("carts")})
    learn(tablets, 0, 10, A)
    tablets.forget_unwatched()
    assert ranges(tablets) == [(0, 10)]
    tablets.follow(NODES, {"shop": keyspace(is_loaded=False)})
    learn(tablets, 0, 10, A)
    tablets.forget_unwatched()
    assert ranges(tablets) == []


# --- A server that means no good --------------------------------------------------------------------------------------


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tablets are told of: with too many, it begins anew, and whoever has looked something up is told."""
    monkeypatch.setattr(tabletstore, "MOST", 100)
    tablets, told = store(), []
    tablets.on_change = lambda: told.append(len(tablets))
    held = tablets.table("shop", "carts")
    for number in range(60):
        learn(tablets, number, number + 1, A)
        assert 4 * len(tablets) <= 100
    assert told == [1, 0, 1, 0, 1], "with the first tablet of a table it is known to have some"
    assert tablets.table("shop", "carts") is not held


def test_no_more_tables_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabletstore, "MOST_TABLES", 3)
    tablets, told = store(), []
    tablets.on_change = lambda: told.append(len(tablets))
    for number in range(7):
        learn(tablets, 0, 1, A, table=f"t{number}")
        assert len(list(tablets)) <= 3
    assert told.count(0) == 2


def test_no_more_tablets_wait_for_nodes_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabletstore, "MOST_AWAITED", 2)
    tablets = store(A)
    for number in range(5):
        tablets.take("shop", "carts", hint(number, number + 1, on((A, B), 0, 0)), versioned=False)
    assert len(tablets) == 2


def test_nothing_is_told_before_nodes_tell_of_tablets() -> None:
    tablets, told = store(), []
    tablets.on_change = lambda: told.append(True)
    assert not tablets.is_active
    tablets.activate()
    tablets.activate()
    assert (tablets.is_active, told) == (True, [True])
