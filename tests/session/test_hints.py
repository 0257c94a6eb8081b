"""Names of cassandra-driver, misspelt names and forgotten words: each is answered with what to write instead."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import triocql
import triocql.sync.scan
from tests.engine.world import INSERT, World
from tests.metadata.schema.test_rows import built, shop
from tests.sync.served import session as blocking
from triocql import Batch, Consistency, RequestOptions, Statement, policies
from triocql.errors import OptionError, UnknownAttribute, UsageError
from triocql.metadata.schema import (
    Aggregate,
    Column,
    Function,
    Index,
    Keyspace,
    Table,
    UserType,
    View,
    VirtualTable,
)
from triocql.metadata.snapshot import Snapshot
from triocql.observability.metrics import Metrics
from triocql.session.scan import Scan
from triocql.statements.prepared import BoundStatement, PreparedStatement


@pytest.fixture(params=["async", "sync"])
def session(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A session of each kind."""
    if request.param == "async":
        with World().session() as session:
            yield session
    else:
        with blocking() as (_, session):
            yield session


# --- Attributes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("default_timeout", "write timeout="),
        ("default_consistency_level", "write consistency="),
        ("default_serial_consistency_level", "write serial_consistency="),
        ("default_fetch_size", "write page_size="),
        ("row_factory", "write row_type="),
        ("use_client_timestamp", r"write timestamp=triocql\.SERVER"),
        ("max_trace_wait", r"result\.trace\(timeout="),
        ("encoder", "values are bound on the wire"),
        ("client_protocol_handler", r"session\.codecs"),
        ("cluster", r"write session\.metadata, .* connect\(\)"),
        ("hosts", r"write session\.metadata\.nodes"),
        ("register_listener", r"write session\.events\(\)"),
        ("set_keyspace", "USE"),
        ("shutdown", r"close\(\)"),
        ("export", r"write session\.scan\(table\)\.export\(directory\)"),
        ("count", r"write session\.scan\(table\)\.count\(\)"),
        ("is_shard_aware", r"write session\.metadata\.nodes, each with its shard_count"),
        ("shard_aware_stats", r"write session\.metrics, whose nodes have shards"),
        ("tablets", r"write session\.metadata\.tablets"),
        ("is_ready", r"write session\.health\(\)\.can_serve"),
        ("anything", "'anything' is no attribute of a session"),
    ],
)
def test_an_attribute_that_a_session_does_not_have(session: Any, name: str, hint: str) -> None:
    with pytest.raises(UnknownAttribute, match=hint):
        setattr(session, name, 5)
    with pytest.raises(UnknownAttribute, match=hint) as caught:
        getattr(session, name)
    assert isinstance(caught.value, AttributeError)
    assert caught.value.name == name
    assert not hasattr(session, name)


def test_the_close_of_the_other_kind_of_session(session: Any) -> None:
    waits = isinstance(session, triocql.Session)
    if waits:
        with pytest.raises(UnknownAttribute, match=r"'close' is no attribute .* `await session\.aclose\(\)`"):
            session.close()
    else:
        with pytest.raises(UnknownAttribute, match=r"'aclose' is no attribute .* close\(\)"):
            session.aclose()


def _statements(session: Any) -> dict[str, Any]:
    prepared = PreparedStatement(triocql.statements.prepared.PreparedQuery(INSERT, None, None))
    return {
        "Statement": Statement("SELECT"),
        "Batch": Batch(),
        "PreparedStatement": prepared,
        "BoundStatement": BoundStatement(prepared.prepared, None, b"", prepared.options),  # type: ignore[arg-type]
        "Codecs": session.codecs,
    }


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        *[
            (kind, old, rf"'{old}' is no attribute of {kind}; write with_options\({new}=")
            for kind in ("Statement", "Batch", "PreparedStatement", "BoundStatement")
            for old, new in {
                "consistency_level": "consistency",
                "fetch_size": "page_size",
                "timeout": "timeout",
            }.items()
        ],
        ("Statement", "query_string", "write text"),
        ("Statement", "is_lwt", "write the option lwt="),
        ("PreparedStatement", "column_metadata", "write columns"),
        ("BoundStatement", "prepared_statement", "write prepared"),
        ("Batch", "add_all", r"write add\(\)"),
        ("Codecs", "register_user_type", r"write register_udt\("),
    ],
)
def test_the_old_name_of_an_attribute(session: Any, kind: str, name: str, hint: str) -> None:
    _check_old_name(_statements(session)[kind], name, hint)


