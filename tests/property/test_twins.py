"""The compiled modules and their pure twins, driven through the same operations: the same bytes, values of the same
types, and errors of the same class that say the same.
"""

from __future__ import annotations

import random
from collections import UserList, deque
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codecs.golden import PAGES, GoldenPage
from tests.codecs.helpers import IMPLS, columns
from tests.codecs.strategies import types, values
from tests.codecs.test_server_values import BODY, OFFSET
from tests.codecs.test_server_values import COLUMNS as SERVER_COLUMNS
from tests.property.odd_values import CLASSES, CODECS, MyList, NamedFields, described_as, twisted
from triocql._impl import Impl
from triocql.codecs.registry import Registry
from triocql.codecs.values import FrozenMap
from triocql.errors import DecodeError
from triocql.protocol import frames, segments
from triocql.protocol.compression import block_compression, frame_compression
from triocql.protocol.constants import MAX_FRAME
from triocql.protocol.types import ColumnSpec, CqlType, CustomType, NativeType, TupleType, UserType
from triocql.results.row import row_class

COMPARED = pytest.mark.skipif(
    find_spec("triocql.codecs._node") is None or find_spec("triocql.protocol._frames") is None,
    reason="there is nothing compiled to compare with",
)

HOW_OFTEN = pytest.mark.parametrize(
    "examples", [pytest.param(150, id="few"), pytest.param(20_000, id="many", marks=pytest.mark.long)]
)


