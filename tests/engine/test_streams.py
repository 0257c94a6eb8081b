"""Stream ids: each taken once, given back by its own answer only."""

from __future__ import annotations

import pytest

from tests.engine import wire
from tests.engine.world import INSERT, SELECT, World, free_ids, only
from triocql import errors
from triocql.engine.connections.connection import State
from triocql.protocol.frames import Frame
from triocql.protocol.segments import encode_segments


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_version_is_spoken(version: int) -> None:
    world = World(version)
    with world.session() as session:
        assert session.protocol_version == version
        assert world.call(session.execute, SELECT, [7]).scalar() == 7
        assert world.call(session.execute, "SELECT now").scalar() == "SELECT now"
        assert len(world.call(session.execute, INSERT, [7])) == 0


@pytest.mark.parametrize("seed", range(5))
def test_answers_in_any_order_reach_their_requests(seed: int) -> None:
    world = World(seed=seed, max_in_flight=64)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        tasks = [world.start(session.execute, select, [number]) for number in range(64)]
        world.reactor.random.shuffle(world.node.held)
        world.node.release()
        world.settle()
        assert [task.result().scalar() for task in tasks] == list(range(64))


def test_ids_are_kept_as_they_are_needed() -> None:
    world = World(max_in_flight=20_000)
    with world.session() as session:
        insert, streams = world.call(session.prepare, INSERT), only(session).streams
        assert len(streams.free) + len(streams.used) == 256
        assert sorted(free_ids(only(session))) == list(range(20_000))
        world.node.holding = True
        tasks = [world.start(session.execute, insert, [number]) for number in range(600)]
        assert sorted(only(session).in_flight) == list(range(600))
        assert len(streams.free) + len(streams.used) == 3 * 256 - 600
        world.node.release()
        world.settle()
        assert all(task.done for task in tasks)
        assert sorted(free_ids(only(session))) == list(range(20_000))


