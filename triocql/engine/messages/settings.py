"""Request options, resolved, with what they lead to: envelopes, and templates of prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from triocql.codecs.cache import LIMIT
from triocql.config.requests import INHERIT, RequestOptions, ResolvedOptions, merge
from triocql.engine.messages.parameters import EncodedParameters
from triocql.statements.paging import PagingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.engine.executing.template import ExecuteMessage, ExecuteTemplate
    from triocql.engine.messages.messages import QueryMessage
    from triocql.statements.prepared import PreparedQuery

    MakeTemplate = Callable[[PreparedQuery, "RequestSettings"], ExecuteTemplate]

_REMEMBERED = 256
_TEMPLATES = 1000
_HEAVIEST = 4 * LIMIT

M = TypeVar("M", "QueryMessage", "ExecuteMessage")


class TemplateCache(dict["PreparedQuery", "ExecuteTemplate"]):
    """The templates of one settings: the one of a text is made when it is first looked up.

    They hold on to their texts, and so are no more than `engine.preparing` keeps.
    """

    __slots__ = ("_make", "_settings", "_weight")

    def __init__(self, make: MakeTemplate, settings: RequestSettings) -> None:
        self._make = make
        self._settings = settings
        self._weight = 0

    def __missing__(self, text: PreparedQuery) -> ExecuteTemplate:
        self._weight += text.state.weight
        if len(self) == _TEMPLATES or self._weight > _HEAVIEST:
            self.clear()
            self._weight = text.state.weight
        template = self[text] = self._make(text, self._settings)
        return template


class RequestSettings:
    """The options of some requests and what was made of them so far."""

    __slots__ = ("_layers", "_version", "_with_metadata", "_without_metadata", "options", "templates")

    def __init__(
        self, options: ResolvedOptions, version: int, make_template: MakeTemplate, *layers: RequestOptions
    ) -> None:
        self.options = options
        self.templates = TemplateCache(make_template, self)
        self._version = version
        self._layers = layers
        self._with_metadata: EncodedParameters | None = None
        self._without_metadata: EncodedParameters | None = None

    def for_values(self, *, skip_metadata: bool) -> EncodedParameters:
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
    ) -> EncodedParameters:
        """Make an envelope that is not kept."""
        return EncodedParameters(
            self.options, self._version, values=values, skip_metadata=skip_metadata, paging_state=paging_state
        )

    def resumed(self, message: M) -> M:
        """Return the message itself or, if the options say where to go on, the one for that page.

        Raises PagingStateMismatch.
        """
        state = self.options.paging_state
        return message if state is None else message.page(PagingState(state).unwrap(message.fingerprint()))


class SettingsCache:
    """Finds the settings for a statement's options and a call's, on top of the session's."""

    def __init__(self, defaults: ResolvedOptions, version: int, make_template: MakeTemplate) -> None:
        self._version = version
        self._make_template = make_template
        self.default = RequestSettings(defaults, version, make_template)
        self._remembered: dict[tuple[int, int], RequestSettings] = {}

    def get(self, statement: RequestOptions, call: RequestOptions) -> RequestSettings:
        """Return the settings. Options are told apart by identity: equal ones made anew get one made anew."""
        if statement is INHERIT and call is INHERIT:
            return self.default
        key = id(statement), id(call)
        settings = self._remembered.get(key)
        if settings is None:
            if len(self._remembered) == _REMEMBERED:
                self._remembered.clear()
            # The settings holds on to both layers, so that their ids stay their own.
            options = merge(self.default.options, statement, call)
            settings = RequestSettings(options, self._version, self._make_template, statement, call)
            self._remembered[key] = settings
        return settings