def _check_old_name(holder: Any, name: str, hint: str) -> None:
    with pytest.raises(UnknownAttribute, match=hint) as caught:
        getattr(holder, name)
    assert caught.value.name == name
    with pytest.raises(UnknownAttribute, match=hint):
        setattr(holder, name, 5)
    assert not hasattr(holder, name)
    assert name not in dir(holder)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("all_hosts", "write nodes"),
        ("token_map", "write ring"),
        ("get_replicas", r"write replicas\("),
        ("get_tablets", r"write tablets\.of\("),
        ("get_tablet_for_key", r"write tablet\("),
    ],
)
def test_the_old_name_of_what_metadata_has(name: str, hint: str) -> None:
    holder = Snapshot()
    with pytest.raises(UnknownAttribute, match=hint):
        getattr(holder, name)
    assert name not in dir(holder)


SCHEMA = next(iter(built(shop()).tables.values()))


@pytest.mark.parametrize(
    ("holder", "name", "hint"),
    [
        (built(shop()), "export_as_string", r"of Keyspace; write as_cql\(\)"),
        (built(shop()), "as_cql_query", r"write as_cql\(\)"),
        (built(shop()), "user_types", "write types"),
        (SCHEMA, "export_as_string", r"write as_cql\(\)"),
        (SCHEMA, "as_cql_query", r"write as_cql\(\)"),
        (SCHEMA, "keyspace_name", "write keyspace"),
        (Metrics(), "request_timer", r"of Metrics; write durations\(\)"),
        (Metrics(), "shards", "of Metrics; write nodes, each of which"),
        (Metrics(), "orphans", r"write all_nodes\.orphans"),
        (Metrics(), "read_timeouts", r"write durations\(outcome='ReadTimeout'\)"),
        (Snapshot(), "export_schema_as_string", r"session\.describe\(\)"),
    ],
)
def test_the_old_name_of_what_a_schema_or_metrics_have(holder: object, name: str, hint: str) -> None:
    with pytest.raises(UnknownAttribute, match=hint):
        getattr(holder, name)
    assert name not in dir(holder)


@pytest.mark.parametrize(
    "cls", [Keyspace, Table, VirtualTable, View, Index, Column, UserType, Function, Aggregate]
)
def test_what_makes_a_part_of_the_schema_has_its_old_names_answered(cls: type) -> None:
    names = {field.name for field in dataclasses.fields(cls)}
    for name in ("export_as_string", "as_cql_query", "keyspace_name"):
        assert name not in names
        with pytest.raises(UnknownAttribute, match=f"'{name}' is no attribute of"):
            getattr(cls, name)


RESULTS = [
    ("was_applied", "of Result; write applied"),
    ("first", r"write one\(\)"),
    ("to_pandas", r"write pandas\(\)"),
    ("current_rows", "write rows"),
    ("column_names", r"column\.name for column in result\.columns"),
    ("fetch_next_page", "paging_state="),
    ("get_query_trace", r"write trace\(\)"),
    ("response_future", "the result has"),
]


@pytest.mark.parametrize(("name", "hint"), RESULTS)
def test_the_old_name_of_what_a_result_has(name: str, hint: str) -> None:
    world = World()
    with world.session() as session:
        _check_old_name(world.call(session.execute, "INSERT"), name, hint)
    with blocking() as (_, served):
        _check_old_name(served.execute("INSERT"), name, hint)