def test_abandoned_id_stays_taken_until_its_answer() -> None:
    world = World(max_in_flight=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        task = world.start(session.execute, insert, [1])
        task.cancel()
        world.settle()
        assert task.cancelled
        assert (len(free_ids(only(session))), len(only(session).orphans)) == (1, 1)
        assert session.stats().orphans == 1
        world.node.release()
        world.settle()
        assert (len(free_ids(only(session))), len(only(session).orphans)) == (2, 0)


def test_late_answer_goes_to_nobody() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        first = world.start(session.execute, select, [1], timeout=1.0)
        second = world.start(session.execute, select, [2])
        world.reactor.advance(1.1)
        with pytest.raises(errors.RequestTimeout):
            first.result()
        assert not second.done
        world.node.release()
        world.settle()
        assert second.result().scalar() == 2


def test_what_was_not_written_is_not_sent_after_it_was_abandoned() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        tasks = [world.reactor.start(session.execute, insert, [number]) for number in range(3)]
        tasks[1].cancel()
        world.settle()
        assert sorted(world.node.tokens()) == [0, 2]


def test_abandoned_before_it_was_written_leaves_no_orphan() -> None:
    world = World(max_in_flight=4)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        execution = session._context.executor.start(Ignored(), insert, [1])
        assert len(free_ids(only(session))) == 3
        execution.abandon()
        world.settle()
        assert world.node.tokens() == []
        assert (len(free_ids(only(session))), len(only(session).orphans)) == (4, 0)


def test_queued_request_gets_the_id_of_one_that_was_cancelled_before_it_was_written() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        first = session._context.executor.start(Ignored(), insert, [1])
        second = session._context.executor.start(Ignored(), insert, [2])
        assert session.stats()[1:3] == (1, 1)
        first.abandon()
        world.settle()
        assert world.node.tokens() == [2]
        assert second.is_done


def test_queued_request_gets_the_id_of_one_that_timed_out_before_it_was_written() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        server = world.listeners[0].accepted[0]
        server.pause_reading()
        blob = world.start(session.execute, "SELECT " + "x" * 500_000, timeout=1.0)
        world.settle()
        assert not blob.done
        waiting = world.start(session.execute, insert, [2], timeout=1.5)
        world.reactor.advance(1.2)
        with pytest.raises(errors.RequestTimeout):
            blob.result()
        server.resume_reading()
        world.settle()
        assert waiting.done


@pytest.mark.parametrize("stream", [5, 2047, -1, -2, 32767])
def test_answer_that_nobody_asked_for_ends_the_connection(stream: int) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        task = world.start(session.execute, insert, [1])
        world.node.links[0].send(stream, wire.RESULT, wire.void())
        world.settle()
        with pytest.raises(
            errors.ConnectionLost, match=f"on stream {stream}, where no request is waiting"
        ) as info:
            task.result()
        assert info.value.maybe_executed
        assert isinstance(info.value.__cause__, errors.ProtocolError)
        world.node.release()
        world.reactor.advance(2)
        assert world.call(session.execute, SELECT, [3]).scalar() == 3


def test_event_on_a_connection_that_did_not_ask_for_any_is_ignored() -> None:
    world = World()
    with world.session() as session:
        world.node.links[0].send(-1, wire.EVENT, wire.string("SOMETHING"))
        world.settle()
        assert world.call(session.execute, SELECT, [3]).scalar() == 3
        assert len(world.node.links) == 1


def test_connection_that_sends_events_without_end_is_ended() -> None:
    world = World()
    with world.session() as session:
        connection = only(session)
        for _ in range(1000):
            world.node.links[0].send(-1, wire.EVENT, b"")
        world.settle()
        assert world.call(session.execute, SELECT, [3]).scalar() == 3
        assert len(world.node.links) == 1
        world.node.links[0].send(-1, wire.EVENT, b"")
        world.settle()
        assert connection.state is State.CLOSED
        assert "1,001 events that it was not asked for" in str(connection.error)
        world.reactor.advance(2)
        assert world.call(session.execute, SELECT, [3]).scalar() == 3


def test_bomb_of_events_is_opened_no_further_than_needed() -> None:
    world = World(5)
    with world.session() as session:
        connection = only(session)
        events: list[Frame] = [(-1, 0, wire.EVENT, b"")] * 14_563
        connection.data_received(encode_segments(0x85, events) * 20)
        assert connection.state is State.CLOSED
        assert connection.events == 1001
        assert connection.framing.has_more
        world.reactor.advance(2)
        assert world.call(session.execute, SELECT, [3]).scalar() == 3


@pytest.mark.parametrize("version", [4, 5])
def test_many_answers_at_once(version: int) -> None:
    world = World(version, max_in_flight=4096)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        tasks = [world.start(session.execute, select, [number]) for number in range(3000)]
        world.node.release()
        world.settle()
        assert [task.result().scalar() for task in tasks] == list(range(3000))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ids", [2, 3])
def test_answer_given_twice_is_delivered_once(seed: int, ids: int) -> None:
    world = World(seed=seed, max_in_flight=ids)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        first = world.start(session.execute, select, [1])
        other = world.start(session.execute, select, [2], idempotent=False)
        second = world.start(session.execute, select, [3], idempotent=False)
        world.node.held[0].respond()
        world.node.held[0].respond()
        world.reactor.advance(2)
        assert first.result().scalar() == 1
        if not world.node.links[0].lost:
            # There was no other id, and the next request has got it already: only its own answer is one too many.
            assert ids == 2
            assert second.done
        world.node.release()
        world.reactor.advance(2)
        assert world.node.links[0].lost
        with pytest.raises(errors.ConnectionLost):
            other.result()
        if (
            second.done
        ):  # it was written, or not, before the second answer came: that is what the seed decides
            assert world.node.tokens().count(3) == 1


@pytest.mark.parametrize("waiting", [1, 20, 50])
def test_answer_given_again_later_goes_to_nobody(waiting: int) -> None:
    """As long as there are ids that were not taken since."""
    world = World(max_in_flight=64)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        first = world.start(session.execute, insert, [0])
        (asked,) = world.node.held
        asked.respond()
        world.settle()
        assert first.done
        tasks = [world.start(session.execute, insert, [number]) for number in range(1, waiting + 1)]
        asked.respond()
        world.settle()
        for task in tasks:
            with pytest.raises(errors.ConnectionLost, match="where no request is waiting"):
                task.result()
        world.reactor.advance(3)


def test_ids_are_taken_again_in_the_order_in_which_they_were_given_back() -> None:
    world = World(max_in_flight=8)
    with world.session() as session:
        for _ in range(40):
            world.call(session.execute, "INSERT")
        streams = [asked.stream for asked in world.node.asked]
        assert streams[8:] == streams[:-8]
        assert len(set(streams)) == 8


def test_answer_to_a_request_that_was_not_written_yet_is_not_its_own() -> None:
    world = World(4)
    with world.session() as session:
        execution = session._context.executor.start(Ignored(), "INSERT 1")
        assert execution.attempt is not None
        only(session).data_received(wire.frame(4, execution.attempt.stream, wire.RESULT, wire.void()))
        assert not execution.is_done
        assert session.stats().connections == 0
        world.reactor.advance(2)
        assert execution.is_done
        assert world.node.texts() == ["INSERT 1"]


def test_answer_to_an_orphan_given_twice_ends_the_connection() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        task = world.start(session.execute, insert, [1])
        task.cancel()
        world.settle()
        world.node.held[0].respond()
        world.settle()
        assert world.node.links[0].lost is False
        world.node.held[0].respond()
        world.reactor.advance(2)
        assert world.node.links[0].lost


def test_too_many_orphans_drain_and_replace_the_connection() -> None:
    world = World(max_in_flight=16, max_orphans=3)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        old = only(session)
        staying = world.start(session.execute, insert, [100])
        tasks = [world.start(session.execute, insert, [number]) for number in range(4)]
        for task in tasks[:3]:
            task.cancel()
        world.settle()
        assert len(session._context.executor.router.connections()) == 1
        tasks[3].cancel()
        world.reactor.advance(1)
        assert old.state.value == "draining"
        assert len(session._context.executor.router.connections()) == 2
        late = world.start(session.execute, insert, [200])
        assert world.node.held[-1].link is world.node.links[1]
        world.node.release()
        world.settle()
        assert staying.done
        assert late.done
        assert old.state.value == "closed"
        assert world.node.links[0].lost


def test_cancel_storm_replaces_the_connection_once() -> None:
    world = World(max_in_flight=2048)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        storm = [world.reactor.start(session.execute, insert, [number]) for number in range(4_000)]
        world.settle()
        for task in storm:
            task.cancel()
        world.settle()
        assert all(task.cancelled for task in storm)
        assert session.stats().queued == 0
        assert len(world.node.tokens()) == 2048
        world.node.release()
        world.reactor.advance(2)
        following = [world.reactor.start(session.execute, insert, [number]) for number in range(4_000)]
        world.settle()
        assert all(task.done and task.result() is not None for task in following)
        assert len(world.node.links) == 2
        assert session.stats() == (1, 0, 0, 0)


def test_a_full_queue_refuses() -> None:
    world = World(max_in_flight=2, max_queue=3)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        tasks = [world.start(session.execute, insert, [number]) for number in range(6)]
        assert [task.done for task in tasks] == [False] * 5 + [True]
        with pytest.raises(errors.QueueFull, match=r"^use execute_concurrent.*request nursery.*3 requests"):
            tasks[5].result()
        world.node.release()
        world.settle()
        assert all(task.done for task in tasks)
        assert world.node.tokens() == [0, 1, 2, 3, 4]


def test_a_queue_full_of_bytes_refuses() -> None:
    world = World(max_in_flight=1, max_queue_bytes=1000)
    with world.session() as session:
        world.node.holding = True
        tasks = [world.start(session.execute, "SELECT " + "x" * 600) for _ in range(4)]
        with pytest.raises(errors.QueueFull):
            tasks[3].result()
        world.node.release()
        world.settle()
        assert all(task.done for task in tasks)


def test_connections_of_a_node_are_filled_in_turn() -> None:
    world = World(connections_local=2, max_in_flight=8)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        first, second = world.node.links
        for number in range(16):
            world.start(session.execute, insert, [number])
        assert {asked.link for asked in world.node.held[:4]} in ({first}, {second})
        assert {asked.link for asked in world.node.held[4:8]} == {first, second} - {world.node.held[0].link}
        assert len(world.node.held) == 16
        world.node.release()


class Ignored:
    """A sink that nobody waits behind."""

    def resolve(self, value: object) -> None:
        """Ignore it."""

    def reject(self, error: BaseException) -> None:
        """Ignore it."""


@pytest.mark.parametrize("most", [256, 257, 32_768])
def test_all_ids_are_taken_where_so_many_are_needed(most: int) -> None:
    world = World(4, max_in_flight=most, max_queue=10)
    with world.session() as session:
        world.node.holding = True
        sinks = [Ignored() for _ in range(most + 3)]
        executions = [session._context.executor.start(sink, "INSERT") for sink in sinks]
        world.settle()
        assert len({asked.stream for asked in world.node.held}) == most
        assert session.stats().queued == 3
        world.node.release()
        world.settle()
        assert all(execution.is_done for execution in executions)
