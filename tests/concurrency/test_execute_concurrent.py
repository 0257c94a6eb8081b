"""`execute_concurrent` and its kin: order, the bound, laziness, errors, and what they do to the input."""

from __future__ import annotations

import contextvars
import gc
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest

import triocql
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from triocql import Batch, Statement, errors
from triocql.protocol.constants import Opcode
from triocql.session.session import Session

FORMS = ["list", "generator", "async"]


def given(form: str, items: list[Any], log: list[Any] | None = None) -> Any:
    """Return items as a list, a generator or an async generator; `log` learns of what is taken."""
    taken = [] if log is None else log

    def generator() -> Iterator[Any]:
        for item in items:
            taken.append(item)
            yield item

    async def generator_async() -> AsyncIterator[Any]:
        for item in items:
            taken.append(item)
            yield item

    return {"list": lambda: items, "generator": generator, "async": generator_async}[form]()


class Gauge:
    """Holds a node's EXECUTEs; knows how many of them wait and how many waited at most."""

    def __init__(self, world: World) -> None:
        self.most = 0
        self.waiting: list[Asked] = []
        world.node.script = self._take

    def _take(self, asked: Asked) -> bool:
        if asked.opcode != Opcode.EXECUTE:
            return False
        self.waiting.append(asked)
        self.most = max(self.most, len(self.waiting))
        return True

    def answer(self, index: int = 0) -> None:
        self.waiting.pop(index).respond()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("concurrency", [1, 7, 1000])
def test_outcomes_in_the_order_of_the_input(form: str, concurrency: int) -> None:
    world = World(max_in_flight=64)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        gauge = Gauge(world)
        items = given(form, [(select, [number]) for number in range(200)])
        task = world.start(triocql.execute_concurrent, session, items, concurrency)
        while not task.done:
            gauge.answer(world.reactor.random.randrange(len(gauge.waiting)))
            world.settle()
        assert [(success, result.scalar()) for success, result in task.result()] == [
            (True, n) for n in range(200)
        ]
        assert gauge.most == min(concurrency, 64)


@pytest.mark.parametrize("form", FORMS)
def test_outcomes_are_only_the_callers(form: str) -> None:
    world = World()

    async def references(session: Session, items: Any) -> int:
        (outcome,) = await triocql.execute_concurrent(session, items)
        return sys.getrefcount(outcome)

    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        gc.disable()
        try:
            assert (
                world.call(references, session, given(form, [(select, [1])])) == 2
            )  # ours, and the argument
        finally:
            gc.enable()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("concurrency", [1, 5, 50])
def test_exactly_that_many_are_in_flight_and_taken(form: str, concurrency: int) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)
        taken: list[Any] = []
        items = given(form, [[number] for number in range(200)], taken)
        task = world.start(triocql.execute_concurrent_with_args, session, insert, items, concurrency)
        for ended in range(200):
            under_way = min(concurrency, 200 - ended)
            assert len(gauge.waiting) == under_way
            if form != "list":
                assert len(taken) == min(200, ended + concurrency)
            gauge.answer()
            world.settle()
        assert len(task.result()) == 200
        assert gauge.most == concurrency


@pytest.mark.parametrize("form", FORMS)
def test_empty_input(form: str) -> None:
    world = World()
    with world.session() as session:
        assert world.call(triocql.execute_concurrent, session, given(form, [])) == []
        assert world.call(triocql.execute_concurrent_with_args, session, "INSERT", given(form, [])) == []
        assert world.call(session.execute_concurrent, given(form, [])) == []
        assert world.call(session.execute_concurrent_with_args, "INSERT", given(form, [])) == []
        assert world.node.asked == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("concurrency", [0, -1, 1.5, None, True, "7", 10**30])
