"""The parameters around the text or the values of a request: the part that equal options make equal, made once."""

from __future__ import annotations

from dataclasses import replace

from triocql.config.requests import ResolvedOptions
from triocql.errors import UsageError
from triocql.protocol import constants as c
from triocql.protocol.requests import QueryParameters, encode_payload, parameters_head, parameters_tail


class EncodedParameters:
    """Makes the parameters of QUERY and EXECUTE: consistency, flags, values, paging, timestamp.

    The timestamp is the only part that changes from request to request, so that everything around it is kept.
    """

    __slots__ = ("after", "before", "flags", "head", "payload")

    def __init__(
        self,
        options: ResolvedOptions,
        version: int,
        *,
        values: bool = False,
        skip_metadata: bool = False,
        paging_state: bytes | None = None,
    ) -> None:
        parameters = replace(
            base_parameters(options, version, c.SERVER if options.timestamp == c.SERVER else 0),
            values=b"" if values else None,
            skip_metadata=skip_metadata,
            page_size=options.page_size,
            paging_state=paging_state,
        )
        self.flags = frame_flags(options)
        self.payload = payload(options, version)
        self.head = parameters_head(version, parameters)
        before = replace(parameters, timestamp=None, keyspace=None, now_in_seconds=None)
        after = QueryParameters(keyspace=parameters.keyspace, now_in_seconds=parameters.now_in_seconds)
        self.before = parameters_tail(version, before)
        self.after = parameters_tail(version, after)

    def carrying(self, payload: bytes) -> EncodedParameters:
        """Return the same parameters with another custom payload, which is not empty."""
        other = EncodedParameters.__new__(EncodedParameters)
        other.head, other.before, other.after = self.head, self.before, self.after
        other.flags = self.flags | c.FLAG_CUSTOM_PAYLOAD
        other.payload = payload
        return other

    def around(self, values: bytes, timestamp: int) -> bytes:
        """Return the parameters with `values` in them, b"" for none; `timestamp` in microseconds."""
        return b"".join((self.head, values, self.before, stamp(timestamp), self.after))


def stamp(timestamp: int) -> bytes:
    """Return a timestamp as the parameters have it: with `SERVER` there is none."""
    return b"" if timestamp == c.SERVER else timestamp.to_bytes(8, "big", signed=True)


def base_parameters(options: ResolvedOptions, version: int, timestamp: int) -> QueryParameters:
    """Return the parameters that batches have, too; `timestamp` in microseconds, or `SERVER`."""
    if version < c.V5:
        for name in ("keyspace", "now_in_seconds"):
            if getattr(options, name) is not None:
                raise UsageError(
                    f"{name}= for a single request needs protocol v5; the nodes speak v{version}"
                )
    return QueryParameters(
        consistency=options.consistency,
        serial_consistency=options.serial_consistency,
        timestamp=None if timestamp == c.SERVER else timestamp,
        keyspace=options.keyspace,
        now_in_seconds=options.now_in_seconds,
    )


def frame_flags(options: ResolvedOptions) -> int:
    """Return the flags of the frame's header."""
    flags = c.FLAG_TRACING if options.tracing else 0
    return flags | c.FLAG_CUSTOM_PAYLOAD if options.custom_payload else flags


def payload(options: ResolvedOptions, version: int) -> bytes:
    """Return the custom payload as it starts the body, b"" without one."""
    custom = options.custom_payload
    assert not callable(custom), "what a function makes is asked for when the settings are"
    return encode_payload(version, custom) if custom else b""
