"""Rows that no server should tell: whatever they have, nothing raises, nothing is lost, and nothing goes in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.schema.test_rows import Row, built, column, shop, table
from triocql.metadata.building import finish
from triocql.metadata.schema import (
    SYSTEM_TABLES,
    Keyspace,
    build_keyspaces,
    difference,
    rebuild_keyspace,
    rebuild_table,
)

if TYPE_CHECKING:
    from triocql.metadata.schema import Fault

Rows = dict[str, list[Row]]

# The tables without whose rows an object is not what it was.
_OF_OBJECTS = {
    "system_schema.types": ("types", "type_name"),
    "system_schema.tables": ("tables", "table_name"),
    "system_schema.columns": ("tables", "table_name"),
    "system_schema.views": ("views", "view_name"),
}
_SOMETHING = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
    st.sampled_from(
        ["frozen<person>", "list<", "map<int, text>", "'a.B'", "static", "clustering", "desc", "shop"]
    ),
    st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.one_of(st.text(max_size=2), st.none()), max_size=2),
    st.sets(st.integers(), max_size=2),
    st.builds(UUID, int=st.integers(0, 5)),
    st.just([{}]),
)


@st.composite
def damaged(draw: st.DrawFn) -> Rows:
    """The rows of the shop, of which some miss something, have something else, or are there twice."""
    rows = shop()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(rows)))
        if not rows[name]:
            continue
        at = draw(st.integers(0, len(rows[name]) - 1))
        row = rows[name][at] = dict(rows[name][at])
        match draw(st.sampled_from(["value", "column", "row", "twice", "other", "new"])):
            case "value":
                row[draw(st.sampled_from(sorted(row)))] = draw(_SOMETHING)
            case "column":
                del row[draw(st.sampled_from(sorted(row)))]
            case "row":
                del rows[name][at]
            case "twice":
                rows[name].append(row)
            case "other":
                rows[name].append({**row, draw(st.sampled_from(sorted(row))): draw(_SOMETHING)})
            case "new":
                row[draw(st.text(min_size=1, max_size=5))] = draw(_SOMETHING)
    return rows


def names(keyspace: Keyspace) -> set[tuple[str, str]]:
    """Return what a keyspace has, but for functions."""
    kinds: dict[str, Any] = {"types": keyspace.types, "tables": keyspace.tables, "views": keyspace.views}
    return {(kind, name) for kind, found in kinds.items() for name in found}


def touched(rows: Rows) -> set[tuple[str, str]]:
    """Return the objects that still have rows of their own."""
    return {
        ("views" if row[key] == "by_day" else kind, row[key])
        for table_name, (kind, key) in _OF_OBJECTS.items()
        for row in rows[table_name]
        if isinstance(row.get(key), str) and row.get("keyspace_name") == "shop"
    }


def use(keyspace: Keyspace) -> None:
    """Do all that is done with a schema."""
    hash(keyspace)
    keyspace.as_cql()
    keyspace.as_cql(internals=True)
    difference({"shop": built(shop())}, {"shop": keyspace})
    difference({"shop": keyspace}, {"shop": built(shop())})


@settings(deadline=None)
@given(damaged())
def test_what_is_damaged_loses_no_earlier_object_and_is_told(rows: Rows) -> None:
    earlier = built(shop())
    faults: list[Fault] = []
    keyspace = finish(build_keyspaces(rows, {"shop": earlier}, faults)).get("shop", earlier)
    assert names(earlier) & touched(rows) <= names(keyspace)
    if not faults:
        assert touched(shop()) & touched(rows) <= names(keyspace)
    use(keyspace)
    if keyspace != earlier and not faults:
        use(built(rows))


@settings(deadline=None)
@given(damaged())
def test_a_first_reading_of_damaged_rows_is_told(rows: Rows) -> None:
    faults: list[Fault] = []
    found = finish(build_keyspaces(rows, {}, faults))
    missing = touched(shop()) - (names(found["shop"]) if "shop" in found else set())
    gone = touched(shop()) - touched(rows)
    assert faults or missing <= gone
    for keyspace in found.values():
        use(keyspace)


@settings(deadline=None)
@given(damaged(), st.sampled_from(["events", "plain", "by_day", "none"]))
def test_one_table_of_damaged_rows(rows: Rows, name: str) -> None:
    earlier = built(shop())
    for system_table in SYSTEM_TABLES:
        if system_table.of is not None and system_table.full_name in rows:
            key = system_table.of
            rows[system_table.full_name] = [
                row for row in rows[system_table.full_name] if row.get(key) == name
            ]
    keyspace = rebuild_table(rows, name, earlier)
    others = names(earlier) - {("tables", name), ("views", name)}
    assert others <= names(keyspace)
    use(keyspace)


@settings(deadline=None)
@given(damaged(), st.sets(st.sampled_from(sorted(shop()))))
def test_parts_of_a_keyspace_of_damaged_rows(rows: Rows, read: set[str]) -> None:
    earlier = built(shop())
    kept = {name: rows[name] for name in read - {"system_schema.keyspaces"}}
    keyspace = finish(rebuild_keyspace(kept, "shop", earlier))
    assert keyspace is not None
    if not {"system_schema.tables", "system_schema.views"} & read:
        assert keyspace.tables.keys() == earlier.tables.keys()
    use(keyspace)


def test_slices_are_short() -> None:
    """A slice is bounded by how many rows it reads, however they are spread over tables and keyspaces."""
    wide = [column("wide", "id", "partition_key", 0)]
    wide += [column("wide", f"v{number}", "regular", -1) for number in range(300)]
    small = [column(f"t{number}", "id", "partition_key", 0) for number in range(2000)]
    rows = shop()
    rows["system_schema.tables"] = [table("wide"), *(table(f"t{number}") for number in range(2000))]
    rows["system_schema.columns"] = [*wide, *small]
    rows["system_schema.views"] = []
    slices = 1
    for _ in build_keyspaces(rows, {}):
        slices += 1
    assert slices > 2300 / 128
