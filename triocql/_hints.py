"""What to say about a name that triocql does not have: one of cassandra-driver, or a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from triocql.errors import OptionError, UnknownAttribute

_LOGIN = "auth=triocql.PlainTextAuth(username, password)"
_BY_CALL = "the options of a call, of a Statement, or of connect()"

_OPTIONS = {
    "auth_provider": _LOGIN,
    "cl": "consistency=",
    "consistency_level": "consistency=",
    "control_connection_timeout": "connect_timeout=",
    "default_consistency_level": "consistency=",
    "default_fetch_size": "page_size=",
    "default_serial_consistency_level": "serial_consistency=",
    "default_timeout": "timeout=",
    "execution_profile": _BY_CALL,
    "execution_profiles": _BY_CALL,
    "fetch_size": "page_size=",
    "idle_heartbeat_interval": "heartbeat_interval=",
    "idle_heartbeat_timeout": "heartbeat_timeout=",
    "is_idempotent": "idempotent=",
    "password": _LOGIN,
    "reconnection_policy": "reconnection_base=, reconnection_maximum=",
    "request_timeout": "timeout=",
    "row_factory": "row_type=, with each call",
    "serial_consistency_level": "serial_consistency=",
    "ssl_options": "ssl_context=",
    "trace": "tracing=",
    "use_client_timestamp": "timestamp=triocql.SERVER, with the calls concerned",
    "user": _LOGIN,
    "username": _LOGIN,
}

_ATTRIBUTES = {
    "client_protocol_handler": "the codecs of `session.codecs`, and row_type= with each call",
    "cluster": "nothing: there is no Cluster, and connect() takes its options",
    "default_consistency_level": "consistency= of connect(), of a statement or of a call",
    "default_fetch_size": "page_size= of connect(), of a statement or of a call",
    "default_serial_consistency_level": "serial_consistency= of connect(), of a statement or of a call",
    "default_timeout": "timeout= of connect(), of a statement or of a call",
    "encoder": "nothing: values are bound on the wire; a codec for a type goes to `session.codecs`",
    "execute_async": "a task of your own around `await session.execute(...)`, or a request nursery",
    "get_execution_profile": _BY_CALL,
    "is_shutdown": "`except triocql.errors.SessionClosed`",
    "keyspace": 'session.execute("USE ...")',
    "max_trace_wait": "the argument of result.trace(timeout=...)",
    "row_factory": "row_type= with each call",
    "set_keyspace": 'session.execute("USE ...")',
    "shutdown": "the block of connect(), or `aclose()`, `close()` of a session that blocks",
    "timestamp_generator": "timestamp= of a statement or of a call",
    "use_client_timestamp": "timestamp=triocql.SERVER of a statement or of a call",
    "user_type_registered": "session.codecs.register_udt()",
}


def check_options(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise OptionError for the first option that is not known."""
    known = tuple(known)
    for name in given:
        if name not in known:
            raise OptionError(f"unknown option {name!r}{near(name, known)}")


def near(name: str, known: Iterable[str]) -> str:
    """Say what to write instead of an option: what the old name has become, or which ones there are like it."""
    if name in _OPTIONS:
        return f"; write {_OPTIONS[name]}"
    close = difflib.get_close_matches(name, [*known])
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; there are: {', '.join(sorted(known))}"


class NoOtherAttributes:
    """A class whose instances have the public attributes that it says, and no others: what is not there is no place to
    set an option, nor one to read it.
    """

    _ATTRIBUTES: ClassVar[tuple[str, ...]]
    """The public attributes that the constructor sets."""

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            cls = type(self)
            if not (name.startswith("_") or name in cls._ATTRIBUTES or hasattr(cls, name)):
                raise _unknown(name)
            try:
                object.__setattr__(self, name, value)
            except AttributeError:  # a property
                raise _unknown(name, "cannot be set") from None

        def __getattr__(self, name: str) -> Any:
            raise _unknown(name)


def _unknown(name: str, what: str = "is no attribute") -> UnknownAttribute:
    hint = _ATTRIBUTES.get(name)
    return UnknownAttribute(f"{name!r} {what} of a session{f'; write {hint}' if hint else ''}", name=name)


def forgotten_await(value: object) -> str:
    """Say what is missing if `value` is what an async function gives before it is awaited."""
    return "; write `await` before the call that gave it" if type(value).__name__ == "coroutine" else ""
