"""The compiled modules and their pure twins, driven through the same operations: the same bytes, values of the same
types, and errors of the same class that say the same.
"""

from __future__ import annotations

import datetime as dt
import enum
import random
from collections import ChainMap, OrderedDict, UserList, deque, namedtuple
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codecs.strategies import types, values
from tests.codecs.test_twins import mutated
from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.udt import user_value_class
from triocql.codecs.values import EMPTY, FrozenMap
from triocql.errors import UsageError
from triocql.protocol import frames, segments
from triocql.protocol.compression import block_compression, frame_compression
from triocql.protocol.constants import MAX_FRAME, UNSET
from triocql.protocol.types import ColumnSpec, CqlType, CustomType, NativeType, TupleType, UserType
from triocql.results.row import row_class

pytestmark = pytest.mark.skipif(
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


# --- Odd values and odd classes ---------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1
    NAME = "red"
    NOTHING = None


class Level(enum.IntEnum):
    LOW = 1


class MyInt(int):
    pass


class MyStr(str):
    __slots__ = ()


class MyList(list[Any]):
    pass


class MyDict(dict[Any, Any]):
    pass


class MyFloat(float):
    pass


class MyUUID(UUID):
    pass


class MyDate(dt.date):
    pass


class Indexed:
    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"Indexed({self.number})"


class Floating:
    def __float__(self) -> float:
        return 1.5


class Raising:
    """Raises whatever is done with it."""

    def __index__(self) -> int:
        raise ZeroDivisionError

    __float__ = __index__

    def __iter__(self) -> Iterator[Any]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


@dataclass
class Fields:
    f0: Any = None
    f1: Any = None


class NamedFields(NamedTuple):
    f0: Any = None
    f1: Any = None


class FieldsByName(TypedDict, total=False):
    f0: Any


class AnyFields:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"AnyFields({self.__dict__})"


class Refusing:
    def __init__(self, f0: Any = None, f1: Any = None) -> None:
        raise ZeroDivisionError


LooseFields = namedtuple("LooseFields", "f1 f0 f9")
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))

ODD: list[Any] = [
    None, UNSET, EMPTY, True, False, 0, -1, 1, 2**7, 2**15, 2**31, 2**63, -(2**63) - 1, 2**64, 2**127, 2**200,
    0.0, -0.0, 1.5, float("inf"), float("nan"), 1e300, 1e-300, 3.5e38, "", "x", "é", "\ud800", "\0", "10.0.0.1", "::1",
    "fe80::1%eth0", "00000000-0000-1000-8000-000000000000", b"", b"x", bytearray(b"ab"), memoryview(b"abcd"),
    np.arange(3).data, Decimal("1.50"), Decimal("-0"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+9999"),
    Decimal("1E-2147483648"), Decimal(10) ** 30, Fraction(1, 3), 1j, UUID(int=0), UUID(int=1 << 76),
    UUID(int=2**128 - 1), MyUUID(int=1 << 76), IPv4Address("1.2.3.4"), IPv6Address("::2"), IPv6Address("fe80::1%1"),
    dt.datetime(2024, 2, 29, 12), dt.datetime(2024, 2, 29, 12, 30, 15, 123999, tzinfo=dt.UTC),
    dt.datetime(1, 1, 1, tzinfo=IST), dt.datetime.max, dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=IST),
    dt.date(1, 1, 1), dt.date.max, MyDate(2020, 1, 1), dt.time(23, 59, 59, 999_999), dt.time(1, tzinfo=dt.UTC),
    dt.timedelta(days=1), Duration(1, 2, 3), Duration(-1, 0, 1), Duration(2**31 - 1, 0, 0), Date(2**31 - 1), Time(1),
    Timestamp(2**60), np.int8(1), np.int64(-5), np.uint64(2**64 - 1), np.float32(1.5), np.float64("nan"),
    np.bool_(True), np.datetime64("2020-01-01"), np.datetime64("NaT", "ms"),
    np.datetime64("2020-01-01T01:02:03.123456789", "ns"),
    np.str_("s"), np.bytes_(b"b"), np.array(3), np.array([1.0, 2.0]), np.array([1, 2], dtype="int8"), np.zeros((2, 2)),
    np.array([]), Colour.RED, Colour.NAME, Colour.NOTHING, Level.LOW, MyInt(7), MyStr("s"), MyFloat(1.5), MyList([1]),
    MyDict(f0=1), Indexed(3), Indexed(2**70), Floating(), Raising(), [], (), set(), {}, frozenset(), FrozenMap({}),
    FrozenMap({1: 2}), [None], [[1]], (1, 2), {1, 2}, {"f0": 1}, {"f0": None, "f1": 2}, {"other": 1}, {1: "x"},
    {"a": UNSET}, OrderedDict(f0=1), ChainMap({"f0": 1}, {"f1": 2}), UserList([1]), deque([1, 2]), range(3), iter([1]),
    Fields(), Fields(1, "x"), NamedFields(), NamedFields(1, 2), LooseFields(1, 2, 3), AnyFields(f0=1), AnyFields(),
    SimpleNamespace(f1=2), SimpleNamespace(months=1, days=2, nanoseconds=3), object(), int, len, ...,
    tuple.__new__(user_value_class("u", ("f0",)), (1,)), tuple.__new__(user_value_class("u", ("f0", "f0")), (1, 2)),
    tuple.__new__(user_value_class("other", ("f1", "zz")), (1, 2)), row_class(("f0", "f1"))((1, 2)),
]  # fmt: skip


