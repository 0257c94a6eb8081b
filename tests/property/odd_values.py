"""Values that are not what a column takes, or are it in an odd way; classes and codecs of users that misbehave."""

from __future__ import annotations

import datetime as dt
import enum
import random
from collections import ChainMap, OrderedDict, UserList, deque, namedtuple
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import numpy as np

from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.udt import user_value_class
from triocql.codecs.values import EMPTY, FrozenMap
from triocql.errors import UsageError
from triocql.protocol.constants import UNSET
from triocql.protocol.types import CqlType, UserType
from triocql.results.row import row_class


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
