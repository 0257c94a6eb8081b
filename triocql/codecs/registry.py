"""The registry: it knows which codec reads and writes which type. Each session has one of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from triocql import _impl
from triocql._hints import CODECS, old_names
from triocql.codecs import bind, rows
from triocql.codecs.cache import Cache, weight_of_columns
from triocql.codecs.classes import is_hashable, shape_of
from triocql.codecs.collections import ListNode, MapNode, SetNode
from triocql.codecs.custom import Codec, CodecNode
from triocql.codecs.hiding import refuse_hidden
from triocql.codecs.node import Node, type_name
from triocql.codecs.scalars import (
    BlobNode,
    BooleanNode,
    DecimalNode,
    FloatingNode,
    InetNode,
    IntegerNode,
    TextNode,
    UuidNode,
    VarintNode,
)
from triocql.codecs.temporal import DateNode, DurationNode, TimeNode, TimestampNode
from triocql.codecs.tuples import TupleNode
from triocql.codecs.typeparser import parse_class_name, parse_type
from triocql.codecs.udt import UserTypeNode
from triocql.codecs.vector import VectorNode
from triocql.errors import OptionError
from triocql.protocol.types import (
    ColumnSpec,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triocql.codecs.bind import Binder
    from triocql.codecs.rows import RowPlan

Columns = tuple[ColumnSpec, ...]

NATIVE: dict[str, Callable[[CqlType], Node]] = {
    "ascii": lambda t: TextNode(t, "ascii"),
    "bigint": lambda t: IntegerNode(t, "q"),
    "blob": BlobNode,
    "boolean": lambda t: BooleanNode(t, "?"),
    "counter": lambda t: IntegerNode(t, "q"),
    "date": DateNode,
    "decimal": DecimalNode,
    "double": lambda t: FloatingNode(t, "d"),
    "duration": DurationNode,
    "float": lambda t: FloatingNode(t, "f"),
    "inet": InetNode,
    "int": lambda t: IntegerNode(t, "i"),
    "smallint": lambda t: IntegerNode(t, "h"),
    "text": lambda t: TextNode(t, "utf-8"),
    "time": TimeNode,
    "timestamp": TimestampNode,
    "timeuuid": lambda t: UuidNode(t, time_based=True),
    "tinyint": lambda t: IntegerNode(t, "b"),
    "uuid": lambda t: UuidNode(t, time_based=False),
    "varint": VarintNode,
}


@old_names(CODECS)
class Registry:
    """Codecs: the built-in ones, and those of the user that replace them.

    A codec for a column counts before one for its type, that one before the built-in one. Codecs for a type
    count inside of collections, tuples and user-defined types, too; not for what is the server's own: its tables,
    LIMIT, TTL, timestamps, counts. What is named need not exist yet. Names are as the schema has them: in lower
    case, unless they were quoted when it was declared.

    Each session has its own as `Session.codecs`. Registering there changes what is executed from then on, prepared
    statements included: results that are there already stay as they are.

    >>> session.codecs.register("bigint", Cents())                                   # doctest: +SKIP
    >>> session.codecs.register_column("shop", "users", "settings", Json())          # doctest: +SKIP
    >>> session.codecs.register_udt("shop", "address", Address)                      # doctest: +SKIP

    One that is made before connecting can be given to any number of sessions, in whatever threads. Each copies it
    when it is opened, so that what is registered later counts for the sessions opened after that:

    >>> codecs = triocql.Registry()                                                  # doctest: +SKIP
    >>> codecs.register_udt("shop", "address", Address)                              # doctest: +SKIP
    >>> async with triocql.connect("10.0.0.1", codecs=codecs) as session: ...        # doctest: +SKIP
    """

    def __init__(self, *, impl: _impl.Impl = _impl.impl) -> None:
        self._impl = impl
        self._make_plan, self._make_binder = _twins(impl)
        self._types: dict[CqlType, Codec] = {}
        self._columns: dict[tuple[str, str, str], Codec] = {}
        self._udts: dict[tuple[str, str], type] = {}
        self._plans = _Cache(self._make_plan)
        self._binders = _Cache(self._make_binder)
        self._listeners: list[Callable[[], None]] = []

    def copy(self) -> Registry:
        """Return another one with the same codecs; what is registered with either does not count for the other."""
        made = Registry(impl=self._impl)
        made._types = self._types.copy()
        made._columns = self._columns.copy()
        made._udts = self._udts.copy()
        return made

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever something was registered."""
        self._listeners.append(listener)

    def register(self, cql_type: CqlType | str, codec: Codec) -> None:
        """Let `codec` stand for every value of a type, given as text (``"timestamp"``, ``"list<int>"``) or
        parsed.

        Raises:
            OptionError: it is no type, or `codec` has no `encode` and `decode`.
        """
        self._types[_parsed(cql_type)] = _checked(codec)
        self._forget()

    def register_column(self, keyspace: str, table: str, column: str, codec: Codec) -> None:
        """Let `codec` stand for the values of one column, read and bound, whatever its type.

        The server has to name the column: it does not for an alias, which it names instead, for results of functions,
        and for bind markers with names of their own.

        Raises:
            OptionError: a name is no text, or `codec` has no `encode` and `decode`.
        """
        _require_names(keyspace=keyspace, table=table, column=column)
        self._columns[keyspace, table, column] = _checked(codec)
        self._forget()

    def register_udt(self, keyspace: str, name: str, cls: type) -> None:
        """Read the values of a user-defined type as instances of `cls`: a dataclass, a NamedTuple, a model of
        pydantic, a Struct of msgspec, a TypedDict or `dict`, or any class that is called with the fields by name.

        Fields that the class does not know are left out, so that the type may get new ones. Where values have
        to be hashable (in sets and keys of maps) and instances of `cls` are not, they are read as if no class
        was registered.

        Raises:
            OptionError: a name is no text, `cls` is no class, or it is not known how it is called.
        """
        _require_names(keyspace=keyspace, name=name)
        if not isinstance(cls, type):
            raise OptionError(f"a class is needed for {keyspace}.{name}, not {type_name(cls)}")
        shape_of(cls)
        self._udts[keyspace, name] = cls
        self._forget()

    def plan(self, columns: Sequence[ColumnSpec]) -> RowPlan:
        """Return how rows of these columns are read. The same object again for the same columns, as long as
        nothing is registered; fastest for the same tuple."""
        return self._plans.get(columns, self._compile)  # type: ignore[no-any-return]

    def binder(self, columns: Sequence[ColumnSpec], key: Iterable[int] = ()) -> Binder:
        """Return what writes values for these bind markers, cached like `plan`.

        Args:
            columns: what the bind markers stand for.
            key: the indexes of those which are the partition key. Their sets and maps are written in the server's
                order, as it makes the token of them; UNSET is refused for them.
        """
        binder: Binder = self._binders.get(columns, self._compile)
        indexes = tuple(key)
        if not indexes:
            return binder
        nodes = list(binder.nodes)
        for index, column in enumerate(binder.columns):
            if index in indexes and isinstance(column.type, (ListType, SetType, MapType)):
                nodes[index] = self._column_node(column, {}, ordered=True)
        return binder.with_key(indexes, tuple(nodes))

    def node(self, cql_type: CqlType, *, hashable: bool = False, ordered: bool = False) -> Node:
        """Return the type node that reads and writes a type, the user's codecs included."""
        node = self._builtin(cql_type, hashable, ordered)
        codec = self._types.get(cql_type)
        return node if codec is None else CodecNode(node, codec)

    def _builtin(self, cql_type: CqlType, hashable: bool, ordered: bool) -> Node:
        match cql_type:
            case NativeType(name) if name in NATIVE:
                return NATIVE[name](cql_type)
            case ListType(element):
                node = self.node(element, hashable=hashable, ordered=ordered)
                return ListNode(cql_type, node, hashable=hashable)
            case SetType(element):
                node = self.node(element, hashable=True, ordered=ordered)
                return SetNode(cql_type, node, hashable=hashable, ordered=ordered)
            case MapType(key, value):
                keys = self.node(key, hashable=True, ordered=ordered)
                values = self.node(value, hashable=hashable, ordered=ordered)
                return MapNode(cql_type, keys, values, hashable=hashable, ordered=ordered)
            case TupleType(elements):
                return TupleNode(cql_type, self._inside(elements, hashable))
            case VectorType(element):
                return VectorNode(cql_type, *self._inside([element], hashable), hashable=hashable)
            case UserType():
                return self._udt(cql_type, hashable)
        return BlobNode(cql_type)

    def _inside(self, types: Iterable[CqlType], hashable: bool) -> tuple[Node, ...]:
        """Return the type nodes of what is within a tuple, a user-defined type or a vector."""
        return tuple(self.node(each, hashable=hashable, ordered=True) for each in types)

    def _udt(self, cql_type: UserType, hashable: bool) -> Node:
        fields = self._inside((field for _, field in cql_type.fields), hashable)
        cls = self._udts.get((cql_type.keyspace, cql_type.name))
        if cls is None or (hashable and not is_hashable(cls)):
            return UserTypeNode(cql_type, fields)
        return UserTypeNode(cql_type, fields, cls, hashable=hashable)

    def check_names(self, text: str, columns: Iterable[ColumnSpec]) -> None:
        """Refuse a statement on these columns in which one with a codec of its own is hidden by another name.

        Raises:
            UsageError: there is one.
        """
        if not self._columns:
            return
        tables = {(column.keyspace, column.table) for column in columns}
        coded = {column for keyspace, table, column in self._columns if (keyspace, table) in tables}
        if coded:
            refuse_hidden(text, coded)

    def _compile(self, columns: Columns) -> tuple[Columns, tuple[Node, ...]]:
        columns = tuple(column._replace(type=_resolved(column.type)) for column in columns)
        shared: dict[CqlType, Node] = {}
        return columns, tuple(self._column_node(column, shared) for column in columns)

    def _column_node(self, column: ColumnSpec, shared: dict[CqlType, Node], *, ordered: bool = False) -> Node:
        """Return the type node of a column: the same for all of a type, as far as that is all that counts."""
        node = self._registered(column, column.name, column.type, ordered=ordered)
        if node is not None:
            return node
        if _is_servers_own(column):
            return self._builtin(column.type, hashable=False, ordered=False)
        node = shared.get(column.type)
        if node is None:
            node = shared[column.type] = self.node(column.type, ordered=ordered)
        return node

    def _registered(
        self, column: ColumnSpec, name: str, cql_type: CqlType, *, ordered: bool = False
    ) -> Node | None:
        """Return the type node for what the server names after columns, if one of them has a codec of its own: a column
        alone, several of them as ``(a,b)``, lists of these as ``in(a)`` and ``in(a,b)``.
        """
        codec = self._columns.get((column.keyspace, column.table, name))
        if codec is not None:
            return CodecNode(self._builtin(cql_type, hashable=False, ordered=ordered), codec)
        match cql_type:
            case ListType(element) if name.startswith("in("):
                inner = self._registered(column, name[2:], element)
                inner = inner or self._registered(column, name[3:-1], element)
                return None if inner is None else ListNode(cql_type, inner, hashable=False)
            case TupleType(elements) if name.startswith("("):
                names = name[1:-1].split(",")
                nodes = [self._registered(column, *each) for each in zip(names, elements, strict=False)]
                if len(names) == len(elements) and any(nodes):
                    others = self._inside(elements, hashable=False)
                    return TupleNode(
                        cql_type, tuple(node or other for node, other in zip(nodes, others, strict=True))
                    )
        return None

    def _forget(self) -> None:
        self._plans = _Cache(self._make_plan)
        self._binders = _Cache(self._make_binder)
        for listener in self._listeners:
            listener()