def test_concurrency_is_checked_before_the_input_is_touched(form: str, concurrency: Any) -> None:
    world = World()
    with world.session() as session:
        taken: list[Any] = []
        for fn in (triocql.execute_concurrent, session.execute_concurrent):
            arguments: Any = (session,) if fn is triocql.execute_concurrent else ()
            with pytest.raises(ValueError, match="concurrency is"):
                world.call(fn, *arguments, given(form, ["INSERT"], taken), concurrency)
        with pytest.raises(ValueError, match="concurrency is"):
            world.call(
                triocql.execute_concurrent_with_args, session, "x", given(form, [[1]], taken), concurrency
            )
        with pytest.raises(ValueError, match="concurrency is"):
            triocql.stream_concurrent(session, given(form, ["INSERT"], taken), concurrency)
        with pytest.raises(ValueError, match="concurrency is"):
            triocql.open_request_nursery(session, concurrency)
        assert taken == []


@pytest.mark.parametrize("form", FORMS)
def test_all_kinds_of_statements_mixed(form: str) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        items = [
            "SELECT a",
            ("SELECT b", None),
            (SELECT, [1]),
            (select, [2]),
            (select, {"p0": 3}),
            select.bind(4),
            (select.with_options(timeout=3.0), [5]),
            Statement("SELECT c", timeout=2.0),
            (Statement(SELECT), [6]),
            Batch().add(INSERT, [7]),
            "INSERT",
        ]
        results = world.call(triocql.execute_concurrent, session, given(form, items))
        values = [result.scalar() for success, result in results if success]
        assert values == ["SELECT a", "SELECT b", 1, 2, 3, 4, 5, "SELECT c", 6, None, None]


@pytest.mark.parametrize("form", FORMS)
def test_after_the_first_error_nothing_further_is_sent(form: str) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)
        taken: list[Any] = []
        items = given(form, [[number] for number in range(100)], taken)
        task = world.start(triocql.execute_concurrent_with_args, session, insert, items, 10)
        gauge.waiting[3].error(0x2200, "no such thing")
        world.settle()
        with pytest.raises(errors.InvalidQuery, match="no such thing"):
            task.result()
        before = len(taken)
        assert session.stats().orphans == 9
        assert session.stats().in_flight == 0
        while gauge.waiting:
            asked = gauge.waiting.pop()
            if asked.token != 3:
                asked.respond()
        world.reactor.advance(60)
        assert len(world.node.tokens()) == 10
        assert len(taken) == before
        assert session.stats() == (1, 0, 0, 0)


def test_unsent_requests_of_a_call_that_failed_are_never_sent() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        items = [(insert, [1]), (insert, [2]), (7, None), (insert, [4])]
        with pytest.raises(errors.UsageError):
            world.call(triocql.execute_concurrent, session, items)
        world.reactor.advance(60)
        assert world.node.tokens() == []


@pytest.mark.parametrize("form", FORMS)
def test_errors_as_outcomes(form: str) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)

        def script(asked: Asked) -> bool:
            odd = asked.opcode == Opcode.EXECUTE and asked.token % 2 == 1
            return odd and asked.error(0x2200, f"odd {asked.token}")

        world.node.script = script
        items: list[Any] = [(insert, [number]) for number in range(50)]
        items += [(insert, ["wrong"]), 7, (insert, [1, 2])]
        results = world.call(
            triocql.execute_concurrent, session, given(form, items), 10, raise_on_first_error=False
        )
        assert [success for success, _ in results] == [number % 2 == 0 for number in range(50)] + [False] * 3
        assert [str(result) for success, result in results[1:50:2]] == [f"odd {n}" for n in range(1, 50, 2)]
        kinds = [type(result.result_or_exc) for result in results[50:]]
        assert kinds == [errors.BindTypeError, errors.UsageError, errors.BindValueError]
        assert results[0].success
        assert isinstance(results[1].result_or_exc, errors.InvalidQuery)


