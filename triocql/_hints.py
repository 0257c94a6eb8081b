"""Hints for names that triocql does not have: those of cassandra-driver, and misspelt ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, ParamSpec, TypeVar

from triocql import errors
from triocql._brief import brief
from triocql.errors import OptionError, UnknownAttribute, UsageError
from triocql.metadata.node import Node

P = ParamSpec("P")
T = TypeVar("T")

CONNECT = "one contact point, or several in a list, and all else by name: port=9042, keyspace='shop'"

_LOGIN = "auth=triocql.PlainTextAuth(username, password)"
_RETRY = "policies=triocql.PolicyOptions(retry=...), of connect()"
_BALANCING = "local_data_centre=, or policies=triocql.PolicyOptions(balancing=...), of connect()"
_SPECULATION = "policies=triocql.PolicyOptions(speculation=...), of connect()"
_ADDRESSES = "policies=triocql.PolicyOptions(addresses=...), of connect()"
_RECONNECTION = "reconnection_base=, reconnection_maximum=, or policies= with a PolicyOptions"
_ROUTES = "client_routes=triocql.ClientRoutes(connection_ids=[...]), of connect()"
_APPLICATION = "application_name=, application_version=, client_id=, of connect()"
_SHARDS = "shard_awareness=, shard_aware_port=, of connect()"
_FILTER = "triocql.policies.FilteredBalancing"
_PROFILES = (
    "profiles={'name': triocql.Profile(...)}, of connect(), and profile='name' with a call or of a statement"
)

_OPTIONS = {
    "address_translator": _ADDRESSES,
    "addresses": _ADDRESSES,
    "application_info": _APPLICATION,
    "args": "parameters=, with each call",
    "auth_provider": _LOGIN,
    "balancing": _BALANCING,
    "cl": "consistency=",
    "client_routes_config": _ROUTES,
    "consistency_level": "consistency=",
    "control_connection_timeout": "connect_timeout=",
    "core_connections_per_host": "connections_local=",
    "data_centre": "local_data_centre=",
    "datacenter": "local_data_centre=",
    "dc": "local_data_centre=",
    "default_consistency_level": "consistency=",
    "default_fetch_size": "page_size=",
    "default_serial_consistency_level": "serial_consistency=",
    "default_retry_policy": _RETRY,
    "default_timeout": "timeout=",
    "execution_profile": "profile=",
    "execution_profiles": "profiles=",
    "fetch_size": "page_size=",
    "host": "node=, with each call; of connect() it is the first argument",
    "hosts": "contact_points, the first argument of connect()",
    "idle_heartbeat_interval": "heartbeat_interval=",
    "idle_heartbeat_timeout": "heartbeat_timeout=",
    "is_idempotent": "idempotent=",
    "load_balancing_policy": _BALANCING,
    "local_data_center": "local_data_centre=",
    "local_datacenter": "local_data_centre=",
    "local_dc": "local_data_centre=",
    "max_connections_per_host": "connections_local=",
    "max_requests_per_connection": "max_in_flight=",
    "params": "parameters=, with each call",
    "max_schema_agreement_wait": "schema_agreement_timeout=",
    "metadata_request_timeout": "internal_timeout=",
    "password": _LOGIN,
    "reconnection_policy": _RECONNECTION,
    "request_timeout": "timeout=",
    "retry": _RETRY,
    "retry_policy": _RETRY,
    "row_factory": "row_type=, with each call",
    "serial_consistency_level": "serial_consistency=",
    "shard_aware_options": _SHARDS,
    "sockopts": "socket_options=",
    "speculation": _SPECULATION,
    "speculative_execution_policy": _SPECULATION,
    "ssl": "ssl_context=",
    "ssl_options": "ssl_context=",
    "throttling": "policies=triocql.PolicyOptions(throttling=...), of connect()",
    "timestamps": "policies=triocql.PolicyOptions(timestamps=...), of connect()",
    "timestamp_generator": "policies=triocql.PolicyOptions(timestamps=...), of connect()",
    "tls": "ssl_context=",
    "trace": "tracing=",
    "use_client_timestamp": "timestamp=triocql.SERVER, with the calls concerned",
    "user": _LOGIN,
    "username": _LOGIN,
    "values": "parameters=, with each call",
}

PROFILE = {
    "address_translator": "addresses=",
    "load_balancing": "balancing=",
    "load_balancing_policy": "balancing=",
    "name": "the name as its key: profiles={'reports': triocql.Profile(...)}",
    "reconnection_policy": "reconnection=",
    "retry_policy": "retry=",
    "speculative_execution": "speculation=",
    "speculative_execution_policy": "speculation=",
    "throttle": "throttling=",
    "throttler": "throttling=",
    "timestamp_generator": "timestamps=",
}
"""The policies of a profile, and of `PolicyOptions`, by other names."""

SCAN_OPTIONS = {
    "checkpoint": "resume=",
    "concurrency": "concurrency_per_node=",
    "filter": "where=, a condition as CQL",
    "format": "export(directory, format=...) of the scan",
    "max_memory": "max_bytes=",
    "parallelism": "concurrency_per_node=",
    "params": "parameters=, the values for where=",
    "row_factory": "rows(row_type) of the scan",
    "row_type": "rows(row_type) of the scan",
    "splits": "tasks=",
    "token_range": "within(start, end) of the scan",
    "types": "arrow(types=...) of the scan",
    "values": "parameters=, the values for where=",
}
"""The options of `Session.scan` by other names."""

SCAN = {
    "all": "a loop over rows(), or arrow(), which gives all as columns",
    "batches": "a loop over the scan itself, in its block",
    "collect": "arrow(), polars() or pandas()",
    "fetchall": "a loop over rows(), or arrow(), which gives all as columns",
    "filter": "the option where= of session.scan()",
    "limit": "the option limit= of session.scan()",
    "one": "a loop over rows(), with the option limit=1 of session.scan()",
    "select": "the option columns= of session.scan()",
    "to_arrow": "arrow()",
    "to_csv": 'export(directory, format="csv")',
    "to_json": 'export(directory, format="jsonl")',
    "to_pandas": "pandas()",
    "to_parquet": "export(directory)",
    "to_polars": "polars()",
    "where": "the option where= of session.scan()",
}

_NO_OPTIONS = {
    "cloud": "there is none: give contact points and ssl_context=",
    "connection_class": "there is none: see reactor=, and triocql.sync.connect() for programs that block",
    "executor_threads": "there is none: a session needs no threads",
    "metrics_enabled": "there is none: a session always counts, see session.metrics",
    "scylla_cloud": "there is none: give contact points and ssl_context=",
    "schema_metadata_enabled": "write schema=, of connect(): False for no tables",
    "token_metadata_enabled": "there is none: the ring is always known",
}

_ATTRIBUTES = {
    "add_execution_profile": "profiles= of connect(): those of a session are known when it is opened",
    "add_request_init_listener": "tracker= of connect()",
    "aclose": "close()",
    "client_protocol_handler": "the codecs of `session.codecs`, and row_type= with each call",
    "close": "`await session.aclose()`",
    "cluster": "session.metadata, session.events(), and options of connect(): there is no Cluster",
    "count": "session.scan(table).count()",
    "default_consistency_level": "consistency= of connect(), of a statement or of a call",
    "default_fetch_size": "page_size= of connect(), of a statement or of a call",
    "default_serial_consistency_level": "serial_consistency= of connect(), of a statement or of a call",
    "default_timeout": "timeout= of connect(), of a statement or of a call",
    "encoder": "nothing: values are bound on the wire; a codec for a type goes to `session.codecs`",
    "execute_async": "a task of your own around `await session.execute(...)`, or a request nursery",
    "execution_profile_clone_update": "a triocql.Profile with a base= among the profiles= of connect()",
    "export": "session.scan(table).export(directory)",
    "get_execution_profile": _PROFILES,
    "get_metrics": "session.metrics",
    "get_pool_state": "session.stats()",
    "get_pools": "session.stats()",
    "hosts": "session.metadata.nodes",
    "is_ready": "session.health().can_serve(keyspace, consistency)",
    "is_shard_aware": "session.metadata.nodes, each with its shard_count: None where there are no shards",
    "is_shutdown": "`except triocql.errors.SessionClosed`",
    "keyspace": 'session.execute("USE ...")',
    "max_trace_wait": "the argument of result.trace(timeout=...)",
    "nodes": "session.metadata.nodes",
    "refresh_nodes": "nothing: session.metadata goes with the cluster by itself",
    "refresh_schema_metadata": "`session.refresh_schema()`, seldom: session.metadata follows by itself",
    "register_listener": "session.events()",
    "row_factory": "row_type= with each call",
    "shard_aware_stats": "session.metrics, whose nodes have shards",
    "set_keyspace": 'session.execute("USE ...")',
    "shutdown": "the block of connect(), or `aclose()`, `close()` of a session that blocks",
    "tablets": "session.metadata.tablets",
    "timestamp_generator": "policies=triocql.PolicyOptions(timestamps=...) of connect()",
    "use_client_timestamp": "timestamp=triocql.SERVER of a statement or of a call",
    "user_type_registered": "session.codecs.register_udt()",
}

RESULT = {
    "column_names": "[column.name for column in result.columns]",
    "column_types": "[column.type for column in result.columns]",
    "current_rows": "rows",
    "fetch_next_page": "a loop over all pages, or the option paging_state= with result.paging_state",
    "get_all_query_traces": "trace(), after a call with tracing=True",
    "get_query_trace": "trace(), after a call with tracing=True",
    "df": "pandas(), polars() or arrow()",
    "fetchall": "all()",
    "fetchone": "one()",
    "first": "one()",
    "response_future": "nothing: the result has columns, warnings, coordinator and trace() itself",
    "to_arrow": "arrow()",
    "to_pandas": "pandas()",
    "to_polars": "polars()",
    "was_applied": "applied",
}

FUTURE = {
    "all": "result().all()",
    "custom_payload": "result().custom_payload",
    "get_all_query_traces": "result().trace(), after a call with tracing=True",
    "get_query_trace": "result().trace(), after a call with tracing=True",
    "has_more_pages": "result().has_more_pages",
    "one": "result().one()",
    "rows": "result().rows",
    "start_fetching_next_page": "a loop over result(), or session.stream()",
    "warnings": "result().warnings",
    "was_applied": "result().applied",
}

SNAPSHOT = {
    "all_hosts": "nodes",
    "export_schema_as_string": "`await session.describe()`",
    "get_host": "a loop over nodes",
    "get_replicas": "replicas(keyspace, routing_key)",
    "get_tablet": "tablet(keyspace, table, routing_key)",
    "get_tablet_for_key": "tablet(keyspace, table, routing_key)",
    "get_tablets": "tablets.of(keyspace, table)",
    "hosts": "nodes",
    "rebuild_token_map": "nothing: it goes with the cluster by itself",
    "token_map": "ring, or token(routing_key) and replicas(keyspace, routing_key)",
}

_CQL = {
    "as_cql_query": "as_cql()",
    "export_as_string": "as_cql()",
    "keyspace_name": "keyspace",
}

KEYSPACE = _CQL | {
    "indexes": "indexes, of its tables",
    "keyspace_name": "name",
    "replication_strategy": "replication",
    "user_types": "types",
    "virtual": "is_virtual",
}

RELATION = _CQL | {
    "base_table_name": "base_table, of a view",
    "include_all_columns": "includes_all_columns, of a view",
    "is_compact_storage": "flags",
    "keyspace_metadata": "keyspace, the name of it",
    "views": "views of its keyspace, whose base_table is its name",
    "virtual": "isinstance(table, triocql.metadata.schema.VirtualTable)",
}

INDEX = _CQL | {"index_options": "options", "index_type": "kind", "table_name": "table"}

COLUMN = _CQL | {"is_reversed": "descending"}

USER_TYPE = _CQL | {"field_names": "list(fields)", "field_types": "cql_types"}

FUNCTION = _CQL | {
    "argument_names": "arguments",
    "final_func": "final_function",
    "initcond": "initial_condition",
    "state_func": "state_function",
}

METRICS = {
    "connected_to": "nodes, those that have connections",
    "connection_errors": "all_nodes.lost",
    "get_stats": "the session's metrics itself: it is what was counted at this moment",
    "known_hosts": "nodes",
    "open_connections": "all_nodes.connections",
    "orphans": "all_nodes.orphans",
    "other_errors": "durations(outcome=...).count",
    "percentile": "durations().percentile(percent)",
    "read_timeouts": "durations(outcome='ReadTimeout').count",
    "request_timer": "durations()",
    "retries": "all_nodes.retries",
    "shards": "nodes, each of which has its shards",
    "stats": "the attributes of metrics themselves",
    "unavailables": "durations(outcome='Unavailable').count",
    "write_timeouts": "durations(outcome='WriteTimeout').count",
}

NODE = {
    "broadcast_address": "told, the address that the cluster tells",
    "broadcast_port": "told.port",
    "broadcast_rpc_address": "told, the address that the cluster tells",
    "broadcast_rpc_port": "told.port",
    "data_center": "data_centre",
    "datacenter": "data_centre",
    "dc": "data_centre",
    "dse_version": "release",
    "endpoint": "address, where it is dialled",
    "get_reconnection_handler": "state; session.events() tells when it changes",
    "host": "address.host",
    "is_currently_reconnecting": "state is triocql.NodeState.DOWN",
    "is_up": "state is triocql.NodeState.UP",
    "listen_address": "address, where it is dialled",
    "port": "address.port",
    "release_version": "release",
    "sharding_info": "shard_count",
    "shards": "shard_count, or shards of the nodes of session.metrics",
    "rpc_address": "told, the address that the cluster tells",
    "version": "release",
}

CODECS = {"register_user_type": "register_udt(keyspace, name, cls)"}

STATEMENT = {
    old: f"with_options({new}=...), which gives a copy, or options.{new} to read it"
    for old, new in {
        "consistency": "consistency",
        "consistency_level": "consistency",
        "custom_payload": "custom_payload",
        "fetch_size": "page_size",
        "idempotent": "idempotent",
        "is_idempotent": "idempotent",
        "page_size": "page_size",
        "serial_consistency": "serial_consistency",
        "serial_consistency_level": "serial_consistency",
        "timeout": "timeout",
        "timestamp": "timestamp",
        "tracing": "tracing",
    }.items()
} | {
    "is_lwt": "the option lwt= of a statement or a call where text and nodes do not say it by themselves",
    "query_string": "text",
}

PREPARED = STATEMENT | {
    "column_metadata": "columns",
    "query_string": "text",
    "result_metadata": "result_columns",
    "routing_key_indexes": "partition_key_indexes",
}

BOUND = STATEMENT | {"prepared_statement": "prepared", "query_string": "prepared.text"}

BATCH = STATEMENT | {
    "add_all": "add() for each of them; it returns the batch",
    "batch_type": "type",
    "clear": "another Batch",
    "query_string": "add()",
}

_NAMES = {
    "ApplicationInfo": _APPLICATION,
    "ApplicationInfoBase": _APPLICATION,
    "AddressTranslator": "triocql.policies.AddressTranslation",
    "BatchStatement": "triocql.Batch",
    "ClientRouteProxy": _ROUTES,
    "ClientRoutesConfig": _ROUTES,
    "Cluster": "triocql.connect(), or triocql.sync.connect() for programs that block",
    "ConsistencyLevel": "triocql.Consistency",
    "ConstantReconnectionPolicy": _RECONNECTION,
    "ConcurrencyLimitingRequestThrottler": "triocql.policies.Throttle(concurrency=...)",
    "ConstantSpeculativeExecutionPolicy": "triocql.policies.ConstantSpeculation",
    "DCAwareRoundRobinPolicy": "local_data_centre=, of connect()",
    "DowngradingConsistencyRetryPolicy": "triocql.policies.DowngradingConsistency",
    "EC2MultiRegionTranslator": "triocql.policies.Ec2MultiRegion",
    "EXEC_PROFILE_DEFAULT": "options of connect(): profile='default' stands for the session's own",
    "ExecutionProfile": "triocql.Profile, in profiles= of connect()",
    "ExponentialBackoffRetryPolicy": "triocql.policies.ExponentialBackoffRetry",
    "ExponentialReconnectionPolicy": _RECONNECTION,
    "FallthroughRetryPolicy": "triocql.policies.NeverRetry",
    "Host": "triocql.Node",
    "HostDistance": "triocql.Distance",
    "HostFilterPolicy": _FILTER,
    "HostStateListener": "session.events()",
    "LoadBalancingPolicy": "triocql.policies.BalancingPolicy",
    "Metadata": "session.metadata",
    "PlainTextAuthProvider": "triocql.PlainTextAuth",
    "RackAwareRoundRobinPolicy": "local_data_centre= and local_rack=, of connect()",
    "ResponseFuture": "triocql.sync.ResultFuture",
    "ResultSet": "triocql.Result",
    "RateLimitingRequestThrottler": "triocql.policies.Throttle(rate=...)",
    "RoundRobinPolicy": "triocql.policies.RoundRobin",
    "ShardAwareOptions": _SHARDS,
    "SimpleStatement": "triocql.Statement",
    "TokenAwarePolicy": "nothing: requests go to replicas of their partitions by themselves",
    "UNSET_VALUE": "triocql.UNSET",
    "WhiteListRoundRobinPolicy": f"{_FILTER}(allow=[...])",
    "datetime_from_uuid1": "triocql.time_of()",
    "dict_factory": "row_type=dict, with each call",
    "max_uuid_from_time": "triocql.max_time_uuid()",
    "min_uuid_from_time": "triocql.min_time_uuid()",
    "named_tuple_factory": "nothing: rows are tuples with names",
    "ordered_dict_factory": "row_type=dict, with each call",
    "tuple_factory": "row_type=tuple, with each call",
    "unix_time_from_uuid1": "triocql.time_of()",
    "uuid_from_time": "triocql.time_uuid_from()",
}


def check_options(given: Iterable[str], known: Iterable[str], hints: Mapping[str, str] | None = None) -> None:
    """Raise OptionError for the first option that is not known; `hints` are as for `near`."""
    known = tuple(known)
    for name in given:
        if name not in known:
            raise OptionError(f"unknown option {brief(name)}{near(name, known, hints)}")


def near(name: str, known: Iterable[str], hints: Mapping[str, str] | None = None) -> str:
    """Return a hint for an unknown option: what its old name has become, or the options with a similar name.

    Args:
        name: the option.
        known: those that there are.
        hints: what some names have become here.
    """
    if hints and name in hints:
        return f"; write {hints[name]}"
    if name in _NO_OPTIONS:
        return f"; {_NO_OPTIONS[name]}"
    if name in _OPTIONS:
        return f"; write {_OPTIONS[name]}"
    close = difflib.get_close_matches(name, [*known])
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; the options are: {', '.join(sorted(known))}"


class NoOtherAttributes:
    """A class whose instances have the public attributes of the class, and no others: what is not there is no place to
    set an option, nor one to read it.
    """

    _BLOCKS: ClassVar[bool]
    """Whether it is the session of programs that block."""
    _MADE_OF: ClassVar[type]
    """The type of the constructor's first argument."""
    _MAKER: ClassVar[str]
    """The function that users call instead of the constructor."""

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            if not (args and isinstance(args[0], cls._MADE_OF)):
                raise UsageError(f"a session is made by {cls._MAKER}")
            return object.__new__(cls)

        def __setattr__(self, name: str, value: Any) -> None:
            cls = type(self)
            if not (name.startswith("_") or hasattr(cls, name)):
                raise _unknown(name)
            try:
                object.__setattr__(self, name, value)
            except AttributeError:  # a property
                raise _unknown(name, "cannot be set") from None

        def __getattr__(self, name: str) -> Any:
            raise _unknown(name)