_SERVERS_KEYSPACES = frozenset(
    {
        "system",
        "system_auth",
        "system_distributed",
        "system_schema",
        "system_traces",
        "system_views",
        "system_virtual_schema",
    }
)
_SERVERS_NAMES = re.compile(
    r"\[.*\]|partition key token|idx\(.*\)|(writetime|maxwritetime|ttl)\(.*\)|system\.(count|token|to_?json)\(.*\)",
    re.DOTALL,
)


def _is_servers_own(column: ColumnSpec) -> bool:
    """Whether something is no value of the user's: of a table of the server itself, ``[limit]``, ``[ttl]``, ``count``,
    and so on. Codecs for types leave it alone.
    """
    if column.keyspace in _SERVERS_KEYSPACES or _SERVERS_NAMES.fullmatch(column.name):
        return True
    return column.name == "count" and column.type == NativeType("bigint")


class _Cache:
    """The plans or binders made for columns: found by the identity of their tuple, which is fastest, then by its
    equality.
    """

    def __init__(self, make: Callable[[Columns, tuple[Node, ...]], Any]) -> None:
        self._make = make
        self._by_identity: dict[int, tuple[Sequence[ColumnSpec], Any]] = {}
        self._by_value: Cache[Columns, Any] = Cache(
            on_dropped=lambda key: self._by_identity.pop(id(key), None)
        )

    def __len__(self) -> int:
        return len(self._by_value)

    def get(
        self, columns: Sequence[ColumnSpec], compiled: Callable[[Columns], tuple[Columns, tuple[Node, ...]]]
    ) -> Any:
        """Return what was made for these columns, or make it."""
        entry = self._by_identity.get(id(columns))
        if entry is not None and entry[0] is columns:
            return entry[1]
        key = tuple(columns)
        made = self._by_value.get(key)
        if made is None:
            made = self._make(*compiled(key))
            if self._by_value.keep(key, made, weight_of_columns(key)):
                self._by_identity[id(key)] = key, made
        return made


