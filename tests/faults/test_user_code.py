"""What code of the user's raises while the library runs it is for whoever called, and the session goes on (G3 to G5).

Not only an `Exception`: CancelledError of a future, `pytest.skip` and `sys.exit` come out of iterators and codecs, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NoReturn

import pytest

import triocql
from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, Scene
from triocql import Distance, errors
from triocql.testing.server import ErrorCode, Script, Success, error

TEXT = "SELECT k FROM ks.t WHERE k = ?"
WRITE = "INSERT INTO ks.t (k) VALUES (?)"


class Skipped(BaseException):
    """As `pytest.skip` raises it."""


KINDS = pytest.mark.parametrize(
    "kind", [LookupError, asyncio.CancelledError, SystemExit, GeneratorExit, KeyboardInterrupt, Skipped]
)


class Bad(Mapping[str, Any]):
    """Values that raise when they are asked for."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind

    def __getitem__(self, name: str) -> NoReturn:
        raise self._kind("mine")

    def __iter__(self) -> Iterator[str]:
        return iter(["k"])

    def __len__(self) -> int:
        return 1


def source(scene: Scene, kind: type[BaseException]) -> Iterator[Any]:
    """Give some statements, of which the later ones are asked for while answers are read, then raise."""
    for number in range(10):
        yield scene.select, [number]
    raise kind("mine")


async def async_source(scene: Scene, kind: type[BaseException]) -> AsyncIterator[Any]:
    for statement in source(scene, kind):
        yield statement


async def streamed(scene: Scene, statements: Any, **options: Any) -> None:
    async with triocql.stream_concurrent(scene.session, statements, 2, **options) as outcomes:
        async for _ in outcomes:
            pass


async def iterator(scene: Scene, kind: type[BaseException]) -> None:
    await scene.session.execute_concurrent(source(scene, kind), 2, raise_on_first_error=False)


async def async_iterator(scene: Scene, kind: type[BaseException]) -> None:
    await scene.session.execute_concurrent(async_source(scene, kind), 2, raise_on_first_error=False)


async def iterator_of_a_stream(scene: Scene, kind: type[BaseException]) -> None:
    await streamed(scene, source(scene, kind), raise_on_first_error=False)


async def async_iterator_of_a_stream(scene: Scene, kind: type[BaseException]) -> None:
    await streamed(scene, async_source(scene, kind), raise_on_first_error=False)


async def values(scene: Scene, kind: type[BaseException]) -> None:
    """They are bound when the answer to PREPARE is read."""
    await scene.session.execute(TEXT, Bad(kind))


async def values_of_a_batch(scene: Scene, kind: type[BaseException]) -> None:
    batch = triocql.Batch()
    batch.add(WRITE, Bad(kind))
    await scene.session.execute(batch)


async def values_of_many(scene: Scene, kind: type[BaseException]) -> None:
    await scene.session.execute_concurrent([(TEXT, Bad(kind))] * 3)


async def values_of_a_stream(scene: Scene, kind: type[BaseException]) -> None:
    await streamed(scene, [(scene.select, [1]), (TEXT, Bad(kind)), (scene.select, [2])])


async def values_of_pages(scene: Scene, kind: type[BaseException]) -> None:
    async with scene.session.stream(TEXT, Bad(kind)) as rows:
        async for _ in rows:
            pass


async def values_of_a_nursery(scene: Scene, kind: type[BaseException]) -> None:
    async with triocql.open_request_nursery(scene.session) as nursery:
        await nursery.start(TEXT, Bad(kind))


Place = Callable[[Scene, type[BaseException]], Awaitable[None]]
PLACES: list[Place] = [
    iterator,
    async_iterator,
    iterator_of_a_stream,
    async_iterator_of_a_stream,
    values,
    values_of_a_batch,
    values_of_many,
    values_of_a_stream,
    values_of_pages,
    values_of_a_nursery,
]


@EVERYWHERE
@KINDS
def test_whoever_called_gets_it_and_the_session_goes_on(loop: str, kind: type[BaseException]) -> None:
    async def row(scene: Scene) -> None:
        for place in PLACES:
            scene.session._context.executor.preparing._known.clear()
            with pytest.raises(kind, match="mine"):
                await place(scene, kind)
            assert (await scene.session.execute(scene.select, [5])).scalar() == 5, place

    run(loop, row)


@EVERYWHERE
@KINDS
def test_what_is_no_exception_ends_a_call_that_takes_errors_as_outcomes(
    loop: str, kind: type[BaseException]
) -> None:
    async def row(scene: Scene) -> None:
        items = [(scene.select, [1]), (TEXT, Bad(kind)), (scene.select, [2])]
        call = scene.session.execute_concurrent(items, raise_on_first_error=False)
        if issubclass(kind, Exception):
            assert [success for success, _ in await call] == [True, False, True]
        else:
            with pytest.raises(kind, match="mine"):
                await call

    run(loop, row)