@pytest.mark.parametrize(
    ("name", "hint"), [("one", r"write result\(\)\.one"), ("get_query_trace", r"result\(\)\.trace")]
)
def test_the_old_name_of_what_a_future_has(name: str, hint: str) -> None:
    with blocking() as (_, session):
        future = session.execute_async("INSERT")
        _check_old_name(future, name, hint)
        future.result()


@pytest.mark.parametrize("kind", [Scan, triocql.sync.scan.Scan])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("to_pandas", r"'to_pandas' is no attribute of Scan; write pandas\(\)"),
        ("to_arrow", r"write arrow\(\)"),
        ("to_parquet", r"write export\(directory\)"),
        ("all", r"write a loop over rows\(\), or arrow\(\)"),
        ("batches", "write a loop over the scan itself"),
        ("one", "limit=1"),
        ("where", "where= of session"),
    ],
)
def test_the_old_name_of_what_a_scan_has(kind: type[Any], name: str, hint: str) -> None:
    _check_old_name(object.__new__(kind), name, hint)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("from triocql import Cluster", r"'Cluster'; write triocql\.connect\(\)"),
        ("from triocql import ConsistencyLevel", r"write triocql\.Consistency"),
        ("from triocql import SimpleStatement", r"write triocql\.Statement"),
        ("from triocql import BatchStatement", r"write triocql\.Batch"),
        ("from triocql import ShardAwareOptions", "write shard_awareness="),
        ("from triocql import UNSET_VALUE", r"write triocql\.UNSET"),
        ("from triocql import WriteTimeout", r"write triocql\.errors\.WriteTimeout"),
        ("from triocql import NoHostAvailable", "write NoNodeAvailable"),
        ("from triocql.errors import InvalidRequest", "write InvalidQuery"),
        ("from triocql.errors import OperationTimedOut", "write RequestTimeout"),
        ("from triocql import TokenAwarePolicy", "requests go to replicas"),
        ("from triocql.policies import DCAwareRoundRobinPolicy", r"write local_data_centre=, of connect\(\)"),
        (
            "from triocql.policies import WhiteListRoundRobinPolicy",
            r"write triocql\.policies\.FilteredBalancing\(allow=",
        ),
        ("from triocql.policies import ExponentialReconnectionPolicy", "write reconnection_base="),
        ("from triocql.policies import Nothing", "cannot import name 'Nothing'"),
        ("from triocql import Nothing", "cannot import name 'Nothing'"),
        ("from triocql.errors import Nothing", "cannot import name 'Nothing'"),
    ],
)
def test_the_old_name_of_what_is_imported(line: str, hint: str) -> None:
    with pytest.raises(ImportError, match=hint):
        exec(line)


@pytest.mark.parametrize("module", [triocql, triocql.errors, triocql.policies])
def test_what_a_module_does_not_have(module: Any) -> None:
    assert not hasattr(module, "nothing")
    with pytest.raises(AttributeError, match=rf"module '{module.__name__}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_the_keyspace_is_not_set_like_that(session: Any) -> None:
    with pytest.raises(UnknownAttribute, match=r"'keyspace' cannot be set .*USE"):
        session.keyspace = "shop"


def test_what_a_session_has_can_be_replaced_in_tests(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "execute", lambda text: f"executed {text}")
    assert session.execute("SELECT") == "executed SELECT"


def test_there_is_no_session_before_it_is_entered() -> None:
    connecting = triocql.connect("10.0.0.1")
    with pytest.raises(UnknownAttribute, match=r"no session yet.* 'execute'; write `async with"):
        connecting.execute("SELECT")  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"`async with triocql\.connect"), connecting:
        pass
    assert isinstance(copy.copy(connecting), type(connecting))


