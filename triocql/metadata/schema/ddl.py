"""CQL as Cassandra's ``DESCRIBE`` writes it, byte for byte: names, values, options, and the statements of these.

Cassandra 4.0, 4.1 and 5.0 differ in nothing but the options that there are; a server has those that are columns of
its system tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from triocql.protocol.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INDENT: Final = "    "

_BARE: Final = re.compile("[a-z][a-z0-9_]*", re.ASCII)
_HEXADECIMAL: Final = re.compile("[0-9a-fA-F]+")
_WORDS: Final = """
    add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries execute
    from full grant if in index infinity insert into is keyspace limit materialized modify nan norecursive not null of
    on or order primary rename revoke schema select set table to token truncate unlogged update use using view where
    with
"""
_RESERVED: Final = frozenset(_WORDS.split())
"""The words that Cassandra quotes: 4.0, 4.1 and 5.0 have the same ones."""

_ORDERED: Final = (
    "additional_write_policy",
    "allow_auto_snapshot",
    "bloom_filter_fp_chance",
    "caching",
    "cdc",
    "comment",
    "compaction",
    "compression",
    "memtable",
    "crc_check_chance",
    "default_time_to_live",
    "extensions",
    "gc_grace_seconds",
    "incremental_backups",
    "max_index_interval",
    "memtable_flush_period_in_ms",
    "min_index_interval",
    "read_repair",
    "speculative_retry",
)
"""The options of tables, in Cassandra's order."""

_DEFAULTS: Final[Mapping[str, Any]] = {
    "additional_write_policy": "99p",
    "allow_auto_snapshot": True,
    "bloom_filter_fp_chance": 0.01,
    "caching": {"keys": "ALL", "rows_per_partition": "NONE"},
    "cdc": False,
    "comment": "",
    "compaction": {},
    "compression": {},
    "memtable": "default",
    "crc_check_chance": 1.0,
    "default_time_to_live": 0,
    "extensions": {},
    "gc_grace_seconds": 864_000,
    "incremental_backups": True,
    "max_index_interval": 2048,
    "memtable_flush_period_in_ms": 0,
    "min_index_interval": 128,
    "read_repair": "BLOCKING",
    "speculative_retry": "99p",
}
_NO_OPTIONS: Final = frozenset(
    (
        # Cassandra tells zeros here, for the sake of old drivers.
        "dclocal_read_repair_chance",
        "read_repair_chance",
        # Of Scylla's own doing.
        "version",
        "committed_by_group0",
    )
)
_QUOTED_TYPES: Final = frozenset(("ascii", "text", "varchar", "inet", "date", "time", "timestamp"))


# --- Words -------------------------------------------------------------------------------------------------


def name(text: str) -> str:
    """Return a name as Cassandra writes it: in quotes where it wants them.

    >>> name("users"), name("Users"), name("order"), name("väl")
    ('users', '"Users"', '"order"', '"väl"')
    """
    if _BARE.fullmatch(text) and text not in _RESERVED:
        return text
    return quoted(text)


def qualified(keyspace: str, text: str) -> str:
    """Return a name with that of its keyspace."""
    return f"{name(keyspace)}.{name(text)}"


def string(text: str) -> str:
    """Return a text as CQL."""
    return "'" + text.replace("'", "''") + "'"


def number(value: float) -> str:
    """Return a number of floating point as Java writes it.

    >>> number(0.01), number(1.0), number(1e-05), number(12345678.0)
    ('0.01', '1.0', '1.0E-5', '1.2345678E7')
    """
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    first, *rest = digits
    power = int(exponent) + len(rest)
    return f"{'-' if sign else ''}{first}.{''.join(map(str, rest)) or '0'}E{power}"


def mapping(items: Mapping[str, str]) -> str:
    """Return a map of texts, in Java's order of its keys."""
    ordered = sorted(items, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ", ".join(f"{string(key)}: {string(items[key])}" for key in ordered) + "}"


def value(anything: Any) -> str:
    """Return any value as CQL."""
    match anything:
        case None:
            return "null"
        case bool():
            return "true" if anything else "false"
        case str():
            return string(anything)
        case float():
            return number(anything)
        case bytes():
            return f"0x{anything.hex()}"
        case Mapping():
            ordered = sorted(anything.items(), key=lambda item: str(item[0]))
            return "{" + ", ".join(f"{value(key)}: {value(each)}" for key, each in ordered) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(value, anything)) + "]"
        case set() | frozenset():
            return "{" + ", ".join(sorted(map(value, anything))) + "}"
    return str(anything)


def argument(cql_type: str, text: str | None) -> str:
    """Return an argument of a mask, of which system tables have a text of Java's. Values of Java's own types are taken
    from such a text, too; Cassandra writes their bytes, which are the digits of one that is a UUID.
    """
    if text is None:
        return "null"
    if cql_type.startswith("'"):
        digits = text.replace("-", "") if cql_type.endswith(".LexicalUUIDType'") else ""
        return f"0x{digits}" if _HEXADECIMAL.fullmatch(digits) else string(text)
    if cql_type in _QUOTED_TYPES:
        return string(text)
    return f"0x{text}" if cql_type == "blob" else text


def callable_type(cql_type: str) -> str:
    """Return the type of an argument or a result: tuples are frozen by nature, and not said to be."""
    return cql_type[len("frozen<") : -1] if cql_type.startswith("frozen<tuple<") else cql_type


def signature(text: str, argument_types: Iterable[str]) -> str:
    """Return a function with the types of its arguments, as Cassandra names it."""
    return f"{text}({', '.join(map(callable_type, argument_types))})"