def _twins(impl: _impl.Impl) -> tuple[type[RowPlan], type[Binder]]:
    """Return what reads rows and what writes values: the only place where the compiled ones are chosen."""
    if impl == "python":
        return rows.RowPlan, bind.Binder
    from triocql.codecs import _bind, _rows

    return _rows.RowPlan, _bind.Binder


def _resolved(cql_type: CqlType) -> CqlType:
    """Return a type with the class names within replaced by the types that they mean, where they mean any."""
    match cql_type:
        case CustomType(class_name):
            try:
                return parse_class_name(class_name)
            except OptionError:
                return cql_type
        case ListType(element) | SetType(element):
            return type(cql_type)(_resolved(element))
        case MapType(key, value):
            return MapType(_resolved(key), _resolved(value))
        case TupleType(elements):
            return TupleType(tuple(map(_resolved, elements)))
        case VectorType(element, dimension):
            return VectorType(_resolved(element), dimension)
        case UserType(keyspace, name, fields):
            return UserType(keyspace, name, tuple((field, _resolved(inner)) for field, inner in fields))
    return cql_type


def _parsed(cql_type: CqlType | str) -> CqlType:
    if isinstance(cql_type, str):
        return parse_type(cql_type)
    if not isinstance(cql_type, CqlType):
        raise OptionError(f"a type of CQL is needed, as text or parsed, not {type_name(cql_type)}")
    return _resolved(cql_type)


def _require_names(**names: str) -> None:
    for what, name in names.items():
        if not isinstance(name, str):
            raise OptionError(f"{what} has to be a name, not {type_name(name)}")


def _checked(codec: Codec) -> Codec:
    if not isinstance(codec, Codec) or isinstance(codec, type):
        raise OptionError(
            f"a codec needs the methods encode and decode; {type_name(codec)} does not have both"
        )
    return codec
