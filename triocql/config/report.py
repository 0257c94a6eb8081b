"""The options of a session as operators see them: JSON, without anything that could be a secret."""

from __future__ import annotations

import json
from dataclasses import fields
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

from triocql.config.policies import PolicyOptions
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.config.options import Options

logger = get_logger(__name__)

MOST_BYTES = 32_768
"""How long a report may be: a node keeps one for each session."""

_VERSION = 1
_OF_CONNECTIONS = (
    "connect_timeout",
    "protocol_version",
    "compression",
    "max_in_flight",
    "max_orphans",
    "max_frame",
    "heartbeat_interval",
    "heartbeat_timeout",
    "frame_timeout",
    "tcp_nodelay",
    "tcp_keepalive",
)
_OF_POOLS = ("connections_local", "connections_remote", "max_queue", "max_queue_bytes")
_OF_RECONNECTION = ("base", "maximum", "jitter")
_OF_REQUESTS = (
    "timeout",
    "attempt_timeout",
    "consistency",
    "serial_consistency",
    "page_size",
    "idempotent",
    "tracing",
)
_OF_SCYLLA = (
    "shard_awareness",
    "shard_aware_port",
    "connections_per_shard",
    "internal_timeout",
    "tablets_v2",
)
_OF_SESSIONS = (
    "prepared_cache",
    "prepare_on_all_hosts",
    "reprepare_on_up",
    "schema_agreement_timeout",
    "local_data_centre",
    "local_rack",
    "slow_request",
)


def told(options: Options) -> dict[str, str]:
    """Return what the control connection tells in STARTUP: once a session is enough."""
    text = report(options) if options.client.report_options else None
    return {} if text is None else {"DRIVER_CONFIG": text}


def report(options: Options) -> str | None:
    """Return what is told of the options; None if that is too long, or cannot be made: no connection fails by it.

    Each option is named here: one that is new, and may be secret, is not told by itself.
    """
    try:
        text = json.dumps(_facts(options), separators=(",", ":"), ensure_ascii=False)
        size = len(text.encode())
    except Exception as error:  # of a class of users', say
        logger.warning("the options of the session cannot be told to nodes: %r", error)
        return None
    if size > MOST_BYTES:
        logger.warning("the options of the session are not told to nodes: they take %d bytes as JSON", size)
        return None
    return text


def _facts(options: Options) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "connection": _some(options.connection, _OF_CONNECTIONS),
        "tls": {"enabled": options.ssl_context is not None},
        "pool": _some(options.pool, _OF_POOLS),
        "reconnection": _some(options.reconnection, _OF_RECONNECTION),
        "scylla": _some(options.scylla, _OF_SCYLLA),
        "request": _some(options.request, _OF_REQUESTS),
        "session": _some(options, _OF_SESSIONS),
        "policies": {
            each.name: type(policy).__name__
            for each in fields(PolicyOptions)
            if (policy := getattr(options.policies, each.name)) is not None
        },
        "profiles": {name: _some(profile, _OF_REQUESTS) for name, profile in options.profiles.items()},
    }


def _some(group: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Return options by their names, without those that are not set."""
    found = {name: _as_json(getattr(group, name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _as_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float) and not isfinite(value):  # JSON has no infinity
        return str(value)
    return value
