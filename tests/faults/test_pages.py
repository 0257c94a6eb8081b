"""Results of several pages while nodes die, tables change and the states go astray: S41 to S43."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, VERSIONS, Scene
from triocql import PagingState, Result, Statement, errors
from triocql.testing.server import ErrorCode, ServerNode, close, cut, error, pages, rows

TEXT = "SELECT k FROM ks.t"
READING = Statement(TEXT, idempotent=True)
KS = {"k": "int"}
PAGES = [[[1], [2]], [], [[3]], [[4], [5]]]
HOWS = pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])


async def reading(scene: Scene, prepared: bool) -> Any:
    """Return the statement, of which the nodes have four pages."""
    scene.server.when(TEXT).then(pages(KS, PAGES))
    return await prepare(scene, TEXT) if prepared else READING


async def prepare(scene: Scene, text: str) -> Any:
    """Return it prepared, as one that may be sent again."""
    return (await scene.session.prepare(text)).with_options(idempotent=True)


def server_of(scene: Scene, result: Result[Any]) -> ServerNode:
    """Return the node that has answered."""
    (found,) = [node for node in scene.server.nodes if str(node.address) == str(result.coordinator)]
    return found


def states(scene: Scene) -> list[bytes | None]:
    """Return the paging states that the nodes were asked with."""
    return [entry.request.paging_state for entry in scene.server.log if entry.text == TEXT]


# --- S41 -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
@HOWS
def test_s41_a_node_dies_between_pages(loop: str, prepared: bool) -> None:
    """The others go on where it stopped: each row comes once, each page is asked for once."""

    async def row(scene: Scene) -> None:
        result = await scene.session.execute(await reading(scene, prepared))
        server_of(scene, result).stop()
        assert [each.k for each in await result.all()] == [1, 2, 3, 4, 5]
        assert states(scene) == [None, b"1", b"2", b"3"]

    run(loop, row, nodes=3)


@EVERYWHERE
@HOWS
@pytest.mark.parametrize("keep", [0, 12])
def test_s41_a_node_dies_during_a_page(loop: str, prepared: bool, keep: int) -> None:
    """Only that page is asked for once more; of what came of it no row is given."""

    async def row(scene: Scene) -> None:
        statement = await reading(scene, prepared)
        rule = scene.server.when(TEXT, times=1, match=lambda request: request.paging_state == b"2")
        rule.then(pages(KS, PAGES), cut(keep), close())
        result = await scene.session.execute(statement)
        assert [each.k for each in await result.all()] == [1, 2, 3, 4, 5]
        assert states(scene) == [None, b"1", b"2", b"2", b"3"]

    run(loop, row, nodes=3)


@EVERYWHERE
def test_s41_a_page_that_fails_can_be_asked_for_again(loop: str) -> None:
    """What was read before stays read: the state of the failed page goes on from there."""

    async def row(scene: Scene) -> None:
        statement = await reading(scene, True)
        rule = scene.server.when(TEXT, times=1, match=lambda request: request.paging_state == b"2")
        rule.then(error(ErrorCode.INVALID, "no"))
        first = await scene.session.execute(statement)
        second = await scene.session.execute(statement, paging_state=first.paging_state)
        with pytest.raises(errors.InvalidQuery, match="no"):
            await scene.session.execute(statement, paging_state=second.paging_state)
        read = [each.k for each in (*first.rows, *second.rows)]
        result = await scene.session.execute(statement, paging_state=second.paging_state)
        assert [*read, *(each.k for each in await result.all())] == [1, 2, 3, 4, 5]
        assert states(scene) == [None, b"1", b"2", b"2", b"3"]

    run(loop, row, nodes=3)


@EVERYWHERE
@HOWS
def test_s41_the_same_paging_state_forever(loop: str, prepared: bool) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(TEXT).then(rows(KS, [[1]], paging_state=b"7"))
        statement = await prepare(scene, TEXT) if prepared else READING
        result = await scene.session.execute(statement)
        with pytest.raises(errors.PagingLoop, match="same paging state"):
            await result.all()
        assert states(scene) == [None, b"7"]

    run(loop, row, nodes=3)


# --- S42 -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
@HOWS
def test_s42_a_state_of_another_statement_or_a_damaged_one_is_not_sent(loop: str, prepared: bool) -> None:
    async def row(scene: Scene) -> None:
        state = (await scene.session.execute(await reading(scene, prepared))).paging_state
        assert state is not None
        count = len(scene.server.log.everything)
        for other, wrong in ((scene.select.bind(1), state), (TEXT, bytes(state)[:-1] + b"?"), (TEXT, b"1")):
            with pytest.raises(errors.PagingStateMismatch):
                await scene.session.execute(other, paging_state=wrong)
        assert [entry for entry in scene.server.log.everything[count:] if not entry.system] == []

    run(loop, row, nodes=3)


@EVERYWHERE
def test_s42_a_state_that_the_nodes_refuse(loop: str) -> None:
    """Their error is raised as it is, after one request: what is wrong here is wrong everywhere."""

    async def row(scene: Scene) -> None:
        state = (await scene.session.execute(await reading(scene, False))).paging_state
        assert state is not None
        scene.server.when(TEXT).then(error(ErrorCode.PROTOCOL_ERROR, "Invalid value for the paging state"))
        with pytest.raises(errors.Error, match="Invalid value for the paging state"):
            await scene.session.execute(TEXT, paging_state=PagingState(state))
        assert states(scene) == [None, b"1"]

    run(loop, row, nodes=3)


# --- S43 -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
@VERSIONS
def test_s43_columns_that_change_between_pages_have_their_own_values(loop: str, version: int) -> None:
    """Whichever node answers, with or without what it says of the columns: no value is taken for another column's."""

    async def row(scene: Scene) -> None:
        text = "SELECT * FROM ks.t"
        scene.server.when(text).then(pages({"k": "int", "v": "int"}, [[[1, 10]], [[2, 20]], [[3, 30]]]))
        statement = await prepare(scene, text)
        result = await scene.session.execute(statement)
        wider = {"a": "int", "k": "int", "v": "int"}
        scene.server.when(text).then(pages(wider, [[[0, 1, 10]], [[0, 2, 20]], [[0, 3, 30]]]))
        assert [(each.k, each.v) for each in await result.all()] == [(1, 10), (2, 20), (3, 30)]
        again = await scene.session.execute(statement)
        assert [each._asdict() for each in await again.all()] == [
            {"a": 0, "k": number, "v": 10 * number} for number in (1, 2, 3)
        ]

    run(loop, row, nodes=3, server={"versions": (version,)})


@EVERYWHERE
@VERSIONS
def test_s43_columns_that_change_node_after_node(loop: str, version: int) -> None:
    """While a change of the schema spreads, each node answers with the columns that it knows."""

    async def row(scene: Scene) -> None:
        text = "SELECT * FROM ks.t WHERE k = 1"
        for node in scene.server.nodes:
            scene.server.when(text, node=node.index).then(rows({"k": "int", "v": "int"}, [[1, 10]]))
        statement = await prepare(scene, text)
        for node in scene.server.nodes:
            for _ in range(6):
                assert (await scene.session.execute(statement))[0]._asdict().items() >= {
                    "k": 1,
                    "v": 10,
                }.items()
            wider = {"a": "int", "k": "int", "v": "int"}
            scene.server.when(text, node=node.index).then(rows(wider, [[0, 1, 10]]))
        result = await scene.session.execute(statement)
        assert result[0]._asdict() == {"a": 0, "k": 1, "v": 10}

    run(loop, row, nodes=3, server={"versions": (version,)})
