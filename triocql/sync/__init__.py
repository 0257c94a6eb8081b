"""triocql for programs that block: scripts, threads, gevent, WSGI servers.

>>> with triocql.sync.connect("10.0.0.1", keyspace="shop") as session:                 # doctest: +SKIP
...     user = session.execute("SELECT * FROM users WHERE id = ?", [7]).one()

The same driver as in `triocql`, on a small event loop of its own. Whoever waits for an answer drives it, or a daemon
thread when several wait or nobody does. Any number of threads, or greenlets after gevent's monkey patch, may use one
session at once.
"""

from triocql.sync.codecs import Codecs
from triocql.sync.concurrent import ConcurrentStream
from triocql.sync.connecting import connect
from triocql.sync.functions import (
    execute_concurrent,
    execute_concurrent_with_args,
    open_request_nursery,
    stream_concurrent,
)
from triocql.sync.futures import ResultFuture
from triocql.sync.nursery import Handle, RequestNursery
from triocql.sync.perprocess import PerProcess, per_process
from triocql.sync.results import Result
from triocql.sync.scan import Scan
from triocql.sync.session import Session
from triocql.sync.stream import RowStream

__all__ = [
    "Codecs",
    "ConcurrentStream",
    "Handle",
    "PerProcess",
    "RequestNursery",
    "Result",
    "ResultFuture",
    "RowStream",
    "Scan",
    "Session",
    "connect",
    "execute_concurrent",
    "execute_concurrent_with_args",
    "open_request_nursery",
    "per_process",
    "stream_concurrent",
]