@pytest.mark.parametrize("form", FORMS)
def test_whole_timeout(form: str) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)
        items = given(form, [[number] for number in range(100)])
        task = world.start(
            triocql.execute_concurrent_with_args,
            session,
            insert,
            items,
            10,
            raise_on_first_error=False,
            timeout=3.0,
        )
        for _ in range(7):
            world.reactor.advance(0.42)
            gauge.answer()
            world.settle()
        assert not task.done
        world.reactor.advance(0.1)
        with pytest.raises(
            errors.RequestTimeout, match="not all statements were executed within 3 s"
        ) as info:
            task.result()
        assert info.value.timeout == 3.0
        assert info.value.maybe_executed
        sent = len(world.node.tokens())
        while gauge.waiting:
            gauge.answer()
        world.reactor.advance(60)
        assert len(world.node.tokens()) == sent == 17


@pytest.mark.parametrize("timeout", [0, -1, math.nan, True, "5", 10**400])
def test_timeout_is_checked_before_the_input_is_touched(timeout: Any) -> None:
    world = World()
    with world.session() as session:
        taken: list[Any] = []
        items = given("generator", ["INSERT"], taken)
        with pytest.raises(errors.OptionError, match="timeout is"):
            world.call(session.execute_concurrent, items, timeout=timeout)
        with pytest.raises(errors.OptionError, match="timeout is"):
            world.call(session.execute_concurrent_with_args, "INSERT", items, timeout=timeout)
        with pytest.raises(errors.OptionError, match="timeout is"):
            session.stream_concurrent(items, timeout=timeout)
        assert taken == []


@pytest.mark.parametrize("form", FORMS)
def test_a_timeout_without_end(form: str) -> None:
    world = World()
    with world.session() as session:
        items = given(form, ["INSERT"] * 5)
        assert len(world.call(session.execute_concurrent, items, timeout=math.inf)) == 5


class Write(NamedTuple):
    """A pair with names."""

    statement: Any
    values: list[int]


@pytest.mark.parametrize("form", FORMS)
def test_pairs_are_tuples_of_any_kind_or_lists(form: str) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        items = [(select, [1]), [select, [2]], Write(select, [3]), select.bind(4), [SELECT, {"p0": 5}]]
        results = world.call(session.execute_concurrent, given(form, items))
        assert [result.scalar() for _, result in results] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("item", [(), ("INSERT",), ["INSERT", [1], {}], [["INSERT"]]])
def test_what_is_no_pair_is_named_with_its_place(form: str, item: Any) -> None:
    world = World()
    with world.session() as session:
        items = ["INSERT", item]
        with pytest.raises(errors.UsageError, match=f"a {type(item).__name__} of {len(item)}.*pairs") as info:
            world.call(session.execute_concurrent, given(form, items))
        assert info.value.index == 1
        assert info.value.__notes__ == ["statement 1 of the call, counted from 0"]
        results = world.call(session.execute_concurrent, given(form, items), raise_on_first_error=False)
        assert [success for success, _ in results] == [True, False]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", ["execute", "stream"])
def test_an_error_says_which_statement_it_is_of(form: str, call: str) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.script = lambda asked: (
            asked.opcode == Opcode.EXECUTE and asked.token == 5 and asked.error(0x2200)
        )

        async def execute(count: int) -> None:
            items = given(form, [*((insert, [number]) for number in range(count)), (insert, ["text"])])
            if call == "execute":
                await session.execute_concurrent(items, 3)
            else:
                async with session.stream_concurrent(items, 3) as results:
                    async for _ in results:
                        pass

        assert errors.Error.index is None
        with pytest.raises(errors.InvalidQuery) as refused:
            world.call(execute, 20)
        assert refused.value.index == 5
        with pytest.raises(errors.BindTypeError) as wrong:
            world.call(execute, 3)
        assert wrong.value.index == 3


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_given_as_the_call_says(form: str) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        items = given(form, [(select, [number]) for number in range(3)])
        results = world.call(session.execute_concurrent, items, row_type=dict)
        assert [result.one() for _, result in results] == [{"v": number} for number in range(3)]
        values = given(form, [[number] for number in range(3)])
        results = world.call(session.execute_concurrent_with_args, select, values, row_type=tuple)
        assert [result.one() for _, result in results] == [(0,), (1,), (2,)]

        async def streamed() -> list[Any]:
            items = given(form, [(select, [number]) for number in range(3)])
            async with session.stream_concurrent(items, row_type=dict) as stream:
                return [result.one() async for _, result in stream]

        assert world.call(streamed) == [{"v": number} for number in range(3)]
        with pytest.raises(errors.OptionError, match="row_type"):
            world.call(session.execute_concurrent, [], row_type=set)


