"""What a scan reads of a table, as the statements that read it. A statement is the same for all ranges, so that it is
prepared once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from triocql._brief import brief
from triocql.bulk.filters import check_where
from triocql.bulk.naming import unknown
from triocql.errors import OptionError
from triocql.metadata.schema import ColumnKind
from triocql.protocol.types import NativeType, quote_name

if TYPE_CHECKING:
    from triocql.bulk.intervals import TokenRange
    from triocql.metadata.schema import Column, Relation

_COUNTER: Final = NativeType("counter")
_KEYS: Final = (ColumnKind.PARTITION_KEY, ColumnKind.CLUSTERING)
_RELEASE: Final = re.compile(r"(\d+)\.(\d+)", re.ASCII)
_OF_PARTS: Final = (5, 0)
"""The release since which nodes tell when the parts of a collection were written."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of a table. `select` makes it, and checks it.

    Attributes:
        table: the table, virtual table or view.
        columns: the names of the columns of its rows, in order: those of the table, then ``writetime(...)`` and
            ``ttl(...)``.
        hidden: how many columns follow them that nobody has asked for: the token, where it does not follow from the
            rows.
        key: where in a row the columns of the partition key are, in the order of the key; () where it has the token.
        parameters: the values of the condition.
        limit: how many rows are wanted at most; None for all.
        range_text: the statement that reads a range of tokens; `values` has what it is bound with.
        plain_text: the one that reads all of the table.
        count_text: the one that counts the rows of a range, whatever the limit.
        plain_count_text: the one that counts all.
    """

    table: Relation
    columns: tuple[str, ...]
    hidden: int
    key: tuple[int, ...]
    parameters: tuple[Any, ...]
    limit: int | None
    range_text: str
    plain_text: str
    count_text: str
    plain_count_text: str

    def values(self, part: TokenRange | None = None, limit: int | None = None) -> list[Any]:
        """Return the values of the statement that reads a range, or all of the table.

        Args:
            part: the range; None for all of the table.
            limit: how many rows are wanted yet, where there is a `limit`.
        """
        values = self.count_values(part)
        return values if self.limit is None else [*values, self.limit if limit is None else limit]

    def count_values(self, part: TokenRange | None = None) -> list[Any]:
        """Return the values of the statement that counts the rows of a range, or all."""
        return [*(part or ()), *self.parameters]

    @property
    def query_hash(self) -> str:
        """What tells this selection from others, for checkpoints: of other values, it is another one."""
        told = repr((self.range_text, self.limit, _canonical(self.parameters)))
        return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def select(
    table: Relation,
    columns: Iterable[str] | None = None,
    *,
    where: str | None = None,
    parameters: Sequence[Any] | None = None,
    allow_filtering: bool = False,
    writetime: Iterable[str] = (),
    ttl: Iterable[str] = (),
    limit: int | None = None,
    releases: Iterable[str] = (),
) -> Selection:
    """Return what is to be read of a table.

    Args:
        table: the table, virtual table or view.
        columns: the names of columns, as the schema has them; None for all. Of none at all, rows are counted only.
        where: a condition on columns, with ``?`` for values; not on a partition key of one column.
        parameters: the values for ``where``.
        allow_filtering: whether nodes may read rows that do not fit, and leave them out.
        writetime: columns whose times of writing are wanted, in microseconds since 1970.
        ttl: columns whose seconds to live are wanted.
        limit: how many rows are wanted at most.
        releases: the versions of the nodes, as far as they are known.

    Raises:
        OptionError: something of this does not fit the table. Nothing was sent.
    """
    owner = table.cql_name
    known = {column.name: column for column in table.cql_columns}
    chosen = [*known.values()] if columns is None else _chosen("columns", columns, known, owner)
    written = _chosen("writetime", writetime, known, owner)
    living = _chosen("ttl", ttl, known, owner)
    old = next(filter(_is_old, releases), None)
    for option, each in [*(("writetime", each) for each in written), *(("ttl", each) for each in living)]:
        _check_has_time(option, each, old)
    if limit is not None and (type(limit) is not int or not 1 <= limit < 2**31):
        raise OptionError(f"limit= is a number of rows from 1 to {2**31 - 1:,}, not {brief(limit)}")
    values = _values(where, parameters)
    if where is not None:
        check_where(where, values, known, owner)
        where = where.strip()
    names = [column.name for column in chosen]
    terms = [quote_name(name) for name in names]
    for function, option, group in (("MAXWRITETIME", "writetime", written), ("TTL", "ttl", living)):
        for column in group:
            names.append(f"{option}({column.name})")
            verb = function if column.is_multi_cell else option.upper()
            terms.append(f"{verb}({quote_name(column.name)}) AS {quote_name(names[-1])}")
    token = f"token({', '.join(map(quote_name, table.partition_key.names))})"
    # What another partitioner than the cluster's makes of a key, only nodes can tell.
    is_keyed = table.partitioner is None and set(table.partition_key.names) <= set(names)
    rows = ", ".join(terms if is_keyed else [*terms, token])
    bounds = f"{token} > ? AND {token} <= ?"
    filtering = " ALLOW FILTERING" if allow_filtering else ""
    limited = "" if limit is None else " LIMIT ?"

    def text(what: str, end: str, *conditions: str | None) -> str:
        condition = " AND ".join(filter(None, conditions))
        return f"SELECT {what} FROM {owner}{condition and f' WHERE {condition}'}{end}"  # noqa: S608

    return Selection(
        table,
        tuple(names),
        hidden=0 if is_keyed else 1,
        key=tuple(map(names.index, table.partition_key.names)) if is_keyed else (),
        parameters=values,
        limit=limit,
        range_text=text(rows, limited + filtering, bounds, where),
        plain_text=text(rows, limited + filtering, where),
        count_text=text("count(*)", filtering, bounds, where),
        plain_count_text=text("count(*)", filtering, where),
    )


def _chosen(option: str, given: Iterable[str], known: Mapping[str, Column], owner: str) -> list[Column]:
    """Return the columns of an option."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise OptionError(f"{option}= takes a list of names of columns, not {brief(given)}")
    names = list(given)
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"{option}= takes names of columns, not {brief(name)}")
        if name not in known:
            raise OptionError(f"{option}=: {unknown(name, known, 'column', f'{owner} has')}")
        if names.count(name) > 1:
            raise OptionError(f"{option}= has {brief(name)} more than once")
    return [known[name] for name in names]