def twisted(chance: random.Random, value: Any, rate: float) -> Any:
    """Return a value in which some parts are others than they should be."""
    if chance.random() < rate:
        return chance.choice(ODD)
    match value:
        case list():
            return chance.choice((list, list, tuple, MyList, deque))(
                twisted(chance, each, rate) for each in value
            )
        case tuple() if type(value) is tuple:
            return chance.choice((tuple, tuple, list))(twisted(chance, each, rate) for each in value)
        case set() | frozenset():
            with suppress(TypeError, ValueError, ZeroDivisionError):
                return type(value)(twisted(chance, each, rate) for each in value)
        case dict():
            with suppress(TypeError, ValueError, ZeroDivisionError):
                return {
                    twisted(chance, key, rate): twisted(chance, item, rate) for key, item in value.items()
                }
        case int() if chance.random() < rate:
            return chance.choice((MyInt, Indexed, float, str, np.array))(value)
        case str() if chance.random() < rate:
            return chance.choice((MyStr, str.encode, list))(value.encode(errors="replace").decode())
    return value


def described_as(value: Any, cql_type: CqlType, chance: random.Random) -> Any:
    """Return a value of a user-defined type in one of the ways that it can be written."""
    if not isinstance(cql_type, UserType) or value is None:
        return value
    names = [name for name, _ in cql_type.fields]
    fields = dict(zip(names, value, strict=True))
    match chance.randrange(7):
        case 0:
            return fields
        case 1:
            return tuple(value)
        case 2:
            return list(value)[: chance.randrange(len(names) + 1)]
        case 3:
            return SimpleNamespace(**fields)
        case 4:
            return Fields(fields.get("f0"), fields.get("f1"))
        case 5:
            return NamedFields(fields.get("f0"), fields.get("f1"))
    return value


# --- Codecs of users --------------------------------------------------------------------------------------------------


class Same:
    """Changes nothing."""

    def encode(self, value: Any) -> Any:
        return value

    decode = encode


class Wrapping(Same):
    def decode(self, value: Any) -> Any:
        return ("wrapped", repr(value))


class Failing(Same):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def encode(self, value: Any) -> Any:
        raise self.error

    decode = encode


class Giving(Same):
    """Gives the same, whatever it is asked for."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def encode(self, value: Any) -> Any:
        return self.value

    decode = encode


CODECS: list[Any] = [
    Same(),
    Wrapping(),
    Failing(ZeroDivisionError("no")),
    Failing(UsageError("no")),
    Failing(MemoryError()),
]
CODECS += [Giving(each) for each in (None, UNSET, EMPTY, 1, "x", b"x", [1], float("nan"), [])]
CLASSES: list[Any] = [Fields, NamedFields, FieldsByName, AnyFields, Refusing, dict, MyDict, tuple]


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

        body = b"".join(pair.bytes_of(i, value) for row in rows for i, value in enumerate(row))
        for _ in range(6):
            count = len(rows) + chance.choice((0, 0, 0, 0, 1, -1, 2**31 - 1))
            offset = chance.choice((0, 0, 0, 0, 4, -4, len(body), len(body) + 1))
            names = tuple(column.name for column in pair.columns)
            kind: Any = chance.choice((tuple, dict, row_class(names), NamedFields, list, None))

            pair.same(whole, kind, body, offset, count)
            pair.same(slices, body, 0, count)
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
