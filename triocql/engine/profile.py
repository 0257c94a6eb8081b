"""Request options, resolved, with what they lead to: envelopes, and launches of prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from triocql.codecs.cache import LIMIT
from triocql.engine.envelope import Envelope
from triocql.paging import PagingState
from triocql.statements import INHERIT, RequestOptions, ResolvedOptions, merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.engine.launch import ExecuteMessage, Launch
    from triocql.engine.messages import QueryMessage
    from triocql.prepared import PreparedText

    MakeLaunch = Callable[[PreparedText, "Profile"], Launch]

_REMEMBERED = 256
_LAUNCHES = 1000
_HEAVIEST = 4 * LIMIT

M = TypeVar("M", "QueryMessage", "ExecuteMessage")


class Launches(dict["PreparedText", "Launch"]):
    """The launches of one profile: the one of a text is made when it is first looked up.

    They hold on to their texts, and so are no more than `engine.preparing` keeps.
    """

    __slots__ = ("_make", "_profile", "_weight")

    def __init__(self, make: MakeLaunch, profile: Profile) -> None:
        self._make = make
        self._profile = profile
        self._weight = 0

    def __missing__(self, text: PreparedText) -> Launch:
        self._weight += text.state.weight
        if len(self) == _LAUNCHES or self._weight > _HEAVIEST:
            self.clear()
            self._weight = text.state.weight
        launch = self[text] = self._make(text, self._profile)
        return launch


class Profile:
    """The options of some requests and what was made of them so far."""

    __slots__ = ("_layers", "_version", "_with_metadata", "_without_metadata", "launches", "options")

    def __init__(
        self, options: ResolvedOptions, version: int, make_launch: MakeLaunch, *layers: RequestOptions
    ) -> None:
        self.options = options
        self.launches = Launches(make_launch, self)
        self._version = version
        self._layers = layers
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

    def resumed(self, message: M) -> M:
        """Return the message itself or, if the options say where to go on, the one for that page.

        Raises PagingStateMismatch.
        """
        state = self.options.paging_state
        return message if state is None else message.page(PagingState(state).unwrap(message.fingerprint()))


class Profiles:
    """Finds the profile for a statement's options and a call's, on top of the session's."""

    def __init__(self, defaults: ResolvedOptions, version: int, make_launch: MakeLaunch) -> None:
        self._version = version
        self._make_launch = make_launch
        self.default = Profile(defaults, version, make_launch)
        self._remembered: dict[tuple[int, int], Profile] = {}

    def get(self, statement: RequestOptions, call: RequestOptions) -> Profile:
        """Return the profile. Options are told apart by identity: equal ones made anew get one made anew."""
        if statement is INHERIT and call is INHERIT:
            return self.default
        key = id(statement), id(call)
        profile = self._remembered.get(key)
        if profile is None:
            if len(self._remembered) == _REMEMBERED:
                self._remembered.clear()
            # The profile holds on to both layers, so that their ids stay their own.
            options = merge(self.default.options, statement, call)
            profile = Profile(options, self._version, self._make_launch, statement, call)
            self._remembered[key] = profile
        return profile