class Raising:
    """An authenticator that raises as long as there is something to."""

    def __init__(self) -> None:
        self.kind: type[BaseException] | None = None
        self.asked = 0

    def initial_response(self, server_class: str) -> bytes:
        self.asked += 1
        if self.kind is not None:
            raise self.kind("mine")
        return b"hello"

    def challenge(self, token: bytes | None) -> bytes:
        return b""

    def success(self, token: bytes | None) -> None:
        """Be content."""


@EVERYWHERE
@KINDS
def test_an_authenticator_is_the_callers_in_connect_and_a_failed_dial_later(
    loop: str, kind: type[BaseException]
) -> None:
    auth = Raising()

    async def before(scene: Scene) -> None:
        auth.kind = kind
        expected = errors.AuthenticationError if issubclass(kind, Exception) else kind
        with pytest.raises(expected):
            await scene.connecting().__aenter__()
        auth.kind = None

    async def row(scene: Scene) -> None:
        auth.kind, asked = kind, auth.asked
        scene.only().abort(ConnectionResetError("lost"))
        await scene.until(lambda: auth.asked > asked + 1)
        auth.kind = None
        await scene.whole()

    run(loop, row, before=before, server={"authenticator": Script([Success()])}, auth=auth)


class Policy:
    """A retry policy that raises."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind

    def decide(self, *_: object, **__: object) -> NoReturn:
        raise self._kind("mine")


@KINDS
def test_a_policy_that_raises(kind: type[BaseException]) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(scene.select.text).then(error(ErrorCode.OVERLOADED))
        expected = errors.RequestError if issubclass(kind, Exception) else kind
        with pytest.raises(expected):
            await scene.session.execute(scene.select, [1])

    run("simulated", row, policies=triocql.PolicyOptions(retry=Policy(kind)))


@KINDS
def test_what_is_raised_while_an_answer_is_read(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> NoReturn:
        raise kind("mine")

    async def row(scene: Scene) -> None:
        monkeypatch.setattr(scene.session._context.executor.context.reader, "read", read)
        expected = errors.RequestError if issubclass(kind, Exception) else kind
        with pytest.raises(expected):
            await scene.session.execute("SELECT k FROM ks.t")
        monkeypatch.undo()

    run("simulated", row)


# --- Policies, whatever they are asked about -------------------------------------------------------------------


class Balancing:
    """A policy that raises in one of its methods; where it has no node, it is asked why."""

    def __init__(self, kind: type[BaseException], method: str) -> None:
        self._kind = kind
        self._method = method

    def distance(self, node: Any, snapshot: Any) -> Distance:
        return Distance.LOCAL

    def plan(self, request: Any, snapshot: Any) -> list[Any]:
        self._raise("plan")
        return []

    def explain(self, snapshot: Any) -> str:
        self._raise("explain")
        return "there is none"

    def _raise(self, method: str) -> None:
        if method == self._method:
            raise self._kind("mine")


class Raises:
    """Policies of a method each, which raises."""

    max_queue = 10

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind

    def turn(self, now: float, in_flight: int) -> float:
        raise self._kind("mine")

    def next(self) -> int:
        raise self._kind("mine")


ASKED: dict[str, Callable[[type[BaseException]], triocql.Profile]] = {
    "plan": lambda kind: triocql.Profile(balancing=Balancing(kind, "plan")),
    "explain": lambda kind: triocql.Profile(balancing=Balancing(kind, "explain")),
    "turn": lambda kind: triocql.Profile(throttling=Raises(kind)),
    "next": lambda kind: triocql.Profile(timestamps=Raises(kind)),
}
STARTS: list[Callable[[Scene], Awaitable[Any]]] = [
    lambda scene: scene.session.execute("SELECT k FROM ks.t", profile="odd"),
    lambda scene: scene.session.execute(scene.select, [1], profile="odd"),
    lambda scene: scene.session.execute(scene.select.bind(1), profile="odd"),
    lambda scene: scene.session.execute(TEXT, [1], profile="odd"),
    lambda scene: scene.session.execute(triocql.Batch().add(scene.insert, [1]), profile="odd"),
    lambda scene: scene.session.execute_concurrent([(scene.select, [1])] * 3, profile="odd"),
    lambda scene: streamed(scene, [(scene.select, [1])] * 3, profile="odd"),
]


@KINDS
@pytest.mark.parametrize("method", ASKED)
def test_what_a_policy_raises_ends_the_request_that_it_was_asked_about_and_that_is_counted(
    method: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises for a timestamp keeps the request from being made: the caller gets it as it is."""
    is_told = method != "next" and issubclass(kind, Exception)
    expected = errors.RequestError if is_told else kind

    def counted(scene: Scene) -> int:
        odd = (each for each in scene.session.metrics.requests if each.profile == "odd")
        return sum(durations.count for each in odd for durations in each.outcomes.values())

    async def row(scene: Scene) -> None:
        for start in STARTS:
            before = counted(scene)
            with pytest.raises(expected):
                await start(scene)
            assert (counted(scene) > before) is (method != "next"), start
            assert (await scene.session.execute(scene.select, [5])).scalar() == 5

    run("simulated", row, profiles={"odd": ASKED[method](kind)})
    caplog.clear()  # where no error is the policy's, the log says what it raised