def _is_old(release: str) -> bool:
    found = _RELEASE.match(release)
    return found is not None and tuple(map(int, found.groups())) < _OF_PARTS


def _check_has_time(option: str, column: Column, old: str | None) -> None:
    """Raise an error where nodes do not keep when a column was written."""
    if column.kind in _KEYS:
        raise OptionError(f"{option}=: {column.name!r} is of the primary key, which has no time of its own")
    if column.type == _COUNTER:
        raise OptionError(f"{option}=: {column.name!r} is a counter, which has no time of its own")
    if column.is_multi_cell and old is not None:
        raise OptionError(
            f"{option}=: {column.name!r} is {column.cql_type}, whose parts are written one by one; nodes tell of these"
            f" times from Cassandra 5.0 on, and this cluster has {old}"
        )


def _values(where: str | None, parameters: Sequence[Any] | None) -> tuple[Any, ...]:
    if parameters is None:
        return ()
    if where is None:
        raise OptionError("parameters= are the values of where=, which is not given")
    if isinstance(parameters, (str, bytes, Mapping)) or not isinstance(parameters, Sequence):
        raise OptionError(
            f"parameters= takes a list of values, one for each ?, not {type(parameters).__name__}"
        )
    return tuple(parameters)


def _canonical(value: Any) -> Any:
    """Return what has an equal `repr` in every process if the values are equal: sets and mappings in one order."""
    match value:
        case list() | tuple():
            return [_canonical(each) for each in value]
        case set() | frozenset():
            return ["set", *sorted(repr(_canonical(each)) for each in value)]
        case Mapping():
            items = [repr((_canonical(key), _canonical(each))) for key, each in value.items()]
            return ["map", *sorted(items)]
    return value