# --- The other kind of session -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["execute_concurrent", "stream_concurrent", "open_request_nursery"])
def test_a_function_for_the_other_kind_of_session(session: Any, name: str) -> None:
    world = World()
    arguments: Any = (session,) if name == "open_request_nursery" else (session, [])
    there: Any = triocql.sync if isinstance(session, triocql.Session) else triocql

    async def use() -> None:
        made = getattr(there, name)(*arguments)
        await made

    hint = f"session of {_home(session)}.connect.* the same name in {_home(session)}$"
    with pytest.raises(UsageError, match=hint):
        world.call(use)
    for module in (triocql, triocql.sync):
        with pytest.raises(UsageError, match="takes a session, not Connecting"):
            module.open_request_nursery(triocql.connect("10.0.0.1"))


def _home(session: Any) -> str:
    return "triocql" if isinstance(session, triocql.Session) else r"triocql\.sync"


def _blocks(session: Any) -> list[Any]:
    module: Any = triocql if isinstance(session, triocql.Session) else triocql.sync
    return [
        session.stream("SELECT"),
        session.stream_concurrent([]),
        module.stream_concurrent(session, []),
        module.open_request_nursery(session),
    ]


def test_a_block_of_the_other_kind(session: Any) -> None:
    for block in _blocks(session):
        if isinstance(session, triocql.Session):
            with pytest.raises(UsageError, match="triocql is asynchronous: write `async with`"), block:
                pass
            with pytest.raises(UsageError, match="and `async for` within it"):
                iter(block)
        else:
            with pytest.raises(UsageError, match=r"triocql\.sync blocks: write `with`"):
                World().call(_enter, block)


async def _enter(block: Any) -> None:
    async with block:
        pass


@pytest.mark.parametrize("arguments", [(), ("10.0.0.1",)])
def test_a_session_is_made_by_connect(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"made by `async with triocql\.connect\(\.\.\.\)"):
        triocql.Session(*arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"made by `with triocql\.sync\.connect\(\.\.\.\)"):
        triocql.sync.Session(*arguments)  # type: ignore[arg-type]


# --- Options -------------------------------------------------------------------------------------------------

OPTIONS = [
    ("fetch_size", "; write page_size="),
    ("trace", "; write tracing="),
    ("username", r"; write auth=triocql\.PlainTextAuth"),
    ("consistency_level", "; write consistency="),
    ("is_idempotent", "; write idempotent="),
    ("pagesize", "; did you mean 'page_size'"),
    ("zzz", "; the options are: attempt_timeout, consistency, "),
]

TAKE_OPTIONS: dict[str, Callable[..., Any]] = {
    "Statement": lambda **options: Statement("SELECT", **options),
    "Statement.with_options": lambda **options: Statement("SELECT").with_options(**options),
    "Batch": lambda **options: Batch(**options),
    "Batch.with_options": lambda **options: Batch().with_options(**options),
    "PreparedStatement.with_options": lambda **options: PreparedStatement(None).with_options(**options),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("name", "hint"), OPTIONS)
@pytest.mark.parametrize("taker", TAKE_OPTIONS)
def test_an_option_of_a_statement_that_there_is_none_of(taker: str, name: str, hint: str) -> None:
    with pytest.raises(OptionError, match=f"unknown option '{name}'{hint}"):
        TAKE_OPTIONS[taker](**{name: 5})


@pytest.mark.parametrize(("name", "hint"), OPTIONS)
def test_an_option_of_a_call_that_there_is_none_of(name: str, hint: str) -> None:
    world = World()
    options: Any = {name: 5}
    with world.session() as session:
        for _ in range(2):  # what is kept of a call makes no difference
            with pytest.raises(OptionError, match=f"unknown option '{name}'{hint}"):
                world.call(session.execute, "SELECT", **options)
        with pytest.raises(OptionError, match=hint):
            session.stream("SELECT", **options)


