"""A CQL server for tests: real sockets or simulated ones, answers and faults as the test says, a log of what ran.

It needs neither Java nor a container, speaks protocol v3 to v5, and any CQL driver can talk to it. `CqlServer` tells
how to start it and what it does by itself; `CqlServer.when` begins a rule. `triocql.testing.plugin` has a fixture.

- Answers of a rule: `rows`, `pages`, `void`, `error`, `unprepared`, `echo`, `frame`, `raw`.
- Nodes of ScyllaDB: `Scylla`, `CqlServer.tablets`, `rate_limited`, `tablet_hint`, `CqlServer.client_routes`.
- What else it may do: `delay`, `no_response`, `as_usual`, `close`, `reset`, a `Gate`, any function of the request.
- Faults of what it sends: `split`, `trickle`, `truncate`, `cut`, `flip_bit`, `duplicate`, `reorder`, `wrong_stream`,
  `header`, `oversize`, `bad_crc`, `small_segments`.
"""

from __future__ import annotations

from .answers import (
    Gate,
    Message,
    as_usual,
    close,
    delay,
    error,
    frame,
    no_response,
    pages,
    rate_limited,
    raw,
    reset,
    rows,
    unprepared,
    void,
)
from .auth import Authenticator, Challenge, Passwords, Refused, Script, Success
from .clientroutes import ClientRoutes
from .connection import ServerConnection
from .doors import Accepted
from .encoder import Opcode
from .errorcodes import Consistency, ErrorCode
from .faults import (
    Fault,
    bad_crc,
    cut,
    duplicate,
    flip_bit,
    header,
    oversize,
    reorder,
    small_segments,
    split,
    trickle,
    truncate,
    wrong_stream,
)
from .log import Execution, ExecutionLog
from .node import ServerNode
from .performance import AnyStep, Step
from .priming import Rule
from .requests import Request
from .schema import Change, Schema, SchemaError
from .scylla.settings import Scylla
from .scylla.tablets import ServedTablets, Tablet, tablet_hint
from .server import CqlServer
from .tables import ServedTable
from .types import Raw
from .usual import echo

__all__ = [
    "Accepted",
    "AnyStep",
    "Authenticator",
    "Challenge",
    "Change",
    "ClientRoutes",
    "Consistency",
    "CqlServer",
    "ErrorCode",
    "Execution",
    "ExecutionLog",
    "Fault",
    "Gate",
    "Message",
    "Opcode",
    "Passwords",
    "Raw",
    "Refused",
    "Request",
    "Rule",
    "Schema",
    "SchemaError",
    "Script",
    "Scylla",
    "ServedTable",
    "ServedTablets",
    "ServerConnection",
    "ServerNode",
    "Step",
    "Success",
    "Tablet",
    "as_usual",
    "bad_crc",
    "close",
    "cut",
    "delay",
    "duplicate",
    "echo",
    "error",
    "flip_bit",
    "frame",
    "header",
    "no_response",
    "oversize",
    "pages",
    "rate_limited",
    "raw",
    "reorder",
    "reset",
    "rows",
    "small_segments",
    "split",
    "tablet_hint",
    "trickle",
    "truncate",
    "unprepared",
    "void",
    "wrong_stream",
]
