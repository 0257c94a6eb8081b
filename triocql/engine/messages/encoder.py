"""The parameters of requests with the same options: encoded once, used by all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from triocql.config.profiles import DEFAULT
from triocql.engine.messages.parameters import EncodedParameters
from triocql.policies.balancing import RoutedRequest
from triocql.statements.paging import PagingState

if TYPE_CHECKING:
    from collections.abc import Callable

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
        profile: the name of the execution profile that they are of, "" for the session's own options.
    """

    __slots__ = ("_version", "_with_metadata", "_without_metadata", "options", "profile")

    def __init__(self, options: ResolvedOptions, version: int) -> None:
        self.options = options
        self.profile = "" if options.profile in (None, DEFAULT) else options.profile
        self._version = version
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
            self.options, self._version, values=values, skip_metadata=skip_metadata, paging_state=paging_state
        )

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
        routing_key: Callable[[], bytes | None] | None = None,
    ) -> RoutedRequest:
        """Return what a balancing policy is told of a request with these options."""
        options = self.options
        return RoutedRequest(
            statement,
            keyspace=keyspace,
            routing_key=routing_key,
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
