"""The parameters of requests with the same options: encoded once, used by all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from triocql.config.profiles import DEFAULT
from triocql.config.requests import check_payload
from triocql.engine.messages.parameters import EncodedParameters
from triocql.policies.balancing import RoutedRequest
from triocql.protocol.requests import encode_payload
from triocql.statements.paging import PagingState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triocql.config.requests import ResolvedOptions


class Paged(Protocol):
    """A message whose answer is read page by page."""

    def fingerprint(self) -> bytes:
        """Return what its paging states are bound to."""

    def page(self: P, paging_state: bytes) -> P:
        """Return the message that asks for the page after `paging_state`."""


P = TypeVar("P", bound=Paged)


class ParametersEncoder:
    """Encodes the parameters of requests that have the same options, and keeps what does not change among them.

    Attributes:
        options: the options.
        profile: the name of the profile that they are of, "" for the session's own options.
        version: of the protocol.
    """

    __slots__ = ("_with_metadata", "_without_metadata", "options", "profile", "version")

    def __init__(self, options: ResolvedOptions, version: int) -> None:
        self.options = options
        self.profile = "" if options.profile in (None, DEFAULT) else options.profile
        self.version = version
        self._with_metadata: EncodedParameters | None = None
        self._without_metadata: EncodedParameters | None = None

    def for_values(self, *, skip_metadata: bool) -> EncodedParameters:
        """Return the parameters around encoded values."""
        if skip_metadata:
            parameters = self._without_metadata
            if parameters is None:
                parameters = self._without_metadata = self.make(values=True, skip_metadata=True)
            return parameters
        parameters = self._with_metadata
        if parameters is None:
            parameters = self._with_metadata = self.make(values=True)
        return parameters

    def make(
        self, *, values: bool = False, skip_metadata: bool = False, paging_state: bytes | None = None
    ) -> EncodedParameters:
        """Make parameters that are not kept."""
        return EncodedParameters(
            self.options, self.version, values=values, skip_metadata=skip_metadata, paging_state=paging_state
        )

    def payload_with(self, told: Mapping[str, bytes | None]) -> bytes:
        """Return the custom payload with what a tracker tells, too; the options have the last word. Raises OptionError
        and BindValueError.
        """
        check_payload(told, "what payload() of the tracker returns")
        custom = self.options.custom_payload
        assert not callable(custom), "what a function makes is asked for when the settings are"
        return encode_payload(self.version, {**told, **(custom or {})})

    def is_lwt(self, *, by_text: bool) -> bool:
        """Return whether a request is a lightweight transaction, which it may be by its text."""
        options = self.options
        return by_text or options.consistency.is_serial if options.lwt is None else options.lwt

    def routed(
        self,
        statement: str,
        keyspace: str | None,
        *,
        idempotent: bool,
        is_lwt: bool,
        table: str | None = None,
        routing_key: Callable[[], bytes | None] | None = None,
        token: int | None = None,
    ) -> RoutedRequest:
        """Return what a balancing policy is told of a request with these options."""
        options = self.options
        return RoutedRequest(
            statement,
            keyspace=keyspace,
            table=table,
            routing_key=routing_key,
            token=token,
            consistency=options.consistency,
            serial_consistency=options.serial_consistency,
            is_lwt=self.is_lwt(by_text=is_lwt),
            idempotent=idempotent,
            node=options.node,
        )

    def resumed(self, message: P) -> P:
        """Return the message itself or, if the options say where to go on, the one for that page.

        Raises PagingStateMismatch.
        """
        state = self.options.paging_state
        return message if state is None else message.page(PagingState(state).unwrap(message.fingerprint()))
