"""What is read of a table: one text for all ranges, and errors that name what was wrong and what there is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.bulk.tables import EVENTS, keyspaces, table
from triocql.bulk.intervals import TokenRange
from triocql.bulk.naming import find_relation
from triocql.bulk.selection import select
from triocql.errors import OptionError, UsageError
from triocql.metadata.schema import Table

RANGE = "WHERE token(day) > ? AND token(day) <= ?"


def test_all_columns_of_a_table() -> None:
    selection = select(EVENTS)
    assert selection.columns == ("day", "hour", "owner", "amount", "tags", "frozen_tags", "Note", "visits")
    assert selection.range_text == (
        f'SELECT day, hour, owner, amount, tags, frozen_tags, "Note", visits FROM shop.events {RANGE}'
    )
    assert selection.plain_text == selection.range_text.removesuffix(f" {RANGE}")
    assert selection.count_text == f"SELECT count(*) FROM shop.events {RANGE}"
    assert selection.plain_count_text == "SELECT count(*) FROM shop.events"
    assert (selection.hidden, selection.key) == (0, (0,))
    assert selection.values(TokenRange(3, 7)) == [3, 7]
    assert selection.values() == []


def test_some_columns_have_the_token_behind_them() -> None:
    selection = select(EVENTS, ["Note", "amount"])
    assert selection.range_text == f'SELECT "Note", amount, token(day) FROM shop.events {RANGE}'
    assert (selection.columns, selection.hidden, selection.key) == (("Note", "amount"), 1, ())
    assert select(EVENTS, ["amount", "day"]).key == (1,)
    nothing = select(EVENTS, [])
    assert nothing.range_text == f"SELECT token(day) FROM shop.events {RANGE}"
    assert (nothing.columns, nothing.hidden) == ((), 1)


def test_keys_of_several_columns_and_names_in_quotes() -> None:
    wide = table("Shop.Order", b="partition int", A="partition int", c="clustering int", select="int")
    selection = select(wide, ["c", "A", "b", "select"])
    assert selection.range_text == (
        'SELECT c, "A", b, "select" FROM "Shop"."Order" WHERE token(b, "A") > ? AND token(b, "A") <= ?'
    )
    assert selection.key == (2, 1)
    assert select(wide, ["b"]).hidden == 1, "a part of the key is not enough"


def test_a_condition_a_limit_and_filtering() -> None:
    selection = select(
        EVENTS, ["amount"], where=" amount > ? ", parameters=[10], allow_filtering=True, limit=7
    )
    assert selection.range_text == (
        f"SELECT amount, token(day) FROM shop.events {RANGE} AND amount > ? LIMIT ? ALLOW FILTERING"
    )
    assert selection.plain_text == (
        "SELECT amount, token(day) FROM shop.events WHERE amount > ? LIMIT ? ALLOW FILTERING"
    )
    assert selection.count_text == (
        f"SELECT count(*) FROM shop.events {RANGE} AND amount > ? ALLOW FILTERING"
    )
    assert selection.values(TokenRange(3, 7)) == [3, 7, 10, 7]
    assert selection.values(TokenRange(3, 7), limit=2) == [3, 7, 10, 2]
    assert selection.values() == [10, 7]
    assert selection.count_values(TokenRange(3, 7)) == [3, 7, 10]
    assert "ALLOW FILTERING" not in select(EVENTS, where="amount > ?", parameters=[10]).range_text


def test_times_of_writing_and_to_live() -> None:
    selection = select(
        EVENTS, ["day"], writetime=["amount", "Note", "tags", "frozen_tags"], ttl=["owner", "tags"]
    )
    assert selection.columns == (
        "day",
        "writetime(amount)",
        "writetime(Note)",
        "writetime(tags)",
        "writetime(frozen_tags)",
        "ttl(owner)",
        "ttl(tags)",
    )
    assert selection.plain_text == (
        'SELECT day, WRITETIME(amount) AS "writetime(amount)", WRITETIME("Note") AS "writetime(Note)",'
        ' MAXWRITETIME(tags) AS "writetime(tags)", WRITETIME(frozen_tags) AS "writetime(frozen_tags)",'
        ' TTL(owner) AS "ttl(owner)", TTL(tags) AS "ttl(tags)" FROM shop.events'
    )


@pytest.mark.parametrize("release", ["4.1.3", "3.11.19", "4.0-beta4"])
def test_times_of_collections_need_cassandra_5(release: str) -> None:
    select(EVENTS, writetime=["amount", "frozen_tags"], ttl=["amount"], releases=[release])
    for option in ("writetime", "ttl"):
        with pytest.raises(OptionError, match=rf"{option}=: 'tags' is set<text>, .* 5\.0 on, .* {release}"):
            select(EVENTS, releases=["10.0.1", release], **{option: ["tags"]})  # type: ignore[arg-type]
    select(EVENTS, writetime=["tags"], releases=["5.0.6", "10.0.1"])
    select(EVENTS, writetime=["tags"], releases=["unknown"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"columns": ["amont"]},
            "columns=: unknown column 'amont'; did you mean 'amount'? shop.events has day, hour, owner, amount",
        ),
        ({"columns": ["note"]}, "did you mean 'Note'?"),
        ({"columns": ["zzz"]}, "columns=: unknown column 'zzz'; shop.events has day, hour"),
        ({"columns": "amount"}, "columns= takes a list of names of columns, not 'amount'"),
        ({"columns": 5}, "columns= takes a list of names of columns, not 5"),
        ({"columns": [b"amount"]}, "columns= takes names of columns, not b'amount'"),
        ({"columns": ["day", "hour", "day"]}, "columns= has 'day' more than once"),
        ({"columns": ["count(*)"]}, "unknown column 'count(*)'"),
        ({"writetime": ["day"]}, "writetime=: 'day' is of the primary key, which has no time of its own"),
        ({"ttl": ["hour"]}, "ttl=: 'hour' is of the primary key"),
        ({"writetime": ["visits"]}, "writetime=: 'visits' is a counter"),
        ({"ttl": ["nothing"]}, "ttl=: unknown column 'nothing'"),
        ({"limit": 0}, "limit= is a number of rows from 1 to 2,147,483,647, not 0"),
        ({"limit": 2**31}, "limit= is a number"),
        ({"limit": True}, "limit= is a number"),
        ({"limit": "5"}, "limit= is a number"),
        ({"parameters": [1]}, "parameters= are the values of where=, which is not given"),
        (
            {"where": "amount > ?", "parameters": 5},
            "parameters= takes a list of values, one for each ?, not int",
        ),
        ({"where": "amount > ?", "parameters": {"a": 5}}, "takes a list of values, one for each ?, not dict"),
        ({"where": "amount > ?", "parameters": "5"}, "takes a list of values, one for each ?, not str"),
        ({"where": "amount > ?"}, "where= has 1 markers (?), and parameters= 0 values"),
        ({"where": "amount > 5", "parameters": [1]}, "where= has 0 markers (?), and parameters= 1 values"),
        ({"where": "amount > :least", "parameters": [1]}, "named marker :least; write ? for each value"),
        ({"where": ""}, "where= is empty"),
        ({"where": " \n"}, "where= is empty"),
        ({"where": 5}, "where= is empty"),
        ({"where": "-- amount > 5"}, "where= is empty"),
        ({"where": "amount > 5 -- all"}, "where= has a comment"),
        ({"where": "amount > 5 // all"}, "where= has a comment"),
        ({"where": "amount /* is */ > 5"}, "where= has a comment"),
        ({"where": "amount > 5 /*"}, "where= has a comment"),
        ({"where": "owner = 'x"}, "where= has a quote that is not closed"),
        ({"where": 'owner = "x'}, "where= has a quote that is not closed"),
        ({"where": "owner = $$x"}, "where= has a quote that is not closed"),
        ({"where": "amount > 5 order by hour"}, "where= has ORDER: rows come in no order"),
        ({"where": "amount > 5 LIMIT 3"}, "where= has LIMIT: write limit="),
        ({"where": "amount > 5 allow filtering"}, "where= has ALLOW: write allow_filtering=True"),
        ({"where": "amount > 5 GROUP  BY day"}, "where= has GROUP BY"),
        ({"where": "amount > 5 PER PARTITION LIMIT 1"}, "where= has "),
        ({"where": "amount > 5 OR amount < 2"}, "where= has OR: CQL has no OR"),
        ({"where": "token(day) > 5"}, "where= has TOKEN"),
        ({"where": "WHERE amount > 5"}, "where= has WHERE: it is what follows WHERE"),
        ({"where": "amount > 5;"}, "where= has ;"),
        ({"where": "day = 5"}, "where= restricts 'day', which is the partition key"),
        ({"where": "amount = 1 AND DAY = 5"}, "where= restricts 'day', which is the partition key"),
        ({"where": "amont > 5"}, "where=: unknown column 'amont'; did you mean 'amount'?"),
        ({"where": "amount > 5 AND note = 'a'"}, "where=: unknown column 'note'; did you mean 'Note'?"),
        ({"where": "(hour, day) > (1, 2)"}, "where= restricts 'day'"),
        ({"where": "(hour, minute) > (1, 2)"}, "where=: unknown column 'minute'"),
    ],
)
def test_what_cannot_be_read_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        select(EVENTS, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        "amount > 5",
        "amount IN (1, 2) AND hour >= 3",
        "(hour) > (2)",
        "tags CONTAINS 'a -- no comment; LIMIT 5 OR'",
        '"Note" = $$it\'s$$',
        "\"Note\" = 'it''s'",
        "tags CONTAINS 'x' AND frozen_tags = {'a', 'b'}",
        "amount > -1.5e3 AND amount < (int) 5",
        "amount = blobAsInt(0x01)",
        "hour BETWEEN 2 AND 5",
    ],
)
def test_conditions_that_are_none_of_these_are_left_to_the_nodes(where: str) -> None:
    assert select(EVENTS, where=where).range_text.endswith(f"AND {where}")


def test_a_part_of_the_partition_key_is_a_condition_as_others_are() -> None:
    wide = table(tenant="partition int", day="partition int")
    selection = select(wide, where="tenant = ?", parameters=[5], allow_filtering=True)
    assert selection.range_text.endswith(
        "WHERE token(tenant, day) > ? AND token(tenant, day) <= ? AND tenant = ? ALLOW FILTERING"
    )


def test_a_column_may_have_the_name_of_a_word_that_is_not_reserved() -> None:
    odd = table(id="partition int", group="int", per="int")
    assert select(odd, where="group = 5 AND per = 6").range_text.endswith("AND group = 5 AND per = 6")


# --- Checkpoints --------------------------------------------------------------------------------------------------


def test_the_hash_tells_selections_apart() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"columns": ["amount"]},
        {"columns": ["day", "amount"]},
        {"limit": 5},
        {"limit": 6},
        {"allow_filtering": True},
        {"writetime": ["amount"]},
        {"ttl": ["amount"]},
        {"where": "amount > 5"},
        {"where": "amount > ?", "parameters": [5]},
        {"where": "amount > ?", "parameters": [6]},
        {"where": "amount > ?", "parameters": ["6"]},
        {"where": "tags = ?", "parameters": [{"a", "b"}]},
    ]
    hashes = [select(EVENTS, **each).query_hash for each in options]
    assert len(set(hashes)) == len(options)
    assert hashes == [select(EVENTS, **each).query_hash for each in options]
    assert select(table(id="partition int")).query_hash not in hashes


def test_the_hash_is_the_same_in_another_process() -> None:
    code = (
        "from tests.bulk.tables import EVENTS; from triocql.bulk.selection import select; "
        "print(select(EVENTS, where='tags = ? AND amount = ?', parameters=[{'a', 'b', 'c'}, 5]).query_hash)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


# --- Names --------------------------------------------------------------------------------------------------------

KNOWN = keyspaces(EVENTS, table("Shop.Order", id="partition int"), table("shop.Mixed", id="partition int"))


@pytest.mark.parametrize(
    ("name", "keyspace", "found"),
    [
        ("shop.events", None, "shop.events"),
        ("SHOP.Events", None, "shop.events"),
        (" shop . events ", None, "shop.events"),
        ("events", "shop", "shop.events"),
        ('"Shop"."Order"', None, '"Shop"."Order"'),
        ("Shop.Order", None, '"Shop"."Order"'),
        ("Order", "Shop", '"Shop"."Order"'),
        ("shop.Mixed", None, 'shop."Mixed"'),
    ],
)
def test_tables_are_found_by_their_names(name: str, keyspace: str | None, found: str) -> None:
    assert find_relation(KNOWN, name, keyspace).cql_name == found


@pytest.mark.parametrize(
    ("name", "keyspace", "message"),
    [
        (
            "shop.event",
            None,
            "unknown table 'event'; did you mean 'events'? the keyspace shop has Mixed, events",
        ),
        ("shop.mixed", None, "did you mean 'Mixed'?"),
        ('"SHOP".events', None, "unknown keyspace 'SHOP'; did you mean "),
        ("shpo.events", None, "unknown keyspace 'shpo'; did you mean 'shop'?"),
        ("events", None, "the keyspace of the table 'events' is not named; write it as 'keyspace.table'"),
        ("events", "nowhere", "unknown keyspace 'nowhere'; the cluster has Shop, shop"),
        ("", None, "'' is no name of a table"),
        ("a.b.c", None, "'a.b.c' is no name of a table"),
        (5, None, "5 is no name of a table"),
    ],
)
def test_a_table_that_is_not_there_is_named_with_those_that_are(
    name: str, keyspace: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_relation(KNOWN, name, keyspace)
    assert message in str(caught.value)


def test_a_keyspace_that_was_not_loaded_says_so() -> None:
    from dataclasses import replace

    known = {"shop": replace(KNOWN["shop"], is_loaded=False)}
    with pytest.raises(UsageError, match="were not loaded; schema= of connect"):
        find_relation(known, "shop.events")


# --- Tables from before CQL ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "columns", "expected"),
    [
        (
            (),
            {"k": "partition int", "v": "static int", "column1": "clustering text", "value": "blob"},
            "k, v",
        ),
        (
            ("dense",),
            {
                "k": "partition int",
                "c": "clustering int",
                "value": "'org.apache.cassandra.db.marshal.EmptyType'",
            },
            "k, c",
        ),
        (("dense", "compound"), {"k": "partition int", "c": "clustering int", "v": "int"}, "k, c, v"),
        (("compound",), {"k": "partition int", "v": "int"}, "k, v"),
    ],
)
def test_hidden_columns_of_compact_tables_are_left_out(
    flags: tuple[str, ...], columns: dict[str, str], expected: str
) -> None:
    made = table(**columns)
    compact = Table(made.keyspace, made.name, made.columns, made.id, flags=frozenset(flags))
    assert select(compact).plain_text == f"SELECT {expected} FROM shop.events"
