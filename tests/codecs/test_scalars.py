from __future__ import annotations

import array
import enum
import struct
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any
from uuid import UUID, SafeUUID

import numpy as np
import pytest

from triocql.codecs.values import EMPTY
from triocql.errors import BindTypeError, BindValueError, DecodeError

from .helpers import decode, encode, round_trip

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

RANDOM = UUID("6c158e20-fbf6-4a2a-9be2-a030b83782b6")
TIMED = UUID("6458b74a-e581-11f1-8475-02fc00000001")


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Label(enum.StrEnum):
    NEW = "new"


class OldLabel(str, enum.Enum):  # noqa: UP042 - what users have
    NEW = "new"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Indexed:
    def __index__(self) -> int:
        return 5


BYTES: list[tuple[str, Any, str]] = [
    ("ascii", "abc", "616263"),
    ("bigint", -2, "fffffffffffffffe"),
    ("blob", b"\x00\x01", "0001"),
    ("boolean", True, "01"),
    ("boolean", False, "00"),
    ("counter", 1, "0000000000000001"),
    ("decimal", Decimal("1.50"), "000000020096"),
    ("decimal", Decimal("-1E+3"), "fffffffdff"),
    ("decimal", Decimal("0.000"), "0000000300"),
    ("double", 1.5, "3ff8000000000000"),
    ("float", -0.0, "80000000"),
    ("inet", IPv4Address("127.0.0.1"), "7f000001"),
    ("inet", IPv6Address("::1"), "00" * 15 + "01"),
    ("int", -1, "ffffffff"),
    ("smallint", 258, "0102"),
    ("text", "é", "c3a9"),
    ("tinyint", -128, "80"),
    ("uuid", UUID(int=1), "00" * 15 + "01"),
    ("varint", 127, "7f"),
    ("varint", 128, "0080"),
    ("varint", -128, "80"),
    ("varint", -129, "ff7f"),
    ("varint", 2**64, "010000000000000000"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BYTES)
def test_bytes(registry: Registry, name: str, value: Any, expected: str) -> None:
    assert encode(registry, name, value).hex() == expected
    read = decode(registry, name, bytes.fromhex(expected))
    assert (read, repr(read)) == (value, repr(value))


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("int", True, 1),
    ("int", Size.SMALL, 1),
    ("int", Number(7), 7),
    ("int", Indexed(), 5),
    ("int", np.int16(3), 3),
    ("bigint", np.uint64(2**63 - 1), 2**63 - 1),
    ("int", np.array(4), 4),
    ("varint", np.int64(-3), -3),
    ("varint", Indexed(), 5),
    ("varint", np.uint64(2**64 - 1), 2**64 - 1),
    ("varint", np.array(-3), -3),
    ("double", np.longdouble(1.5), 1.5),
    ("double", 2, 2.0),
    ("double", Decimal("0.5"), 0.5),
    ("float", np.float32(1.5), 1.5),
    ("double", np.float16(0.5), 0.5),
    ("double", np.int32(3), 3.0),
    ("boolean", 1, True),
    ("boolean", np.bool_(False), False),
    ("text", Text("x"), "x"),
    ("text", Label.NEW, "new"),
    ("text", OldLabel.NEW, "new"),
    ("text", Color.RED, "red"),
    ("text", np.str_("é"), "é"),
    ("ascii", Label.NEW, "new"),
    ("blob", bytearray(b"ab"), b"ab"),
    ("blob", memoryview(b"abcd")[::2], b"ac"),
    ("blob", np.bytes_(b"ab"), b"ab"),
    ("blob", np.arange(2, dtype="u1"), b"\x00\x01"),
    ("decimal", 12, Decimal(12)),
    ("uuid", str(RANDOM), RANDOM),
    ("uuid", Text(RANDOM), RANDOM),
    ("timeuuid", str(TIMED), TIMED),
    ("inet", "10.0.0.1", IPv4Address("10.0.0.1")),
    ("inet", "fe80::1", IPv6Address("fe80::1")),
    ("inet", Text("10.0.0.1"), IPv4Address("10.0.0.1")),
]


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_what_users_pass(registry: Registry, name: str, value: Any, expected: Any) -> None:
    read = round_trip(registry, name, value)
    assert (type(read), read) == (type(expected), expected)


