"""Request options, resolved, with the envelopes that they lead to."""

from __future__ import annotations

from triocql.engine.envelope import Envelope
from triocql.statements import INHERIT, RequestOptions, ResolvedOptions, merge

_REMEMBERED = 256


class Profile:
    """The options of some requests and the envelopes made of them so far."""

    __slots__ = ("_layer", "_version", "_with_metadata", "_without_metadata", "options")

    def __init__(self, options: ResolvedOptions, version: int, layer: RequestOptions = INHERIT) -> None:
        self.options = options
        self._version = version
        self._layer = layer
        self._with_metadata: Envelope | None = None
        self._without_metadata: Envelope | None = None

    def for_values(self, *, skip_metadata: bool) -> Envelope:
        """Return the envelope for encoded values."""
        if skip_metadata:
            envelope = self._without_metadata
            if envelope is None:
                envelope = self._without_metadata = self.make(values=True, skip_metadata=True)
            return envelope
        envelope = self._with_metadata
        if envelope is None:
            envelope = self._with_metadata = self.make(values=True)
        return envelope

    def make(
        self, *, values: bool = False, skip_metadata: bool = False, paging_state: bytes | None = None
    ) -> Envelope:
        """Make an envelope that is not kept."""
        return Envelope(
            self.options, self._version, values=values, skip_metadata=skip_metadata, paging_state=paging_state
        )


class Profiles:
    """Finds the profile for a statement's options and a call's, on top of the session's."""

    def __init__(self, defaults: ResolvedOptions, version: int) -> None:
        self._version = version
        self.default = Profile(defaults, version)
        self._of_statements: dict[int, Profile] = {}

    def get(self, statement: RequestOptions, call: RequestOptions) -> Profile:
        """Return the profile; the one of a statement's own options is remembered, as statements are used again."""
        if call is not INHERIT:
            return Profile(merge(self.default.options, statement, call), self._version)
        if statement is INHERIT:
            return self.default
        profile = self._of_statements.get(id(statement))
        if profile is None:
            if len(self._of_statements) == _REMEMBERED:
                self._of_statements.clear()
            # It holds on to `statement`, so that its id stays its own.
            profile = Profile(merge(self.default.options, statement), self._version, statement)
            self._of_statements[id(statement)] = profile
        return profile