CALL_OPTIONS = [
    ("paramters", "; did you mean 'parameters'"),
    ("params", "; write parameters="),
    ("values", "; write parameters="),
    ("args", "; write parameters="),
    ("rowtype", "; did you mean 'row_type'"),
    ("zzz", "; the options are: .*parameters, profile, row_type"),
    ("retry_policy", r"; write policies=triocql\.PolicyOptions\(retry"),
]


@pytest.mark.parametrize(("name", "hint"), CALL_OPTIONS)
def test_a_misspelt_argument_of_a_call(name: str, hint: str) -> None:
    world = World()
    options: Any = {name: [5]}
    with world.session() as session:
        for values in ([5], 5):  # it can be kept, or not
            with pytest.raises(OptionError, match=f"unknown option '{name}'{hint}"):
                world.call(session.execute, "SELECT", **{**options, name: values})
        with pytest.raises(OptionError, match=hint):
            session.stream("SELECT", **options)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("load_balancing_policy", r"write local_data_centre=, or .*balancing="),
        ("balancing", r"write local_data_centre=, or .*balancing="),
        ("speculative_execution_policy", r"write policies=triocql\.PolicyOptions\(speculation"),
        ("local_dc", "write local_data_centre="),
        ("host", "write node=, with each call"),
        ("hosts", "write contact_points, the first"),
        ("core_connections_per_host", "write connections_local="),
        ("shard_aware_options", "write shard_awareness=, shard_aware_port="),
        ("application_info", "write application_name=, application_version=, client_id="),
        ("client_routes_config", r"write client_routes=triocql\.ClientRoutes\("),
        ("metadata_request_timeout", "write internal_timeout="),
        ("scylla_cloud", "there is none: give contact points"),
        ("ssl", "write ssl_context="),
        ("token_metadata_enabled", "there is none: the ring is always known"),
        ("cloud", "there is none: give contact points"),
        ("default_retry_policy", r"write policies=triocql\.PolicyOptions\(retry"),
        ("metrics_enabled", r"there is none: a session always counts, see session\.metrics"),
        ("connection_class", r"there is none: see reactor=, and triocql\.sync\.connect\(\)"),
    ],
)
def test_an_option_of_the_old_driver_that_has_no_other_name(name: str, hint: str) -> None:
    options: Any = {name: None}
    with pytest.raises(OptionError, match=f"unknown option '{name}'; {hint}"):
        triocql.connect(**options)


@pytest.mark.parametrize(("name", "hint"), OPTIONS[:4])
def test_an_option_of_connect_that_there_is_none_of(name: str, hint: str) -> None:
    options: Any = {name: 5}
    with pytest.raises(OptionError, match=f"unknown option '{name}'{hint}"):
        triocql.connect(**options)
    with pytest.raises(OptionError, match=hint):
        triocql.connect(f"cql://10.0.0.1?{name}=5")


@pytest.mark.parametrize("name", ["QUORUM", "quorum", Consistency.QUORUM])
def test_a_consistency_by_its_name(name: Any) -> None:
    assert RequestOptions(consistency=name).consistency is Consistency.QUORUM
    assert Statement("SELECT", consistency=name).options.consistency is Consistency.QUORUM
    assert RequestOptions(serial_consistency="local_serial").serial_consistency is Consistency.LOCAL_SERIAL  # type: ignore[arg-type]
    assert triocql.Options.from_arguments(consistency=name).request.consistency is Consistency.QUORUM
    with pytest.raises(OptionError, match=r"consistency is 'MOST'; it has to be .*LOCAL_QUORUM"):
        Statement("SELECT", consistency="MOST")
    with pytest.raises(OptionError, match=r"serial_consistency is .*; it has to be .*LOCAL_SERIAL"):
        Statement("SELECT", serial_consistency="QUORUM")


# --- Forgotten words -----------------------------------------------------------------------------------------