def described_signature(text: str, argument_types: Iterable[str]) -> str:
    """Return the same with its name in quotes where Cassandra has them, for which it ends at its first bracket."""
    bare, bracket, rest = signature(text, argument_types).partition("(")
    return f"{name(bare)}{bracket}{rest}"


# --- Options -----------------------------------------------------------------------------------------------


def table_options(options: Mapping[str, Any], *, is_view: bool) -> dict[str, str]:
    """Return the options of a table or a view that has them as CQL; null is the default of Cassandra."""
    written = {}
    for option in _ORDERED:
        if option in options and not (is_view and option == "default_time_to_live"):
            told = options[option]
            written[option] = _option(option, _DEFAULTS[option] if told is None else told)
    more = sorted(options.keys() - _DEFAULTS.keys() - _NO_OPTIONS)
    return written | {name(option): value(options[option]) for option in more if options[option] is not None}


def _option(option: str, told: Any) -> str:
    if option == "extensions":
        return _unquoted({key: f"0x{each.hex()}" for key, each in told.items()})
    return number(told) if isinstance(_DEFAULTS[option], float) else value(told)


def _unquoted(items: Mapping[str, str]) -> str:
    ordered = sorted(items, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ", ".join(f"{string(key)}: {items[key]}" for key in ordered) + "}"


# --- Statements --------------------------------------------------------------------------------------------
# Names are as CQL has them already.


def create_keyspace(keyspace: str, options: Mapping[str, str]) -> str:
    """Return the statement that makes a keyspace."""
    first, *rest = (f"{option} = {each}" for option, each in options.items())
    # DESCRIBE has two spaces there.
    return f"CREATE KEYSPACE {keyspace} WITH {first}  AND {' AND '.join(rest)};"


def virtual_keyspace(keyspace: str) -> str:
    """Return what is written of a virtual keyspace."""
    return (
        f"/*\nWarning: Keyspace {name(keyspace)} is a virtual keyspace and cannot be recreated with CQL.\n"
        f"Structure, for reference:\nVIRTUAL KEYSPACE {name(keyspace)};\n*/"
    )


def create_type(full_name: str, fields: Iterable[tuple[str, str]]) -> str:
    """Return the statement that makes a user-defined type."""
    lines = ",\n".join(f"{INDENT}{field} {cql_type}" for field, cql_type in fields)
    return f"CREATE TYPE {full_name} (\n{lines}\n);"


def create_table(
    full_name: str, lines: Sequence[str], options: Sequence[str], *, is_virtual: bool = False
) -> str:
    """Return the statement that makes a table: `lines` are the columns and the key, with their commas."""
    structure = "".join(f"{INDENT}{line}\n" for line in lines)
    created = f"TABLE {full_name} (\n{structure}) WITH {_joined(options)};"
    if not is_virtual:
        return f"CREATE {created}"
    return (
        f"/*\nWarning: Table {full_name} is a virtual table and cannot be recreated with CQL.\n"
        f"Structure, for reference:\nVIRTUAL {created}\n*/"
    )


def legacy_table(full_name: str, created: str) -> str:
    """Return what is written of a table with compact storage."""
    return (
        f"/*\nWarning: Table {full_name} omitted because it has constructs not compatible with CQL "
        "(was created via legacy API).\nApproximate structure, for reference:\n"
        f"(this should not be used to reproduce this schema)\n\n{created}\n*/"
    )


def create_view(
    full_name: str, selected: str, base: str, where: str, key: str, options: Sequence[str]
) -> str:
    """Return the statement that makes a view."""
    return (
        f"CREATE MATERIALIZED VIEW {full_name} AS\n{INDENT}SELECT {selected}\n{INDENT}FROM {base}\n"
        f"{INDENT}WHERE {where}\n{INDENT}{key}\n WITH {_joined(options)};"
    )


def create_index(
    index: str, table: str, target: str, class_name: str | None, options: Mapping[str, str]
) -> str:
    """Return the statement that makes an index: by a class, or, without one, one of Cassandra's from the beginning."""
    if class_name is None:
        return f"CREATE INDEX {index} ON {table} ({target});"
    more = f" WITH OPTIONS = {mapping(options)}" if options else ""
    return f"CREATE CUSTOM INDEX {index} ON {table} ({target}) USING {string(class_name)}{more};"


def create_function(
    full_name: str,
    arguments: Iterable[tuple[str, str]],
    return_type: str,
    language: str,
    body: str,
    *,
    called_on_null_input: bool,
) -> str:
    """Return the statement that makes a function, of which the body is a literal already."""
    takes = ", ".join(f"{argument} {callable_type(cql_type)}" for argument, cql_type in arguments)
    return (
        f"CREATE FUNCTION {full_name}({takes})\n"
        f"{INDENT}{'CALLED' if called_on_null_input else 'RETURNS NULL'} ON NULL INPUT\n"
        f"{INDENT}RETURNS {callable_type(return_type)}\n{INDENT}LANGUAGE {language}\n{INDENT}AS {body};"
    )


def create_aggregate(full_name: str, argument_types: Iterable[str], clauses: Iterable[str]) -> str:
    """Return the statement that makes an aggregate."""
    takes = ", ".join(map(callable_type, argument_types))
    return (
        "\n".join([f"CREATE AGGREGATE {full_name}({takes})", *(INDENT + clause for clause in clauses)]) + ";"
    )


def _joined(options: Sequence[str]) -> str:
    return f"\n{INDENT}AND ".join(options)
