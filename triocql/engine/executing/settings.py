"""Request options, resolved, with what they lead to: encoded parameters, and templates of prepared statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from triocql.codecs.cache import LIMIT
from triocql.config.profiles import DEFAULT, unknown_profile
from triocql.config.requests import INHERIT, RequestOptions, ResolvedOptions, check_payload, merge
from triocql.engine.messages.encoder import ParametersEncoder

if TYPE_CHECKING:
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
        carried: where a function makes the custom payload, the settings with what it makes now; else None.
    """

    __slots__ = ("_layers", "carried", "context", "templates")

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
        self.carried: Carried | None = None
        self.templates: dict[PreparedQuery, ExecuteTemplate] = TemplateCache(make_template, self)
        if callable(options.custom_payload):
            self.carried = Carried(self, make_template, options.custom_payload)
            self.templates = CarriedTemplates(self.carried)
        # Held on to, so that the ids of the layers stay their own.
        self._layers = layers


class Carried:
    """The settings of requests whose custom payload a function makes: with the one of this moment. They are kept as
    long as it makes the same, as it does for many requests of one trace.

    Args:
        settings: what they have besides.
        make: makes templates.
        payload: the function.
    """

    def __init__(self, settings: RequestSettings, make: MakeTemplate, payload: Callable[[], Any]) -> None:
        self._settings = settings
        self._make_template = make
        self._function = payload
        self._without = self._with({})
        self._latest: tuple[dict[str, bytes | None], RequestSettings] = {}, self._without

    def now(self) -> RequestSettings:
        """Return them. Raises what the function does, and OptionError if it returns no payload."""
        payload = self._function()
        if not payload and isinstance(payload, Mapping):
            return self._without
        latest, settings = self._latest
        if payload != latest:
            check_payload(payload, "what the function custom_payload returns")
            payload = dict(payload)
            settings = self._with(payload)
            self._latest = payload, settings
        return settings

    def _with(self, payload: Mapping[str, bytes | None]) -> RequestSettings:
        settings = self._settings
        options = merge(settings.options, RequestOptions(custom_payload=payload))
        return RequestSettings(options, settings.version, settings.context, self._make_template)


class CarriedTemplates(dict["PreparedQuery", "ExecuteTemplate"]):
    """The templates of settings whose custom payload a function makes: it keeps none, so that each look-up asks."""

    __slots__ = ("_carried",)

    def __init__(self, carried: Carried) -> None:
        self._carried = carried

    def __missing__(self, query: PreparedQuery) -> ExecuteTemplate:
        return self._carried.now().templates[query]


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
        is_plain = statement is INHERIT and call is INHERIT
        settings = self.default if is_plain else self._laid_over(statement, call)
        return settings if settings.carried is None else settings.carried.now()

    def _laid_over(self, statement: RequestOptions, call: RequestOptions) -> RequestSettings:
        key = id(statement), id(call)
        found = self._remembered.get(key)
        if found is None:
            profile = self.of_profile(call.profile or statement.profile or DEFAULT)
            if len(self._remembered) == _REMEMBERED:
                self._remembered.clear()
            options = merge(profile.options, statement, call)
            found = self._remembered[key] = self._made(options, profile.context, statement, call)
        return found

    def _made(
        self, options: ResolvedOptions, context: ExecutionContext, *layers: RequestOptions
    ) -> RequestSettings:
        return RequestSettings(options, self._version, context, self._make_template, *layers)