def test_a_forgotten_await() -> None:
    world = World()
    with world.session() as session:
        statement: Any = session.prepare(INSERT)
        with pytest.raises(UsageError, match=r"cannot execute coroutine.*; write `await` before"):
            world.call(session.execute, statement, [1])
        with pytest.raises(UsageError, match=r"not coroutine; write `await` before"):
            Batch().add(statement, [1])
        statement.close()


@pytest.mark.parametrize("text", ["INSERT INTO t (k) VALUES (%s)", "INSERT INTO t (k) VALUES (%(key)s)"])
@pytest.mark.parametrize("values", [None, [1], {"key": 1}])
def test_markers_of_the_old_driver(text: str, values: Any) -> None:
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: asked.error(0x2000, "no viable alternative at character '%'")
        with pytest.raises(triocql.errors.SyntaxError, match=r"'%'; write \? or :name for a value") as caught:
            world.call(session.execute, text, values)
        assert caught.value.message == "no viable alternative at character '%'"
        with pytest.raises(triocql.errors.SyntaxError, match=r"write \? or :name for a value"):
            world.call(session.prepare, text)
        with pytest.raises(triocql.errors.SyntaxError, match=r"write \? or :name for a value"):
            world.call(session.execute, Batch().add(text, values))
        with pytest.raises(triocql.errors.SyntaxError, match=r"'%'$"):
            world.call(session.execute, "INSERT INTO t (k) VALUES (7 %)")


@pytest.mark.parametrize("values", [None, [], {}])
def test_forgotten_values(values: Any) -> None:
    world = World()
    with world.session() as session:
        for statement, text in (
            (INSERT, "Invalid amount of bind variables"),
            (Statement(INSERT), "Invalid amount of bind variables"),
            (Batch().add(INSERT, values), "There were 1 markers(?) in CQL but 0 bound variables"),
        ):
            world.node.script = lambda asked, text=text: asked.error(0x2200, text)
            given = None if isinstance(statement, Batch) else values
            with pytest.raises(
                triocql.errors.InvalidQuery, match="; values are given with the call"
            ) as caught:
                world.call(session.execute, statement, given)
            assert caught.value.message == text


def test_which_statement_of_a_batch_is_wrong() -> None:
    world = World()
    with world.session() as session:
        prepared = world.call(session.prepare, INSERT)
        for wrong in (
            Batch().add(prepared, [1]).add(prepared, ["x"]),
            Batch().add(INSERT, [1]).add(INSERT, [1, 2]),
        ):
            with pytest.raises(UsageError) as caught:
                world.call(session.execute, wrong)
            assert caught.value.__notes__ == ["statement 1 of the batch, counted from 0"]


def test_values_of_a_bound_statement_in_a_batch() -> None:
    world = World()
    with world.session() as session:
        prepared = world.call(session.prepare, INSERT)
        with pytest.raises(UsageError, match="has its values already; add its PreparedStatement"):
            Batch().add(prepared.bind(1), [1])
        assert len(Batch().add(prepared.bind(1))) == 1


def test_a_batch_by_the_name_of_its_type() -> None:
    assert Batch("UNLOGGED").type is Batch("unlogged").type is triocql.BatchType.UNLOGGED
    with pytest.raises(
        OptionError, match=r"the type of a batch is 'LOOSE'; it has to be .*LOGGED, UNLOGGED, COUNTER"
    ):
        Batch("LOOSE")


@pytest.mark.parametrize("connect", [triocql.connect, triocql.sync.connect])
def test_contact_points_as_they_are_not_given(connect: Callable[..., Any]) -> None:
    for argument in (9042, "shop"):
        with pytest.raises(
            OptionError, match=r"connect\(\) takes one contact point, .* by name: port=9042, keyspace="
        ):
            connect("10.0.0.1", argument)
    with pytest.raises(
        OptionError, match=r"has a ','; give several as a list: \['10.0.0.1', '10.0.0.2:9043'\]"
    ):
        connect("10.0.0.1,10.0.0.2:9043")


