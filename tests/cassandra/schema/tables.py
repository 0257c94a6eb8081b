"""The grammar of tables, with what comes and goes in them, and of their masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .columntypes import Type, draw_type, native
from .literals import literal
from .options import write_options
from .writer import quoted

if TYPE_CHECKING:
    from .columntypes import UserType
    from .writer import Writer

_MASKS = {
    "text": ["mask_inner(1, null)", "mask_inner(1, 2, '*')", "mask_outer(null, 3)", "mask_replace('a b')"],
    "ascii": ["mask_outer(1, 1)", "mask_replace('')"],
    "int": ["mask_replace(0)", "mask_replace(-1)"],
    "bigint": ["mask_replace(9223372036854775807)"],
    "blob": ["mask_hash()", "mask_hash('SHA-512')", "mask_replace(0x00ff)"],
    "boolean": ["mask_replace(false)"],
    "double": ["mask_replace(1.5)"],
    "uuid": ["mask_replace(00000000-0000-0000-0000-000000000000)"],
}
_EVERY_MASK = ["DEFAULT", "mask_default()", "mask_null()"]


@dataclass
class Table:
    """A table as it was written.

    Attributes:
        name: its name.
        partition: the columns of its partition key: names and types.
        clustering: those of its clustering key.
        columns: the other ones, statics apart.
        statics: the static ones.
        counter: whether it is one of counters.
        compact: whether it is one of before CQL.
    """

    name: str
    partition: dict[str, Type] = field(default_factory=dict)
    clustering: dict[str, Type] = field(default_factory=dict)
    columns: dict[str, Type] = field(default_factory=dict)
    statics: dict[str, Type] = field(default_factory=dict)
    counter: bool = False
    compact: bool = False


def write_table(writer: Writer, types: list[UserType], *, transient: bool = False) -> Table:
    """Write a table."""
    table = Table(writer.word())
    taken = set[str]()
    for _ in range(1 + writer.sometimes("composite keys") * writer.count(1, 2)):
        table.partition[writer.name(taken)] = draw_type(writer, types, key=True, depth=1)
    for _ in range(writer.sometimes("clustering keys") * writer.count(1, 3)):
        table.clustering[writer.name(taken)] = draw_type(writer, types, key=True, depth=1)
    kind = "counter" if writer.sometimes("counters", 5) else "usual"
    if kind == "usual" and not transient and writer.sometimes("compact storage", 12):
        kind = "compact"
    table.counter, table.compact = kind == "counter", kind == "compact"
    for _ in range(writer.count(*{"counter": (1, 3), "compact": (1, 1)}.get(kind, (0, 6)))):
        table.columns[writer.name(taken)] = _column(writer, types, kind)
    if table.clustering and kind != "compact":
        for _ in range(writer.sometimes("statics") * writer.count(1, 2)):
            table.statics[writer.name(taken)] = _column(writer, types, kind)
    _create(writer, table, transient=transient)
    if kind == "usual":
        write_change(writer, types, table, taken)
    return table


def _column(writer: Writer, types: list[UserType], kind: str) -> Type:
    if kind == "counter":
        return Type("counter", "counter")
    return native(writer, key=True) if kind == "compact" else draw_type(writer, types)


def _create(writer: Writer, table: Table, *, transient: bool) -> None:
    columns = [
        f"{quoted(name)} {each.cql}{' STATIC' if name in table.statics else ''}{mask_of(writer, table, each)}"
        for group in (table.columns, table.partition, table.statics, table.clustering)
        for name, each in group.items()
    ]
    if len(table.partition) == 1 and not table.clustering and writer.sometimes("short primary keys"):
        ((name, kind),) = table.partition.items()
        columns = [each for each in columns if not each.startswith(f"{quoted(name)} {kind.cql}")]
        columns.insert(0, f"{quoted(name)} {kind.cql} PRIMARY KEY")
    else:
        columns.append(f"PRIMARY KEY ({', '.join([_partition(table), *map(quoted, table.clustering)])})")
    options = ["COMPACT STORAGE"] if table.compact else []
    if table.clustering and writer.sometimes("clustering orders"):
        orders = (f"{quoted(name)} {writer.pick(['ASC', 'DESC'])}" for name in table.clustering)
        options.append(f"CLUSTERING ORDER BY ({', '.join(orders)})")
    options += write_options(writer, counter=table.counter, transient=transient)
    end = f" WITH {' AND '.join(options)}" if options else ""
    writer.write(f"CREATE TABLE {writer.qualified(table.name)} ({', '.join(columns)}){end}")


def _partition(table: Table) -> str:
    return f"({', '.join(map(quoted, table.partition))})"


def mask_of(writer: Writer, table: Table, column: Type) -> str:
    """Draw how a column is masked, or not."""
    if not writer.server.masking or table.counter or table.compact or not writer.sometimes("masks", 4):
        return ""
    if column.is_native:
        return f" MASKED WITH {writer.pick([*_EVERY_MASK, *_MASKS.get(column.cql, ())])}"
    value = literal(writer, column.cql)
    if value is None:
        return ""
    writer.has("masks with literals of collections")
    return f" MASKED WITH {writer.pick(['DEFAULT', f'mask_replace({value})', f'mask_replace({value})'])}"


def write_change(writer: Writer, types: list[UserType], table: Table, taken: set[str]) -> None:
    """Have columns come, go and come again."""
    alter = f"ALTER TABLE {writer.qualified(table.name)}"
    columns = {**table.columns, **table.statics}
    droppable = [name for name, kind in columns.items() if not (kind.kind == "udt" and kind.multicell)]
    if droppable and writer.sometimes("dropped columns"):
        name = writer.pick(droppable)
        # In milliseconds: the node that drops it knows more than it keeps, until it starts again.
        when = " USING TIMESTAMP 1700000000001000" if writer.sometimes("dropped at a time", 3) else ""
        writer.write(f"{alter} DROP {quoted(name)}{when}")
        group = table.columns if name in table.columns else table.statics
        kind = group.pop(name)
        if kind.kind != "udt" and "<" not in kind.cql and writer.sometimes("columns added again"):
            group[name] = kind
            static = " STATIC" if group is table.statics else ""
            writer.write(f"{alter} ADD {quoted(name)} {kind.cql}{static}{mask_of(writer, table, kind)}")
    if writer.sometimes("added columns", 3):
        name, kind = writer.name(taken), draw_type(writer, types)
        table.columns[name] = kind
        writer.write(f"{alter} ADD {quoted(name)} {kind.cql}{mask_of(writer, table, kind)}")
    if table.clustering and writer.sometimes("renamed keys", 6):
        old, new = writer.pick(list(table.clustering)), writer.name(taken)
        writer.write(f"{alter} RENAME {quoted(old)} TO {quoted(new)}")
        table.clustering = {new if name == old else name: each for name, each in table.clustering.items()}
