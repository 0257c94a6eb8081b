"""triocql: a CQL driver for Apache Cassandra, native to Trio, AnyIO and asyncio, and for programs that block."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from triocql import errors as errors
from triocql._hints import old_name
from triocql.codecs.custom import Codec
from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.timeuuid import max_time_uuid, min_time_uuid, time_of, time_uuid_from
from triocql.codecs.values import EMPTY, FrozenMap
from triocql.config.auth import PlainTextAuth
from triocql.config.options import ConnectionOptions, Options, PoolOptions, ReconnectionOptions
from triocql.config.policies import PolicyOptions
from triocql.config.profiles import Profile
from triocql.config.requests import RequestOptions
from triocql.errors import Error, RequestTimeout
from triocql.metadata.node import Distance, Node, NodeState
from triocql.metadata.snapshot import Snapshot
from triocql.policies.retry import Decision, Retry, RetryPolicy
from triocql.protocol.authenticator import Authenticator, AuthProvider
from triocql.protocol.constants import SERVER, UNSET, Consistency
from triocql.protocol.types import quote_name
from triocql.results.result import Result, Trace, TraceEvent
from triocql.results.row import Row
from triocql.session.concurrent import ConcurrentStream
from triocql.session.connecting import connect
from triocql.session.functions import (
    execute_concurrent,
    execute_concurrent_with_args,
    open_request_nursery,
    stream_concurrent,
)
from triocql.session.nursery import Handle, RequestNursery
from triocql.session.outcomes import ExecutionResult
from triocql.session.session import Session
from triocql.session.stream import RowStream
from triocql.statements.paging import PagingState
from triocql.statements.prepared import BoundStatement, PreparedStatement
from triocql.statements.statement import Batch, BatchType, Statement

if TYPE_CHECKING:
    from triocql import sync as sync

__all__ = [
    "EMPTY",
    "SERVER",
    "UNSET",
    "AuthProvider",
    "Authenticator",
    "Batch",
    "BatchType",
    "BoundStatement",
    "Codec",
    "ConcurrentStream",
    "ConnectionOptions",
    "Consistency",
    "Date",
    "Decision",
    "Distance",
    "Duration",
    "Error",
    "ExecutionResult",
    "FrozenMap",
    "Handle",
    "Node",
    "NodeState",
    "Options",
    "PagingState",
    "PlainTextAuth",
    "PolicyOptions",
    "PoolOptions",
    "PreparedStatement",
    "Profile",
    "ReconnectionOptions",
    "Registry",
    "RequestNursery",
    "RequestOptions",
    "RequestTimeout",
    "Result",
    "Retry",
    "RetryPolicy",
    "Row",
    "RowStream",
    "Session",
    "Snapshot",
    "Statement",
    "Time",
    "Timestamp",
    "Trace",
    "TraceEvent",
    "connect",
    "errors",
    "execute_concurrent",
    "execute_concurrent_with_args",
    "max_time_uuid",
    "min_time_uuid",
    "open_request_nursery",
    "quote_name",
    "stream_concurrent",
    "time_of",
    "time_uuid_from",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `triocql.sync` when it is first used: other programs need neither it nor threads. Say what the names of
    cassandra-driver have become.
    """
    if name == "sync":
        return import_module("triocql.sync")
    raise old_name(__name__, name)
