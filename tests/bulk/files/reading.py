"""Files read back: from text to the values that the columns' types say, written apart from what has made the text."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.values import EMPTY
from triocql.protocol.types import (
    ColumnSpec,
    CqlType,
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

NESTED = (ListType, SetType, MapType, TupleType, UserType, VectorType)
TEXTS = (NativeType("text"), NativeType("ascii"))
EPOCH = dt.date(1970, 1, 1)
_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')


def csv_records(text: str) -> list[list[tuple[bool, str]]]:
    """Return the fields of each record, and whether they were in quotes."""
    records: list[list[tuple[bool, str]]] = []
    record: list[tuple[bool, str]] = []
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        assert found is not None
        quoted = found[1] is not None
        record.append((quoted, found[1].replace('""', '"') if quoted else found[2]))
        at = found.end() + 1
        assert text[at - 1] in ",\n"
        if text[at - 1] == "\n":
            records.append(record)
            record = []
    assert not record
    return records


def csv_rows(columns: tuple[ColumnSpec, ...], data: bytes) -> list[list[Any]]:
    head, *records = csv_records(data.decode("utf-8", "surrogatepass"))
    assert [name for _, name in head] == [column.name for column in columns]
    return [
        [csv_value(column.type, *field) for column, field in zip(columns, record, strict=True)]
        for record in records
    ]


def csv_value(cql_type: CqlType, quoted: bool, text: str) -> Any:
    if not quoted:
        assert cql_type not in TEXTS or not text
        return None if text == "" else scalar(cql_type, text)
    if cql_type in TEXTS:
        return text
    return EMPTY if text == "" else json_value(cql_type, loaded(text))


def loaded(text: str) -> Any:
    """Return JSON, objects as pairs, numbers as their text."""
    return json.loads(
        text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=refuse
    )


def refuse(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


class Pairs(list[tuple[str, Any]]):
    """An object."""


class Number(str):
    """A number, as it was written."""

    __slots__ = ()


def jsonl_rows(columns: tuple[ColumnSpec, ...], data: bytes) -> list[list[Any]]:
    rows = []
    for line in data.decode().split("\n")[:-1]:
        pairs = loaded(line)
        assert [name for name, _ in pairs] == [column.name for column in columns]
        rows.append(
            [json_value(column.type, value) for column, (_, value) in zip(columns, pairs, strict=True)]
        )
    return rows


def json_value(cql_type: CqlType, value: Any) -> Any:
    if value is None or (value == "" and isinstance(value, str) and cql_type not in TEXTS):
        return value if value is None else EMPTY
    match cql_type:
        case ListType(element) | SetType(element) | VectorType(element):
            return [json_value(element, each) for each in value]
        case TupleType(elements):
            return tuple(json_value(kind, each) for kind, each in zip(elements, value, strict=True))
        case UserType(fields=fields):
            assert [name for name, _ in value] == [name for name, _ in fields]
            return tuple(json_value(kind, each) for (_, kind), (_, each) in zip(fields, value, strict=True))
        case MapType(key, item):
            return [(key_value(key, name), json_value(item, each)) for name, each in value]
        case NativeType("boolean"):
            assert type(value) is bool
            return value
        case NativeType("int" | "bigint" | "counter" | "smallint" | "tinyint"):
            assert type(value) is Number
        case NativeType("float" | "double"):
            assert type(value) is Number or value in ("NaN", "Infinity", "-Infinity")
        case _:
            assert type(value) is str
    return scalar(cql_type, value)


def key_value(cql_type: CqlType, text: str) -> Any:
    if cql_type in TEXTS:
        return text
    if text == "":
        return EMPTY
    return json_value(cql_type, loaded(text)) if isinstance(cql_type, NESTED) else scalar(cql_type, text)


def scalar(cql_type: CqlType, text: str) -> Any:
    assert isinstance(cql_type, NativeType)
    parse: dict[str, Callable[[str], Any]] = {
        "ascii": str,
        "bigint": int,
        "blob": lambda t: bytes.fromhex(t.removeprefix("0x")),
        "boolean": {"true": True, "false": False}.__getitem__,
        "counter": int,
        "date": date,
        "decimal": Decimal,
        "double": float,
        "duration": duration,
        "float": lambda t: struct.unpack("f", struct.pack("f", float(t)))[0],
        "inet": ip_address,
        "int": int,
        "smallint": int,
        "text": str,
        "time": time,
        "timestamp": timestamp,
        "timeuuid": UUID,
        "tinyint": int,
        "uuid": UUID,
        "varint": int,
    }
    return parse[cql_type.name](text)


def _days(text: str) -> int:
    """Return the days since 1970 of a date of ISO 8601, of any year: by counting leap years."""
    found = re.fullmatch(r"(\d{4}|[+-]\d{4,})-(\d\d)-(\d\d)", text)
    assert found
    year, month, day = map(int, found.groups())
    same = 2000 + year % 400
    leap: int = (year - same) // 400
    days: int = (dt.date(same, month, day) - EPOCH).days
    return days + leap * (400 * 365 + 97)


def date(text: str) -> dt.date | Date:
    return date_of(_days(text))


def date_of(days: int) -> dt.date | Date:
    try:
        return EPOCH + dt.timedelta(days=days)
    except OverflowError:
        return Date(days)


def _fraction(text: str, digits: int) -> int:
    hours, minutes, seconds, fraction = re.fullmatch(r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?", text).groups()  # type: ignore[union-attr]
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return int(whole * 10**digits) + int((fraction or "").ljust(digits, "0"))


def timestamp(text: str) -> dt.datetime | Timestamp:
    day, _, clock = text.removesuffix("Z").partition("T")
    assert text.endswith("Z")
    milliseconds = _days(day) * 86_400_000 + _fraction(clock, 3)
    try:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return Timestamp(milliseconds)


def time(text: str) -> dt.time | Time:
    if ":" not in text:
        return Time(int(text))
    nanoseconds = _fraction(text, 9)
    if nanoseconds % 1000:
        return Time(nanoseconds)
    return (dt.datetime(1, 1, 1) + dt.timedelta(microseconds=nanoseconds // 1000)).time()


def duration(text: str) -> Duration:
    sizes = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
    sign = -1 if text.startswith("-") else 1
    totals = {"mo": 0, "d": 0, "ns": 0}
    parts = re.findall(r"(-?\d+)([a-z]+)", text.removeprefix("+") if text[0] == "+" else text.lstrip("-"))
    assert "".join(map("".join, parts)) == text.lstrip("+-") or text[0] == "+"
    for count, unit in parts:
        totals["ns" if unit in sizes else unit] += int(count) * sizes.get(unit, 1)
    return Duration(*(sign * each for each in totals.values()))


def comparable(value: Any) -> Any:
    """Return a value such that equal ones are the same to the last bit, but for what makes a NaN."""
    match value:
        case float():
            return "NaN" if math.isnan(value) else struct.pack("d", value)
        case Decimal():
            return value.as_tuple()
        case list():
            return list(map(comparable, value))
        case tuple():
            return tuple(map(comparable, tuple.__iter__(value)))
    return type(value), value