def test_timeout_that_does_not_pass_leaves_no_timer() -> None:
    world = World()
    with world.session() as session:
        world.call(triocql.execute_concurrent, session, ["INSERT"] * 10, timeout=1000.0)
        assert world.reactor._timers.next_due() < world.reactor.now() + 100


def test_each_request_has_its_own_timeout_besides() -> None:
    world = World(timeout=2.0)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)
        task = world.start(
            triocql.execute_concurrent_with_args,
            session,
            insert,
            [[number] for number in range(4)],
            2,
            raise_on_first_error=False,
        )
        world.reactor.advance(1)
        gauge.answer()
        world.settle()
        world.reactor.advance(1.1)
        gauge.answer(1)
        world.settle()
        gauge.answer(1)
        world.settle()
        assert [success for success, _ in task.result()] == [True, False, True, True]
        gauge.answer()


@pytest.mark.parametrize("form", ["generator", "async"])
@pytest.mark.parametrize("after", [0, 3, 20])
def test_input_that_raises(form: str, after: int) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)

        def rows() -> Iterator[Any]:
            yield from ([number] for number in range(after))
            raise LookupError("input")

        async def rows_async() -> AsyncIterator[Any]:
            for row in rows():
                yield row

        items: Any = rows() if form == "generator" else rows_async()
        task = world.start(
            triocql.execute_concurrent_with_args, session, insert, items, 10, raise_on_first_error=False
        )
        while not task.done:
            gauge.answer()
            world.settle()
        with pytest.raises(LookupError, match="input"):
            task.result()
        while gauge.waiting:
            gauge.answer()
        world.reactor.advance(20)
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("items", [None, 7])
def test_input_that_is_none(items: Any) -> None:
    world = World()
    with world.session() as session, pytest.raises(TypeError):
        world.call(triocql.execute_concurrent, session, items)


def test_input_that_uses_the_engine_itself() -> None:
    world = World(max_in_flight=4)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        inner: list[Any] = []

        class Note:
            def resolve(self, value: Any) -> None:
                inner.append(value)

            def reject(self, error: BaseException) -> None:
                inner.append(error)

        def rows() -> Iterator[Any]:
            for number in range(100):
                session._context.executor.start(Note(), insert, [1000 + number])
                yield [number]

        results = world.call(triocql.execute_concurrent_with_args, session, insert, rows(), 5)
        world.settle()
        assert len(results) == len(inner) == 100
        assert not any(isinstance(each, Exception) for each in inner)
        assert len(world.node.tokens()) == 200


def test_calls_within_calls() -> None:
    world = World(max_in_flight=8)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)

        async def keys() -> AsyncIterator[list[int]]:
            for start in range(0, 50, 10):
                rows = [[number] for number in range(start, start + 10)]
                inner = await triocql.execute_concurrent_with_args(session, select, rows, 3)
                for _, result in inner:
                    yield [result.scalar() * 2]

        results = world.call(triocql.execute_concurrent_with_args, session, select, keys(), 4)
        assert [result.scalar() for _, result in results] == [2 * number for number in range(50)]


variable = contextvars.ContextVar[str]("variable", default="nobody's")