def test_a_column_of_a_result_by_its_name() -> None:
    world = World()
    with world.session() as session:
        result: Any = world.call(session.execute, "SELECT v FROM t")
        with pytest.raises(UsageError, match=r"by row numbers; .*: result\[0\]\.v"):
            result["v"]
        with pytest.raises(TypeError, match="list indices"):
            result[None]


# --- Nodes and policies --------------------------------------------------------------------------------------

POLICIES: Any = policies
TRIOCQL: Any = triocql


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("is_up", r"write state is triocql\.NodeState\.UP"),
        ("datacenter", "write data_centre"),
        ("release_version", "write release"),
        ("sharding_info", "write shard_count"),
        ("broadcast_rpc_address", "write told"),
        ("listen_address", "write address"),
        ("endpoint", "write address"),
    ],
)
def test_the_old_name_of_what_a_node_has(name: str, hint: str) -> None:
    node = triocql.Node(triocql.abc.Address("10.0.0.1", 9042))
    with pytest.raises(UnknownAttribute, match=f"'{name}' is no attribute of Node; {hint}"):
        getattr(node, name)
    assert not hasattr(node, name)
    assert name not in dir(node)
    assert copy.copy(node).address == node.address


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: POLICIES.DefaultBalancing(local_dc="a"),
            "'local_dc' of DefaultBalancing; write local_data_c",
        ),
        (
            lambda: POLICIES.FilteredBalancing(denny=["a"]),
            "'denny' of FilteredBalancing; did you mean 'deny'",
        ),
        (lambda: POLICIES.ConstantSpeculation(0.1, max_attemps=3), "did you mean 'max_attempts'"),
        (lambda: POLICIES.PercentileSpeculation(percentil=99), "did you mean 'percentile'"),
        (lambda: POLICIES.ExponentialBackoffRetry(attemps=3), "did you mean 'attempts'"),
        (lambda: POLICIES.ExponentialBackoff(1.0, 2.0, jiter=3), "did you mean 'jitter'"),
        (lambda: POLICIES.DowngradingConsistency(other=3), "'other' of DowngradingConsistency"),
        (lambda: POLICIES.MappedAddresses(tabel={}), "did you mean 'table'"),
        (lambda: POLICIES.Ec2MultiRegion(name=3), "'name' of Ec2MultiRegion"),
        (lambda: POLICIES.Throttle(concurency=3), "did you mean 'concurrency'"),
        (lambda: TRIOCQL.PolicyOptions(retry_policy=3), "'retry_policy' of PolicyOptions; write retry="),
        (lambda: TRIOCQL.Profile(execution_profile="a"), "'execution_profile' of Profile"),
        (lambda: TRIOCQL.ScyllaOptions(shard_aware=True), "did you mean 'shard_awareness'"),
        (lambda: TRIOCQL.ClientRoutes(connection_id=["a"]), "did you mean 'connection_ids'"),
        (lambda: TRIOCQL.PoolOptions(max_queued=5), "did you mean 'max_queue'"),
        (lambda: TRIOCQL.ConnectionOptions(max_frames=5), "did you mean 'max_frame'"),
        (lambda: TRIOCQL.ReconnectionOptions(maximun=5), "did you mean 'maximum'"),
        (lambda: TRIOCQL.ClientOptions(name="a"), "the options are: application_name"),
        (lambda: TRIOCQL.Options(timeout=3), "'timeout' of Options"),
    ],
)
def test_unknown_arguments_of_policies(make: Callable[[], object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_every_policy_can_be_had_in_one_place() -> None:
    kinds = {
        value
        for module in sys.modules.copy().values()
        if module.__name__.startswith("triocql.policies.")
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    }
    others = {"Distances", "Latencies", "MonotonicTimestamps"}  # no policies; two kinds of it
    assert {kind.__name__ for kind in kinds} - others == {*policies.__all__} - others