def each_time(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# --- What comes out of an operation ---------------------------------------------------------------------------------


def described(value: Any) -> Any:
    """Return a value with the types of all that is in it, as something that can be compared and read."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, map(described, value)))
    if isinstance(value, (dict, FrozenMap)):
        return kind, [(described(key), described(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [described(each) for each in tuple.__iter__(value)] if isinstance(value, tuple) else [
            described(each) for each in value
        ]
    return kind, repr(value)


def outcome(operation: Callable[[], Any]) -> Any:
    """Return what an operation gives, or the error and its cause."""
    try:
        return described(operation())
    except Exception as error:
        return type(error), str(error), type(error.__cause__)


# --- Random scenes: registries with codecs and classes of users, odd values -----------------------------------------


class Pair:
    """A registry of each implementation, to which the same is done."""

    def __init__(self, chance: random.Random, columns: tuple[ColumnSpec, ...]) -> None:
        self.both = Registry(impl="cython"), Registry(impl="python")
        self.columns = columns
        if chance.random() < 0.4:
            name = chance.choice(("int", "text", "varint", "uuid", "blob", "list<int>"))
            self._register("register", name, chance.choice(CODECS))
        if chance.random() < 0.4:
            self._register("register_udt", "ks", "u", chance.choice(CLASSES))
        if chance.random() < 0.2:
            self._register("register_column", "ks", "t", "c0", chance.choice(CODECS))

    def _register(self, method: str, *arguments: Any) -> None:
        self.same(lambda each: getattr(each, method)(*arguments))

    def same(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        """Return the outcome of an operation, which has to be the same for both."""
        compiled, pure = (outcome(partial(operation, each, *arguments)) for each in self.both)
        assert compiled == pure
        return compiled

    def bytes_of(self, index: int, value: Any) -> bytes:
        """Return a cell with the value, null if it cannot be written."""
        try:
            raw = self.both[1].binder(self.columns).encode(index, value)
        except Exception:
            raw = None
        return b"\xff\xff\xff\xff" if raw is None else len(raw).to_bytes(4) + raw


ODD_TYPES = st.sampled_from(
    [
        TupleType(()),
        UserType("ks", "u", (("f0", NativeType("int")), ("f0", NativeType("text")))),
        UserType("ks", "u", (("f0", NativeType("int")), ("f1", NativeType("text")))),
        UserType(
            "ks", "u", (("f0", NativeType("int")), ("class", NativeType("uuid")), ("a b", NativeType("int")))
        ),
        UserType("ks", "u", ()),
        CustomType("org.example.Odd"),
        CustomType("org.apache.cassandra.db.marshal.Int32Type"),
        NativeType("counter"),
        NativeType("there is none"),
    ]
)
COLUMNS = st.lists(types | ODD_TYPES, min_size=1, max_size=4)


def proper(cql_type: CqlType) -> st.SearchStrategy[Any]:
    """Return values that a type has, or odd ones of an odd type."""
    try:
        return values(cql_type)
    except (AssertionError, KeyError):
        return st.sampled_from([1, "x", b"abc", (1, "x"), None, UUID(int=5), {"f0": 1}])


@st.composite
def scenes(draw: st.DrawFn) -> tuple[random.Random, Pair, list[list[Any]]]:
    """Return chance, registries with columns, and rows for them."""
    chance = random.Random(draw(st.integers(0, 2**40)))
    kinds = draw(COLUMNS)
    columns = tuple(
        ColumnSpec("ks", "t", f"c{chance.choice((i, i, i, 0))}", each) for i, each in enumerate(kinds)
    )
    rows = draw(st.lists(st.tuples(*map(proper, kinds)).map(list), min_size=1, max_size=3))
    return chance, Pair(chance, columns), rows


# --- The operations ---------------------------------------------------------------------------------------------------


@COMPARED
@HOW_OFTEN
def test_values_are_written_alike(examples: int) -> None:
    @each_time(examples)
    @given(scenes())
    def write(scene: tuple[random.Random, Pair, list[list[Any]]]) -> None:
        chance, pair, rows = scene
        for row in rows:
            rate = chance.choice((0.0, 0.1, 0.5))
            given_values: Any = [
                twisted(chance, described_as(value, column.type, chance), rate)
                for value, column in zip(row, pair.columns, strict=True)
            ]
            for index, value in enumerate(given_values):
                pair.same(lambda each, *args: each.binder(pair.columns).encode(*args), index, value)
            match chance.randrange(6):
                case 0:
                    given_values = dict(
                        zip((column.name for column in pair.columns), given_values, strict=True)
                    )
                case 1:
                    given_values = given_values[: chance.randrange(4)]
                case 2:
                    given_values = chance.choice((tuple, MyList, deque, UserList))(given_values)
                case 3:
                    given_values = chance.choice(
                        (None, 7, "text", b"x", {}, {"c9": 1}, {1, 2}, np.array([1, 2]))
                    )
            pair.same(lambda each, *args: each.binder(pair.columns).bind(*args), given_values)

    write()


@COMPARED
@HOW_OFTEN
def test_pages_are_read_alike(examples: int) -> None:
    @each_time(examples)
    @given(scenes())
    def read(scene: tuple[random.Random, Pair, list[list[Any]]]) -> None:
        chance, pair, rows = scene

        def whole(each: Registry, kind: Any, *page: Any) -> Any:
            return each.plan(pair.columns).page(*page).rows(kind)

        def slices(each: Registry, *page: Any) -> Any:
            cursor = each.plan(pair.columns).page(*page).cursor()
            return [cursor.take(number) for number in (1, 0, -1, 1, 100, 1)]

        def run(each: Registry, columns: tuple[int, ...], *page: Any) -> Any:
            return each.plan(pair.columns).page(*page).last_run(columns)

        def cut(each: Registry, number: int, *page: Any) -> Any:
            whole = each.plan(pair.columns).page(*page)
            rest = whole.after(number)
            return whole.first(number).rows(), rest.row_count, rest.offset, rest.rows()

        body = b"".join(pair.bytes_of(i, value) for row in rows for i, value in enumerate(row))
        for _ in range(6):
            count = len(rows) + chance.choice((0, 0, 0, 0, 1, -1, 2**31 - 1))
            offset = chance.choice((0, 0, 0, 0, 4, -4, len(body), len(body) + 1))
            names = tuple(column.name for column in pair.columns)
            kind: Any = chance.choice((tuple, dict, row_class(names), NamedFields, list, None))

            pair.same(whole, kind, body, offset, count)
            pair.same(slices, body, 0, count)
            pair.same(run, chance.choice(((), (0,), (1, 0), (0, 0), (-1,), (len(names),))), body, 0, count)
            pair.same(cut, chance.choice((-1, 0, 1, 2, 100)), body, 0, count)
            body = chance.choice((mutated(chance, body), body[: chance.randrange(len(body) + 1)], body))

    read()


FRAMES = st.lists(
    st.tuples(
        st.integers(-1, 32767),
        st.sampled_from([0, 2, 8]),
        st.integers(0, 16),
        st.binary(max_size=400) | st.just(bytes(1000)),
    ),
    max_size=5,
)


def names_of(*modules: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})


def twins_of_frames() -> tuple[Any, Any]:
    from triocql.protocol import _frames, _segments

    return names_of(_frames, _segments), names_of(frames, segments)


@COMPARED
@HOW_OFTEN
def test_frames_are_cut_alike(examples: int) -> None:
    bodies, blocks = frame_compression("lz4", MAX_FRAME), block_compression()
    twins = twins_of_frames()

    @each_time(examples)
    @given(FRAMES, st.integers(0, 2**40), st.booleans(), st.booleans())
    def cut(sent: list[frames.Frame], seed: int, packed: bool, segmented: bool) -> None:
        chance = random.Random(seed)
        if segmented:
            compression = blocks if packed else None
            data = [each.encode_segments(0x85, sent, compression) for each in twins]
        else:
            data = [each.encode_frames(0x85, sent, bodies.compress if packed else None) for each in twins]
        assert data[0] == data[1]
        whole = mutated(chance, data[0]) if chance.random() < 0.7 else data[0]
        edges = sorted(chance.randrange(len(whole) + 1) for _ in range(3))
        chunks = [whole[a:b] for a, b in zip([0, *edges], [*edges, len(whole)], strict=True)]
        limit = chance.choice((MAX_FRAME, 500))
        unpack = chance.choice((bodies.decompress, None))

        def received(each: Any) -> Any:
            decoder = each.FrameDecoder(0x85, limit, unpack)
            if segmented:
                decoder = each.SegmentDecoder(decoder, blocks if packed else None)
            return [(decoder.feed(chunk), decoder.mid_frame, decoder.frame_size_pending) for chunk in chunks]

        compiled, pure = (outcome(partial(received, each)) for each in twins)
        assert compiled == pure

    cut()


# --- Any page has one verdict: the same rows, or the same error -------------------------------------------------------

REGISTRIES = {impl: Registry(impl=impl) for impl in IMPLS}
MUTATIONS = 20_000


def verdict(impl: Impl, spec: tuple[ColumnSpec, ...], body: bytes, row_count: int) -> str:
    """Return the rows as text (so that NaN equals itself), or the error; only a DecodeError may escape."""
    try:
        return repr(REGISTRIES[impl].plan(spec).page(body, 0, row_count).rows())
    except DecodeError as error:
        return f"DecodeError: {error}"


def same_verdict(spec: tuple[ColumnSpec, ...], body: bytes, row_count: int) -> str:
    first, *others = [verdict(impl, spec, body, row_count) for impl in IMPLS]
    assert all(other == first for other in others)
    return first


def mutated(chance: random.Random, body: bytes) -> bytes:
    """Return a page with a few bytes changed, left out, doubled, or set to what is awkward as a length."""
    changed = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(changed)) if changed else 0
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))])
            case 2:
                del changed[at : at + chance.randrange(1, 9)]
            case 3:
                changed[at:at] = changed[at : at + chance.randrange(1, 9)]
            case _:
                changed[at : at + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1")
                )
    return bytes(changed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_golden_pages(page: GoldenPage) -> None:
    for impl in IMPLS:
        assert verdict(impl, page.columns, page.body, page.row_count) == repr(page.rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_truncation(page: GoldenPage) -> None:
    for end in range(len(page.body)):
        assert same_verdict(page.columns, page.body[:end], page.row_count).startswith("DecodeError")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mutations(page: GoldenPage) -> None:
    chance = random.Random(page.name)
    for _ in range(MUTATIONS // len(PAGES)):
        same_verdict(
            page.columns, mutated(chance, page.body), page.row_count + chance.choice((0, 0, 0, -1, 1))
        )


def test_mutations_of_what_a_node_has_written() -> None:
    chance = random.Random(5)
    body = BODY[OFFSET:]
    for _ in range(MUTATIONS // len(PAGES)):
        same_verdict(SERVER_COLUMNS, mutated(chance, body), 1)
    for end in range(0, len(body), 3):
        assert same_verdict(SERVER_COLUMNS, body[:end], 1).startswith("DecodeError")


@given(types, st.binary(max_size=60))
def test_any_bytes_for_any_type(cql_type: Any, raw: bytes) -> None:
    same_verdict(columns(cql_type), len(raw).to_bytes(4) + raw, 1)


@given(types.flatmap(lambda each: st.tuples(st.just(each), values(each))), st.randoms())
def test_mutations_of_any_value(pair: tuple[Any, Any], chance: random.Random) -> None:
    spec = columns(pair[0])
    raw = REGISTRIES["python"].binder(spec).encode(0, pair[1])
    assert raw is not None
    changed = mutated(chance, raw)
    same_verdict(spec, len(changed).to_bytes(4) + changed, 1)


@given(types, st.data())
def test_any_value_for_any_type(cql_type: Any, data: st.DataObject) -> None:
    """Binding a value that is meant for another type."""
    value = data.draw(types.flatmap(values))
    outcomes = set()
    for registry in REGISTRIES.values():
        try:
            outcomes.add(repr(registry.binder(columns(cql_type)).bind((value,))))
        except (TypeError, ValueError) as error:
            outcomes.add(f"{type(error).__name__}: {error}")
    assert len(outcomes) == 1
