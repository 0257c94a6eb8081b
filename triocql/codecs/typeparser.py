"""Types from their text: CQL (``map<text, frozen<list<int>>>``) and the server's class names."""

from __future__ import annotations

import re
from collections.abc import Callable

from triocql._brief import brief
from triocql.errors import OptionError
from triocql.protocol.types import (
    NATIVE_TYPES,
    CqlType,
    CustomType,
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

MAX_DEPTH = 64
"""How deeply types may be nested; Cassandra itself has no use for more than a few levels."""

Resolver = Callable[[str, str], UserType]
"""Gives the user-defined type of a keyspace ("" if the text names none) and a name."""

_NAMES = {native.name for native in NATIVE_TYPES.values()}
_TOKENS = re.compile(r"""\s*(?:("(?:[^"]|"")*")|('(?:[^']|'')*')|([A-Za-z_]\w*)|(\d+)|([<>,.]))""")
_CLASS_TOKENS = re.compile(r"\s*(?:([\w.$+-]+)|([(),:]|=>))")
_PREFIX = "org.apache.cassandra.db.marshal."
_CLASSES = {
    "AsciiType": "ascii",
    "BooleanType": "boolean",
    "ByteType": "tinyint",
    "BytesType": "blob",
    "CounterColumnType": "counter",
    "DateType": "timestamp",
    "DecimalType": "decimal",
    "DoubleType": "double",
    "DurationType": "duration",
    "FloatType": "float",
    "InetAddressType": "inet",
    "Int32Type": "int",
    "IntegerType": "varint",
    "LexicalUUIDType": "uuid",
    "LongType": "bigint",
    "ShortType": "smallint",
    "SimpleDateType": "date",
    "TimeType": "time",
    "TimeUUIDType": "timeuuid",
    "TimestampType": "timestamp",
    "UTF8Type": "text",
    "UUIDType": "uuid",
}


class _Reader:
    """The tokens of a text, one after the other."""

    def __init__(self, text: str, tokens: re.Pattern[str]) -> None:
        self.text = text
        self.tokens: list[str] = []
        at = 0
        end = len(text.rstrip())
        while at < end:
            match = tokens.match(text, at)
            if match is None:
                raise self.error(f"cannot read {text[at : at + 20]!r}")
            self.tokens.append(match.group(match.lastindex or 0))
            at = match.end()
        self.at = 0

    def peek(self) -> str:
        """Return the next token, "" at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        """Take the next token."""
        token = self.peek()
        if not token:
            raise self.error("it ends too early")
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        """Take a token that has to be there."""
        if self.next() != token:
            raise self.error(f"{brief(token)} expected instead of {brief(self.tokens[self.at - 1])}")

    def skip(self, token: str) -> bool:
        """Take a token if it is there."""
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def end(self) -> None:
        """Refuse what is left."""
        if self.peek():
            raise self.error(f"{brief(self.peek())} after its end")

    def error(self, problem: str) -> OptionError:
        """Return the error to raise."""
        return OptionError(f"{self.text[:200]!r} is not a CQL type: {problem}")


def parse_type(text: str, resolve: Resolver | None = None) -> CqlType:
    """Return the type that a CQL text means, such as ``map<text, frozen<list<int>>>`` or ``'a.class.Name'``.

    Names of user-defined types are given to `resolve`, unquoted.

    Raises:
        OptionError: the text is no type, or names a user-defined type without there being a `resolve`.

    >>> parse_type("map<varchar, frozen<set<int>>>")
    MapType(key=NativeType(name='text'), value=SetType(element=NativeType(name='int')))
    """
    reader = _Reader(text, _TOKENS)
    result = _cql(reader, resolve, 0)
    reader.end()
    return result


def _cql(reader: _Reader, resolve: Resolver | None, depth: int) -> CqlType:
    if depth > MAX_DEPTH:
        raise reader.error(f"it is nested more than {MAX_DEPTH} deep")
    token = reader.next()
    if token.startswith("'"):
        return parse_class_name(token[1:-1].replace("''", "'"))
    word = token.lower()
    if reader.peek() == "<":
        return _generic(reader, word, resolve, depth)
    if word in ("varchar", *_NAMES):
        return NativeType("text" if word == "varchar" else word)
    return _user_type(reader, token, resolve)


def _generic(reader: _Reader, word: str, resolve: Resolver | None, depth: int) -> CqlType:
    reader.expect("<")
    if word == "vector":
        element = _cql(reader, resolve, depth + 1)
        reader.expect(",")
        dimension = _dimension(reader)
        reader.expect(">")
        return VectorType(element, dimension)
    parts = [_cql(reader, resolve, depth + 1)]
    while reader.skip(","):
        parts.append(_cql(reader, resolve, depth + 1))
    reader.expect(">")
    return _parametric(reader, word, parts)


def _parametric(reader: _Reader, word: str, parts: list[CqlType]) -> CqlType:
    match word, parts:
        case "frozen", [inner]:
            return inner
        case "list", [element]:
            return ListType(element)
        case "set", [element]:
            return SetType(element)
        case "map", [key, value]:
            return MapType(key, value)
        case "tuple", _:
            return TupleType(tuple(parts))
        case _:
            raise reader.error(f"there is no {brief(word)} of {len(parts)} types")


def _dimension(reader: _Reader) -> int:
    token = reader.next()
    if not token.isdecimal() or len(token) > 9 or not int(token):
        raise reader.error(f"a vector's dimension cannot be {brief(token)}")
    return int(token)


def _user_type(reader: _Reader, token: str, resolve: Resolver | None) -> CqlType:
    keyspace, name = "", _identifier(token)
    if reader.skip("."):
        keyspace, name = name, _identifier(reader.next())
    if resolve is None:
        raise reader.error(
            f"{brief(name)} is no native type, and user-defined types cannot be looked up here"
        )
    return resolve(keyspace, name)


def _identifier(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token.lower()


def parse_class_name(text: str) -> CqlType:
    """Return the type that a class name of the server means, parameters included.

    Frozen and reversed types are the types within. What has no equal in CQL (composite types, classes that
    are not Cassandra's) is a CustomType: its values are bytes.

    Raises:
        OptionError: the text is no class name.

    >>> marshal = "org.apache.cassandra.db.marshal"
    >>> parse_class_name(f"{marshal}.VectorType({marshal}.FloatType , 3)")
    VectorType(element=NativeType(name='float'), dimension=3)
    """
    reader = _Reader(text, _CLASS_TOKENS)
    result = _class(reader, 0)
    reader.end()
    return result


def _class(reader: _Reader, depth: int) -> CqlType:
    if depth > MAX_DEPTH:
        raise reader.error(f"it is nested more than {MAX_DEPTH} deep")
    start = reader.at
    name = reader.next()
    if name in ("(", ")", ",", ":", "=>"):
        raise reader.error(f"a class name expected instead of {brief(name)}")
    short = name.removeprefix(_PREFIX)
    if short in _CLASSES:
        return NativeType(_CLASSES[short])
    if reader.peek() != "(":
        return CustomType(name)
    if short == "VectorType":
        return _vector_class(reader, depth)
    if short == "UserType":
        return _user_class(reader, depth)
    if short not in _PARAMETRIC:
        _skip_parameters(reader)
        return CustomType("".join(reader.tokens[start : reader.at]))
    reader.expect("(")
    parts = [_class(reader, depth + 1)]
    while reader.skip(","):
        parts.append(_class(reader, depth + 1))
    reader.expect(")")
    return _parametric(reader, _PARAMETRIC[short], parts)


_PARAMETRIC = {
    "FrozenType": "frozen",
    "ReversedType": "frozen",
    "ListType": "list",
    "SetType": "set",
    "MapType": "map",
    "TupleType": "tuple",
}


def _vector_class(reader: _Reader, depth: int) -> VectorType:
    reader.expect("(")
    element = _class(reader, depth + 1)
    reader.expect(",")
    dimension = _dimension(reader)
    reader.expect(")")
    return VectorType(element, dimension)


def _user_class(reader: _Reader, depth: int) -> UserType:
    reader.expect("(")
    keyspace = reader.next()
    reader.expect(",")
    name = _hex(reader)
    fields = []
    while reader.skip(","):
        field = _hex(reader)
        reader.expect(":")
        fields.append((field, _class(reader, depth + 1)))
    reader.expect(")")
    return UserType(keyspace, name, tuple(fields))


def _hex(reader: _Reader) -> str:
    token = reader.next()
    try:
        return bytes.fromhex(token).decode()
    except ValueError:
        raise reader.error(f"{brief(token)} is not a name in hexadecimal") from None


def _skip_parameters(reader: _Reader) -> None:
    depth = 0
    while True:
        depth += {"(": 1, ")": -1}.get(reader.next(), 0)
        if not depth:
            return