@pytest.mark.parametrize("form", ["generator", "async"])
@pytest.mark.parametrize("kind", ["execute", "stream"])
def test_input_sees_the_context_of_the_caller(form: str, kind: str) -> None:
    world = World()
    with world.session() as session:
        seen: list[str] = []

        def statements() -> Iterator[str]:
            for _ in range(30):
                seen.append(variable.get())
                yield "INSERT"

        async def statements_async() -> AsyncIterator[str]:
            for statement in statements():
                yield statement

        async def caller() -> None:
            variable.set("the caller's")
            items: Any = statements() if form == "generator" else statements_async()
            if kind == "execute":
                await triocql.execute_concurrent(session, items, 4)
            else:
                async with triocql.stream_concurrent(session, items, 4) as results:
                    async for _ in results:
                        pass

        world.call(caller)
        assert seen == ["the caller's"] * 30


def test_nodes_all_down() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        world.listeners[0].refuse = True
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(100)
        results = world.call(
            triocql.execute_concurrent, session, ["INSERT"] * 5000, 10, raise_on_first_error=False
        )
        assert len(results) == 5000
        assert {type(result.result_or_exc) for result in results} == {errors.NoNodeAvailable}
        with pytest.raises(errors.NoNodeAvailable):
            world.call(triocql.execute_concurrent, session, ["INSERT"] * 5000, 10)


def test_more_than_the_queue_holds_waits_instead_of_failing() -> None:
    world = World(max_in_flight=4, max_queue=3)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        rows = [[number] for number in range(100)]
        results = world.call(triocql.execute_concurrent_with_args, session, insert, rows, 50)
        assert all(success for success, _ in results)
        assert sorted(world.node.tokens()) == list(range(100))


def test_session_that_is_closed_meanwhile() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        Gauge(world)
        calls = [
            world.start(triocql.execute_concurrent_with_args, session, insert, [[1], [2], [3]], 2),
            world.start(
                triocql.execute_concurrent_with_args,
                session,
                insert,
                [[4], [5], [6]],
                2,
                raise_on_first_error=False,
            ),
        ]
        world.call(session.aclose)
        world.settle()
        with pytest.raises(errors.SessionClosed):
            calls[0].result()
        assert {type(result.result_or_exc) for result in calls[1].result()} == {errors.SessionClosed}


def stopping(world: World, session: Session, call: Callable[..., Any]) -> None:
    """Cancel a call half-way: nothing further is sent, and the session goes on."""
    gauge = Gauge(world)
    task = world.start(call)
    gauge.answer()
    world.settle()
    task.cancel()
    world.settle()
    assert task.cancelled
    sent = len(world.node.tokens())
    assert session.stats().orphans == len(gauge.waiting) == 10
    while gauge.waiting:
        gauge.answer()
    world.settle()
    world.node.script = None
    assert len(world.node.tokens()) == sent == 11
    assert session.stats() == (1, 0, 0, 0)
    assert world.call(session.execute, SELECT, [5]).scalar() == 5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("level", [False, True])
def test_cancelled_half_way(form: str, level: bool) -> None:
    world = World(level=level)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        items = given(form, [[number] for number in range(100)])
        stopping(world, session, lambda: triocql.execute_concurrent_with_args(session, insert, items, 10))


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_very_many_with_some_errors_in_flat_memory(count: int) -> None:
    world = World(max_in_flight=256)
    world.node.remember = False
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)

        def script(asked: Asked) -> bool:
            bad = asked.opcode == Opcode.EXECUTE and asked.token % 100 == 7
            return bad and asked.error(0x2200, "seven")

        world.node.script = script
        failed = order = 0
        blocks: list[int] = []

        async def consume() -> None:
            nonlocal failed, order
            rows = ((insert, [number]) for number in range(count))
            stream = triocql.stream_concurrent(session, rows, 200, raise_on_first_error=False)
            async with stream as results:
                async for success, _ in results:
                    assert success is (order % 100 != 7)
                    failed += not success
                    order += 1
                    if order % (count // 10) == 0:
                        gc.collect()
                        blocks.append(sys.getallocatedblocks())

        world.call(consume)
        assert (order, failed) == (count, count // 100)
        assert max(blocks[2:]) - min(blocks[2:]) < 20_000
