"""Statements in which a column with a codec of its own goes by another name, or another column by its name."""

from __future__ import annotations

import pytest

from tests.testserver.world import World
from triocql.codecs.hiding import refuse_hidden
from triocql.errors import UsageError
from triocql.session.session import Session
from triocql.testing.server import rows, void

HIDDEN = [
    ("UPDATE t SET cost = :price WHERE id = ?", "cost", "price"),
    ("UPDATE t SET other=:cost WHERE id = :id", "other", "cost"),
    ('UPDATE t SET "Other" = :cost', "Other", "cost"),
    ("UPDATE t SET x = 1 WHERE id = 1 IF Cost >= : Price", "cost", "price"),
    ("SELECT * FROM t WHERE cost < :high", "cost", "high"),
    ("INSERT INTO ks.t (id, cost) VALUES (:id, :price)", "cost", "price"),
    ("INSERT INTO t (id, other, x) VALUES (f(:a, [1, 2]), :cost, ?) USING TTL :ttl", "other", "cost"),
    (
        "BEGIN BATCH INSERT INTO t (id) VALUES (:id); INSERT INTO t (id, cost) VALUES (1, :c); APPLY BATCH",
        "cost",
        "c",
    ),
    ("select cost as c from t", "cost", "c"),
    ("SELECT id, other AS cost FROM t", "other", "cost"),
    ('SELECT /* all */ DISTINCT cost AS "C" FROM t', "cost", "C"),
]


@pytest.mark.parametrize(("text", "column", "name"), HIDDEN)
def test_what_is_hidden_is_refused(text: str, column: str, name: str) -> None:
    with pytest.raises(
        UsageError, match=f"the column {column!r} goes by the name {name!r}.* 'cost' has a codec"
    ):
        refuse_hidden(text, {"cost"})


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE t SET cost = ?, other = :price WHERE id = :key",
        "UPDATE t SET cost = :cost, other = :Other WHERE id = ?",
        'UPDATE t SET cost = :"cost"',
        "INSERT INTO t (id, cost, m) VALUES (:key, :cost, {'a': :b, 'cost': :c})",
        "INSERT INTO t (id, cost) VALUES (:key, f(:price))",
        "SELECT cost, other AS o, max(cost) AS c, cast(cost AS text) FROM t WHERE id = :key LIMIT :n",
        "SELECT cost FROM t WHERE m[:cost] = :x AND token(id) > :y AND p.cost = :z",
        "SELECT 'cost = :price' FROM t -- cost = :price\nWHERE /* cost AS c */ id = $$cost = :price$$",
        "INSERT INTO t JSON :cost",
        "",
        "VALUES",
        "(",
        "VALUES (",
        ") VALUES",
        ":",
        '"',
        "AS AS AS AS",
        "cost =",
        "SELECT cost AS",
    ],
)
def test_what_is_not_hidden_is_not(text: str) -> None:
    refuse_hidden(text, {"cost"})


class Cents:
    def encode(self, value: float) -> int:
        return int(value * 100)

    def decode(self, value: int) -> float:
        return value / 100


SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.towers (id int PRIMARY KEY, cost bigint)"
ALIASED = "SELECT cost AS c FROM shop.towers"
UPDATE = "UPDATE shop.towers SET cost = {} WHERE id = {}"


@pytest.mark.parametrize("version", [4, 5])
def test_a_session_refuses_it_before_anything_is_executed(version: int) -> None:
    world = World(versions=(version,), schema=SCHEMA)
    for marker, key in ((":price", ":id"), (":cost", ":id"), (":price", "?")):
        world.server.when(UPDATE.format(marker, key)).then(void())

    world.server.when(ALIASED).then(rows({"c": "bigint"}, [[150]]))
    world.server.when(ALIASED.replace(" AS c", "")).then(rows({"cost": "bigint"}, [[150]]))

    async def scenario(session: Session) -> None:
        session.codecs.register_column("shop", "other", "cost", Cents())
        await session.execute(UPDATE.format(":price", ":id"), {"price": 150, "id": 1})
        session.codecs.register_column("shop", "towers", "cost", Cents())
        with pytest.raises(UsageError, match="goes by the name 'price'"):
            await session.prepare(UPDATE.format(":price", "?"))
        await session.execute(UPDATE.format(":cost", ":id"), {"cost": 1.5, "id": 1})
        with pytest.raises(UsageError, match="goes by the name 'c'"):
            await session.execute(ALIASED)
        assert (await session.execute(ALIASED.replace(" AS c", ""))).one() == (1.5,)

    world.run(scenario)
