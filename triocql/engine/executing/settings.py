"""Request options, resolved, with what they lead to: encoded parameters, and templates of prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.codecs.cache import LIMIT
from triocql.config.profiles import DEFAULT, unknown_profile
from triocql.config.requests import INHERIT, RequestOptions, ResolvedOptions, merge
from triocql.engine.messages.encoder import ParametersEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triocql.engine.executing import ExecuteTemplate
    from triocql.engine.executing.context import ExecutionContext
    from triocql.statements.prepared import PreparedQuery

    MakeTemplate = Callable[[PreparedQuery, "RequestSettings"], ExecuteTemplate]

_REMEMBERED = 256
_TEMPLATES = 1000
_HEAVIEST = 4 * LIMIT


class TemplateCache(dict["PreparedQuery", "ExecuteTemplate"]):
    """The templates of one settings: the one of a statement is made when it is first looked up.

    They hold on to their statements, and so are no more than `engine.executing.preparing` keeps.
    """

    __slots__ = ("_make", "_settings", "_weight")

    def __init__(self, make: MakeTemplate, settings: RequestSettings) -> None:
        self._make = make
        self._settings = settings
        self._weight = 0

    def __missing__(self, query: PreparedQuery) -> ExecuteTemplate:
        self._weight += query.state.weight
        if len(self) == _TEMPLATES or self._weight > _HEAVIEST:
            self.clear()
            self._weight = query.state.weight
        template = self[query] = self._make(query, self._settings)
        return template


class RequestSettings(ParametersEncoder):
    """The options of some requests and what was made of them so far.

    Attributes:
        context: what their executions are started in.
        templates: of prepared statements.
    """

    __slots__ = ("_layers", "context", "templates")

    def __init__(
        self,
        options: ResolvedOptions,
        version: int,
        context: ExecutionContext,
        make_template: MakeTemplate,
        *layers: RequestOptions,
    ) -> None:
        ParametersEncoder.__init__(self, options, version)
        self.context = context
        self.templates = TemplateCache(make_template, self)
        # Held on to, so that the ids of the layers stay their own.
        self._layers = layers


class SettingsCache:
    """Finds the settings for a statement's options and a call's, on top of those of a profile, or the session's.

    Args:
        profiles: what each profile comes to, the session's own options among them, by their names.
        version: of the protocol.
        make: makes templates.

    Attributes:
        default: the session's own.
    """

    def __init__(
        self,
        profiles: Mapping[str, tuple[ResolvedOptions, ExecutionContext]],
        version: int,
        make: MakeTemplate,
    ) -> None:
        self._version = version
        self._make_template = make
        self._profiles = {name: self._made(*each) for name, each in profiles.items()}
        self._remembered: dict[tuple[int, int], RequestSettings] = {}
        self.default = self._profiles[DEFAULT]

    def of_profile(self, name: str) -> RequestSettings:
        """Return the settings of requests with a profile and no other options. Raises OptionError if there is none."""
        settings = self._profiles.get(name)
        if settings is None:
            raise unknown_profile(name, self._profiles)
        return settings

    def get(self, statement: RequestOptions, call: RequestOptions) -> RequestSettings:
        """Return the settings. Options are told apart by identity: equal ones made anew get one made anew. Raises
        OptionError for a profile that there is not.
        """
        if statement is INHERIT and call is INHERIT:
            return self.default
        key = id(statement), id(call)
        settings = self._remembered.get(key)
        if settings is None:
            profile = self.of_profile(call.profile or statement.profile or DEFAULT)
            if len(self._remembered) == _REMEMBERED:
                self._remembered.clear()
            options = merge(profile.options, statement, call)
            settings = self._made(options, profile.context, statement, call)
            self._remembered[key] = settings
        return settings

    def _made(
        self, options: ResolvedOptions, context: ExecutionContext, *layers: RequestOptions
    ) -> RequestSettings:
        return RequestSettings(options, self._version, context, self._make_template, *layers)