def _unknown(name: str, what: str = "is no attribute") -> UnknownAttribute:
    hint = _ATTRIBUTES.get(name)
    return UnknownAttribute(
        f"{brief(name)} {what} of a session{f'; write {hint}' if hint else ''}", name=name
    )


class _OldName:
    """In the place of an attribute that there is not: says what to write instead, whether it is read or set."""

    def __init__(self, name: str, hint: str) -> None:
        self._name = name
        self._hint = hint

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise UnknownAttribute(
            f"{brief(self._name)} is no attribute of {owner.__name__}; write {self._hint}", name=self._name
        )

    def __set__(self, instance: object, value: object) -> NoReturn:
        self.__get__(instance, type(instance))


def old_names(names: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Decorate a class: each of `names` that it does not have is answered with what to write instead.

    Unlike `__getattr__` and `__setattr__`, it costs nothing where the class's own attributes are used.
    """

    def decorate(cls: type[T]) -> type[T]:
        added = [name for name in names if not hasattr(cls, name)]
        for name in added:
            setattr(cls, name, _OldName(name, names[name]))
        listed = cls.__dir__
        # They are not to be offered to anybody.
        cls.__dir__ = lambda self: [name for name in listed(self) if name not in added]  # type: ignore[method-assign]
        return cls

    return decorate


# Not where it is made: errors know nodes, and hints know errors.
old_names(NODE)(Node)


def hinted(hints: Mapping[str, str] | None = None) -> Callable[[type[T]], type[T]]:
    """Decorate a class: unknown keywords of its constructor are answered as unknown options are. Not for what is made
    with each request.

    Args:
        hints: what some names have become here.
    """

    def decorate(cls: type[T]) -> type[T]:
        make: Callable[..., None] = cls.__init__
        code = make.__code__
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

        @wraps(make)
        def check_first(self: T, *args: Any, **kwargs: Any) -> None:
            for name in kwargs:
                if name not in names:
                    raise OptionError(
                        f"unknown option {brief(name)} of {cls.__name__}{near(name, names, hints)}"
                    )
            make(self, *args, **kwargs)

        cls.__init__ = check_first  # type: ignore[assignment,method-assign]
        return cls

    return decorate


def one_position(hint: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that takes one positional argument at most: others are answered with a hint."""

    def decorate(fn: Callable[P, T]) -> Callable[P, T]:
        @wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if len(args) > 1:
                raise OptionError(f"{fn.__name__}() takes {hint}")
            return fn(*args, **kwargs)

        return call

    return decorate


def old_name(module: str, name: str) -> Exception:
    """Return the exception for a name that a module does not have.

    It is an ImportError for what there is something to say of: ``from ... import`` hides the text of an AttributeError.
    """
    message = f"module {module!r} has no attribute {brief(name)}"
    hint = _NAMES.get(name)
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, errors.Error):
        hint = f"triocql.errors.{name}"
    return (
        ImportError(f"{message}; write {hint}", name=module) if hint else AttributeError(message, name=name)
    )


def check_session(session: object, *, blocks: bool) -> None:
    """Raise UsageError unless it is a session of `triocql.sync`, if `blocks`, or one of `triocql`, if not."""
    blocking = getattr(session, "_BLOCKS", None)
    if blocking is blocks:
        return
    if blocking is None:
        given = type(session).__name__
        raise UsageError(f"this takes a session, not {given}{forgotten_await(session)}")
    made, kind = ("triocql.sync", "blocking") if blocking else ("triocql", "asynchronous")
    raise UsageError(
        f"this is the {kind} session of {made}.connect(); use the function of the same name in {made}"
    )


def forgotten_await(value: object) -> str:
    """Return the hint that `await` is missing if `value` is a coroutine, "" if it is not."""
    return "; write `await` before the call that gave it" if type(value).__name__ == "coroutine" else ""