WRONG_TYPES: list[tuple[str, Any]] = [
    ("int", "1"),
    ("int", 1.0),
    ("int", Decimal(1)),
    ("int", b"1"),
    ("int", [1]),
    ("int", np.float64(1)),
    ("int", np.array([1, 2])),
    ("int", np.array([1])),
    ("varint", np.array([1])),
    ("double", np.array([1.5])),
    ("float", np.array([[1.5]])),
    ("text", np.array(["a"])),
    ("text", np.longdouble(1)),
    ("varint", np.longdouble(1)),
    ("decimal", np.array([1])),
    ("boolean", np.array([True])),
    ("uuid", np.array([str(RANDOM)])),
    ("timestamp", np.array(["2020-01-01"], "M8[ms]")),
    ("date", np.array(["2020-01-01"], "M8[D]")),
    ("blob", np.str_("a")),
    ("blob", np.array("a")),
    ("blob", np.array(["a", "b"])),
    ("blob", np.array([object()], dtype=object)),
    ("blob", np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U1")])),
    ("blob", np.array(["2020-01-01"], "M8[D]")),
    ("blob", array.array("u", "ab")),
    ("blob", np.int64(1)),
    ("blob", np.array(1.5)),
    ("bigint", Color.RED),
    ("varint", 1.0),
    ("decimal", 1.0),
    ("decimal", "1"),
    ("double", "1"),
    ("double", 1j),
    ("double", np.array([1.0, 2.0])),
    ("boolean", "true"),
    ("boolean", 1.0),
    ("text", b"bytes"),
    ("text", 1),
    ("ascii", b"bytes"),
    ("blob", "text"),
    ("blob", 3),
    ("uuid", 1),
    ("uuid", b"0" * 16),
    ("inet", 1),
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_wrong_types(registry: Registry, name: str, value: Any) -> None:
    with pytest.raises(BindTypeError, match=rf"'c0' \({name}\) of ks\.t"):
        encode(registry, name, value)


OUT_OF_RANGE: list[tuple[str, Any]] = [
    ("tinyint", 128),
    ("tinyint", -129),
    ("smallint", 2**15),
    ("int", 2**31),
    ("int", np.int64(2**31)),
    ("bigint", np.uint64(2**64 - 1)),
    ("bigint", 2**63),
    ("bigint", -(2**63) - 1),
    ("bigint", 10**30),
    ("counter", 2**63),
    ("float", 1e39),
    ("float", -1e39),
    ("double", 10**400),
    ("boolean", 2),
    ("ascii", "é"),
    ("text", "\ud800"),
    ("decimal", Decimal("NaN")),
    ("decimal", Decimal("-Infinity")),
    ("decimal", Decimal("1E+2147483649")),
    ("decimal", Decimal("1E-2147483648")),
    ("uuid", "not a uuid"),
    ("timeuuid", RANDOM),
    ("timeuuid", str(RANDOM)),
    ("inet", "localhost"),
    ("inet", "300.0.0.1"),
    ("inet", ip_address("fe80::1%eth0")),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_out_of_range(registry: Registry, name: str, value: Any) -> None:
    with pytest.raises(BindValueError, match=rf"'c0' \({name}\) of ks\.t"):
        encode(registry, name, value)


@pytest.mark.parametrize(
    ("raw", "text"), [("c080", "\0"), ("61eda08062", "a\ud800b"), ("eda081edb080", "\ud801\udc00")]
)
def test_texts_that_the_server_takes_and_utf_8_has_not(registry: Registry, raw: str, text: str) -> None:
    assert decode(registry, "text", bytes.fromhex(raw)) == text


def test_a_decimal_without_digits(registry: Registry) -> None:
    """The server stores a scale alone, too."""
    value = decode(registry, "decimal", bytes.fromhex("00000002"))
    assert str(value) == "0.00"
    assert encode(registry, "decimal", value).hex() == "0000000200"


INVALID: list[tuple[str, str]] = [
    ("tinyint", "0000"),
    ("smallint", "00"),
    ("int", "000000"),
    ("bigint", "0000000000"),
    ("float", "00000000000000"),
    ("double", "00000000"),
    ("boolean", "0000"),
    ("uuid", "00" * 15),
    ("inet", "00" * 5),
    ("text", "ff"),
    ("text", "eda0"),
    ("text", "c081"),
    ("text", "f4908080"),
    ("ascii", "c080"),
    ("ascii", "80"),
    ("decimal", "000000"),
]


@pytest.mark.parametrize(("name", "raw"), INVALID)
def test_invalid_bytes(registry: Registry, name: str, raw: str) -> None:
    with pytest.raises(DecodeError, match=rf"row 0, column 'c0' \({name}\) of ks\.t"):
        decode(registry, name, bytes.fromhex(raw))


TYPES_WITHOUT_EMPTY_VALUES = [
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "counter",
    "float",
    "double",
    "boolean",
    "uuid",
    "timeuuid",
    "inet",
    "varint",
    "decimal",
    "timestamp",
    "date",
    "time",
    "duration",
    "list<int>",
    "set<int>",
    "map<int, int>",
    "vector<int, 2>",
    "vector<text, 2>",
]


@pytest.mark.parametrize("name", TYPES_WITHOUT_EMPTY_VALUES)
def test_empty_is_neither_null_nor_a_value(registry: Registry, name: str) -> None:
    assert decode(registry, name, b"") is EMPTY
    assert encode(registry, name, EMPTY) == b""
    assert decode(registry, name, None) is None


@pytest.mark.parametrize(("name", "empty"), [("text", ""), ("ascii", ""), ("blob", b"")])
def test_empty_texts_and_blobs(registry: Registry, name: str, empty: Any) -> None:
    assert decode(registry, name, b"") == empty
    assert encode(registry, name, empty) == b""
    assert encode(registry, name, EMPTY) == b""
    assert decode(registry, name, None) is None


@pytest.mark.parametrize(("name", "raw"), [("double", "7ff8000000000123"), ("double", "fff0000000000001")])
def test_nan_keeps_its_payload(registry: Registry, name: str, raw: str) -> None:
    value = decode(registry, name, bytes.fromhex(raw))
    assert value != value
    assert encode(registry, name, value).hex() == raw


@pytest.mark.parametrize("special", ["7f800000", "ff800000", "7fc00000"])
def test_special_floats(registry: Registry, special: str) -> None:
    value = decode(registry, "float", bytes.fromhex(special))
    assert encode(registry, "float", value).hex() == special
    assert encode(registry, "double", value) == struct.pack(">d", value)


def test_every_nonzero_byte_is_true(registry: Registry) -> None:
    assert decode(registry, "boolean", b"\x02") is True


def test_decimals_are_exact(registry: Registry) -> None:
    for text in (
        "1.50",
        "150E-2",
        "1E+2147483648",
        "1E-2147483647",
        "9" * 5000 + ".1",
        "-0.5",
        "0E+5",
        "1" * 40,
    ):
        value = Decimal(text)
        read = round_trip(registry, "decimal", value)
        assert read.as_tuple() == value.as_tuple()


def test_huge_varints(registry: Registry) -> None:
    for value in (10**5000, -(10**5000), 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 0):
        assert round_trip(registry, "varint", value) == value


def test_padded_varints_are_read(registry: Registry) -> None:
    assert decode(registry, "varint", b"\x00\x00\x05") == 5
    assert decode(registry, "decimal", b"\x00\x00\x00\x01\xff\xff\xfb") == Decimal("-0.5")


def test_uuids_are_whole(registry: Registry) -> None:
    """They are made without the constructor, and miss nothing of what it gives them."""
    read = round_trip(registry, "uuid", TIMED)
    assert read.is_safe is SafeUUID.unknown
    assert (read.hex, read.time, hash(read), str(read)) == (TIMED.hex, TIMED.time, hash(TIMED), str(TIMED))


def test_addresses_are_whole(registry: Registry) -> None:
    for text in ("10.1.2.3", "255.255.255.255", "2001:db8::8a2e:370:7334"):
        address = ip_address(text)
        read = round_trip(registry, "inet", address)
        assert (str(read), hash(read), read.packed) == (text, hash(address), address.packed)
        assert not getattr(read, "scope_id", None)
