"""triocql: a CQL driver for Cassandra and ScyllaDB, native to Trio, AnyIO and asyncio, and for programs that block."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from triocql import _starting as _starting  # first: it is about the time that all else takes
from triocql import errors as errors
from triocql._hints import old_name
from triocql.bulk.batch import RowBatch
from triocql.codecs.custom import Codec
from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.timeuuid import max_time_uuid, min_time_uuid, time_of, time_uuid_from
from triocql.codecs.values import EMPTY, FrozenMap
from triocql.config.auth import PlainTextAuth
from triocql.config.clientroutes import ClientRoutes
from triocql.config.options import (
    ClientOptions,
    ConnectionOptions,
    Options,
    PoolOptions,
    ReconnectionOptions,
    ScyllaOptions,
)
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
from triocql.session.scan import Scan
from triocql.session.session import Session
from triocql.session.stream import RowStream
from triocql.statements.paging import PagingState
from triocql.statements.prepared import BoundStatement, PreparedStatement
from triocql.statements.statement import Batch, BatchType, Statement

if TYPE_CHECKING:
    from triocql import sync as sync
    from triocql.bulk.bar import ProgressBar
    from triocql.bulk.checkpoint import Checkpoint
    from triocql.bulk.progress import Progress

__all__ = [
    "EMPTY",
    "SERVER",
    "UNSET",
    "AuthProvider",
    "Authenticator",
    "Batch",
    "BatchType",
    "BoundStatement",
    "Checkpoint",
    "ClientOptions",
    "ClientRoutes",
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
    "Progress",
    "ProgressBar",
    "ReconnectionOptions",
    "Registry",
    "RequestNursery",
    "RequestOptions",
    "RequestTimeout",
    "Result",
    "Retry",
    "RetryPolicy",
    "Row",
    "RowBatch",
    "RowStream",
    "Scan",
    "ScyllaOptions",
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

_OF_SCANS = {
    "Checkpoint": "triocql.bulk.checkpoint",
    "Progress": "triocql.bulk.progress",
    "ProgressBar": "triocql.bulk.bar",
}
"""Names that few programs use, and where they are."""


def __getattr__(name: str) -> Any:
    """Import `triocql.sync`, and what scans have around them, when it is first used: other programs need neither that
    nor threads. Say what the names of cassandra-driver have become.
    """
    if name == "sync":
        return import_module("triocql.sync")
    if name in _OF_SCANS:
        return getattr(import_module(_OF_SCANS[name]), name)
    raise old_name(__name__, name)


def __dir__() -> list[str]:
    """Return all names, also of what is imported when it is first used."""
    return sorted({*globals(), *__all__, "sync"})
