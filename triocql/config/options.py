"""The options of a session: frozen dataclasses, and the keyword arguments and URLs that stand for them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypedDict

from triocql._brief import brief
from triocql._hints import check_options, hinted
from triocql.abc import Address, SocketOption
from triocql.codecs.registry import Registry
from triocql.config.checks import (
    require,
    require_integer,
    require_keyspace,
    require_keyspaces,
    require_seconds,
    require_type,
)
from triocql.config.client import ClientOptions
from triocql.config.clientroutes import ClientRoutes
from triocql.config.contactpoints import read_contact_points
from triocql.config.groups import Compression, ConnectionOptions, PoolOptions, ReconnectionOptions
from triocql.config.policies import PolicyOptions, of_session
from triocql.config.profiles import DEFAULT, Profile, Profiles, ResolvedProfile
from triocql.config.requests import Payload, ResolvedOptions
from triocql.config.scylla import ScyllaOptions
from triocql.config.urls import from_text, take_profiles
from triocql.errors import OptionError
from triocql.policies.balancing import BalancingPolicy, DefaultBalancing
from triocql.policies.reconnection import ExponentialBackoff, ReconnectionPolicy
from triocql.protocol.constants import MAX_INT, Consistency

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from uuid import UUID

    from typing_extensions import Unpack

    from triocql.config.contactpoints import ContactPoint
    from triocql.observability.tracker import Tracker
    from triocql.protocol.authenticator import Authenticator, AuthProvider

__all__ = [
    "ClientOptions",
    "ConnectKeywords",
    "ConnectionOptions",
    "Options",
    "PolicyOptions",
    "PoolOptions",
    "ReconnectionOptions",
    "ScyllaOptions",
]


class ConnectKeywords(TypedDict, total=False):
    """The keyword arguments of `connect`: the fields of `Options`, and those of each of its groups."""

    request: ResolvedOptions
    connection: ConnectionOptions
    pool: PoolOptions
    reconnection: ReconnectionOptions
    scylla: ScyllaOptions
    client: ClientOptions

    keyspace: str | None
    auth: Authenticator | AuthProvider | None
    ssl_context: ssl.SSLContext | None
    server_hostname: str | None
    codecs: Registry | None
    prepared_cache: int
    prepare_on_all_hosts: bool
    reprepare_on_up: bool
    schema: bool | Collection[str]
    schema_agreement_timeout: float
    policies: PolicyOptions
    profiles: Mapping[str, Profile]
    local_data_centre: str | None
    local_rack: str | None
    remote_data_centres: Collection[str]
    tracker: Tracker | None
    slow_request: float | None
    slow_request_values: bool

    timeout: float
    attempt_timeout: float | None
    consistency: Consistency | str
    serial_consistency: Consistency | str
    page_size: int
    tracing: bool
    custom_payload: Payload | None

    connect_timeout: float
    protocol_version: int | None
    compression: Compression | None
    max_in_flight: int
    max_orphans: int
    max_frame: int
    heartbeat_interval: float
    heartbeat_timeout: float
    frame_timeout: float
    tcp_nodelay: bool
    tcp_keepalive: bool | int
    socket_options: Sequence[SocketOption]

    connections_local: int
    connections_remote: int
    max_queue: int
    max_queue_bytes: int

    reconnection_base: float
    reconnection_maximum: float
    reconnection_jitter: float

    shard_awareness: bool
    shard_aware_port: bool
    shard_aware_port_range: tuple[int, int]
    connections_per_shard: int
    internal_timeout: float
    tablets_v2: bool
    client_routes: ClientRoutes | None

    application_name: str | None
    application_version: str | None
    client_id: UUID | str | None
    report_options: bool


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that a session is opened with.

    Attributes:
        contact_points: the nodes to begin with, in the order in which they are tried.
        keyspace: the keyspace of the session, as after ``USE``.
        auth: answers the node's authentication: `triocql.PlainTextAuth`, or a class of your own.
        ssl_context: turns on TLS. `ssl.create_default_context()` checks certificate and name. It is used as it is, and
            asked anew for each connection: after its own `load_cert_chain` or `load_verify_locations`, the next
            connection has the new certificates. TLS sessions are not resumed, so that both sides always see them.
        server_hostname: the name that the certificates have to be for; None for the contact point's own.
        codecs: codecs and classes of your own, by a `triocql.Registry`, of which each session has a copy.
        prepared_cache: how many statements that were prepared behind the scenes are kept.
        schema: which keyspaces are known with all that is in them, in `Session.metadata`: all (True), none (False), or
            those with these names. Opening the session waits until they have been read, within `connect_timeout`.
        schema_agreement_timeout: seconds that a statement which has changed the schema waits until all nodes have the
            change, beside its `timeout`; 0 for no waiting: see `Result.schema_agreed`.
        prepare_on_all_hosts: whether a statement that one node has prepared is prepared on the others, too, in the
            background, so that they know it when they are asked for it.
        reprepare_on_up: whether a node that comes back, or is new, is asked to prepare the statements that were in use
            lately before it gets requests. What it does not know all the same is prepared when it says so.
        policies: what is to be decided otherwise than by default, such as when to retry: a `triocql.PolicyOptions`.
        profiles: options and policies for kinds of requests, by names of yours: see `triocql.Profile`.
        local_data_centre: the data centre whose nodes are used; by default that of the first contact point.
        local_rack: the rack in it whose replicas are preferred; none by default.
        remote_data_centres: the names of the data centres that may be used where no local node can be; none by default.
            These three are options of `triocql.policies.DefaultBalancing`.
        request: the defaults of each request.
        connection: what holds for each connection.
        pool: the number of connections, and the bounds of the queue.
        reconnection: the delays between attempts to connect.
        scylla: what is used of the features of ScyllaDB.
        client: what nodes are told of the program.
        tracker: follows each request, see `triocql.observability.tracker.Tracker`.
        slow_request: seconds from which on a request is slow, and is logged, whatever its outcome: by the logger
            `triocql.engine.executing.slowlog`; None for no such log.
        slow_request_values: whether the values of slow requests are shown there, those in the text included.

    Raises OptionError for a value that is not allowed.

    >>> options = Options.from_arguments("cql://10.0.0.1,10.0.0.2/shop?consistency=QUORUM", timeout=2.5)
    >>> options.keyspace, options.request.timeout, [str(each) for each in options.contact_points]
    ('shop', 2.5, ['10.0.0.1:9042', '10.0.0.2:9042'])
    """

    contact_points: tuple[Address, ...] = (Address("127.0.0.1", 9042),)
    keyspace: str | None = None
    auth: Authenticator | AuthProvider | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    server_hostname: str | None = None
    codecs: Registry | None = field(default=None, repr=False)
    prepared_cache: int = 1000
    prepare_on_all_hosts: bool = True
    reprepare_on_up: bool = True
    schema: bool | Collection[str] = True
    schema_agreement_timeout: float = 10.0
    policies: PolicyOptions = field(default=PolicyOptions(), repr=False)
    profiles: Mapping[str, Profile] = field(default_factory=Profiles)
    local_data_centre: str | None = None
    local_rack: str | None = None
    remote_data_centres: Collection[str] = ()
    request: ResolvedOptions = field(default_factory=ResolvedOptions)
    connection: ConnectionOptions = field(default_factory=ConnectionOptions)
    pool: PoolOptions = field(default_factory=PoolOptions)
    reconnection: ReconnectionOptions = field(default_factory=ReconnectionOptions)
    scylla: ScyllaOptions = field(default_factory=ScyllaOptions)
    client: ClientOptions = field(default_factory=ClientOptions)
    tracker: Tracker | None = field(default=None, repr=False)
    slow_request: float | None = None
    slow_request_values: bool = False

    def __post_init__(self) -> None:
        require(len(self.contact_points) > 0, "contact_points", self.contact_points, "at least one address")
        if self.keyspace is not None:
            require_keyspace(self.keyspace, "keyspace")
        name = self.server_hostname
        require(
            name is None or (isinstance(name, str) and name != ""), "server_hostname", name, "a name, or None"
        )
        require_integer(self.prepared_cache, "prepared_cache", 1, MAX_INT)
        for name in ("prepare_on_all_hosts", "reprepare_on_up", "slow_request_values"):
            require_type(getattr(self, name), bool, name, "True or False")
        require_keyspaces(self.schema, "schema")
        require_seconds(self.schema_agreement_timeout, "schema_agreement_timeout", zero=True)
        require_type(self.policies, PolicyOptions, "policies", "a triocql.PolicyOptions")
        if not isinstance(self.profiles, Profiles):
            object.__setattr__(self, "profiles", Profiles(self.profiles))
        balancing = self.local_data_centre, self.local_rack, *self.remote_data_centres
        if self.policies.balancing is None:
            self.balancing_policy  # noqa: B018 - which checks its options
        elif any(balancing):
            raise OptionError(
                "policies= has a balancing policy; give data centres and rack to that: "
                "DefaultBalancing(local_data_centre=...)"
            )
        self._check_watching()
        self._check_routes()
        if self.ssl_context is None and self.server_hostname is not None:
            raise OptionError("server_hostname is for TLS, which is off; set ssl_context=, too")
        if self.ssl_context is not None:
            import ssl  # not at the top: it takes a third of the time of `import triocql`

            require_type(self.ssl_context, ssl.SSLContext, "ssl_context", "an ssl.SSLContext")
            if self.ssl_context.protocol == ssl.PROTOCOL_TLS_SERVER:
                raise OptionError(
                    "ssl_context is one for servers; make it with ssl.create_default_context(), or with "
                    "ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"
                )
        if self.codecs is not None:
            require_type(self.codecs, Registry, "codecs", "a triocql.Registry")
        methods = ("initial_response", "authenticator")
        if isinstance(self.auth, type):
            raise OptionError(f"auth is the class {self.auth.__name__}; it has to be an object of it")
        if self.auth is not None and not any(callable(getattr(self.auth, each, None)) for each in methods):
            raise OptionError(
                f"auth is of type {type(self.auth).__name__}; it has to be an Authenticator or an AuthProvider"
            )

    @property
    def schema_keyspaces(self) -> Collection[str] | None:
        """The names of the keyspaces whose contents are known, None for all."""
        if isinstance(self.schema, bool):
            return None if self.schema else ()
        return self.schema

    @property
    def balancing_policy(self) -> BalancingPolicy:
        """The policy that says which node a request goes to, for one session."""
        policy = self.policies.balancing
        if policy is None:
            policy = DefaultBalancing(
                local_data_centre=self.local_data_centre,
                local_rack=self.local_rack,
                remote_data_centres=self.remote_data_centres,
            )
        own: BalancingPolicy = of_session(policy, "balancing", self.contact_points)
        return own

    def resolve(self, profile: str) -> ResolvedProfile:
        """Return the options and policies of requests with this profile. Raises OptionError if there is none."""
        if profile == DEFAULT:
            return ResolvedProfile(self.request, self.policies)
        profiles: Any = self.profiles  # always of this kind
        resolved: ResolvedProfile = profiles.resolve(profile, self.request, self.policies)
        return resolved

    @property
    def reconnection_policy(self) -> ReconnectionPolicy:
        """The policy that says when a node is dialled again."""
        if self.policies.reconnection is not None:
            return self.policies.reconnection
        delays = self.reconnection
        return ExponentialBackoff(delays.base, delays.maximum, delays.jitter)

    def _check_routes(self) -> None:
        if self.scylla.client_routes is not None:
            self.scylla.client_routes.check(self.policies.addresses, self.ssl_context, self.server_hostname)

    def _check_watching(self) -> None:
        tracker = self.tracker
        hooks = ("start", "attempt", "retry", "finish")
        if self.slow_request is not None:
            require_seconds(self.slow_request, "slow_request", zero=True)
        if tracker is None:
            return
        if isinstance(tracker, type) or not all(callable(getattr(tracker, hook, None)) for hook in hooks):
            kind = f"the class {tracker.__name__}" if isinstance(tracker, type) else type(tracker).__name__
            raise OptionError(f"tracker is {kind}; it has to be an object with {'(), '.join(hooks)}()")
        for hook in ("wants", "payload"):
            method = getattr(tracker, hook, None)
            if method is not None and not callable(method):
                raise OptionError(f"{hook} of the tracker is {brief(method)}; it has to be a method, or None")
        for hook in (*hooks, "wants", "payload"):
            if iscoroutinefunction(getattr(tracker, hook, None)):
                raise OptionError(
                    f"{hook}() of the tracker is `async def`: it is called in the midst of things, by `def`"
                )

    @classmethod
    def from_arguments(
        cls,
        contact_points: ContactPoint | Iterable[ContactPoint] = "127.0.0.1",
        *,
        port: int = 9042,
        **keywords: Unpack[ConnectKeywords],
    ) -> Options:
        """Make options of the arguments of `connect`.

        Args:
            contact_points: one or several of: a host name or address, with or without a port; the path of a
                unix socket; an `Address`; a URL ``cql://user:password@host1,host2:9042/keyspace?name=value``.
            port: the port of those that do not name one.
            keywords: see `ConnectKeywords`. They go before what a URL says.

        Raises OptionError for an argument that is unknown or not valid.
        """
        require_integer(port, "port", 1, 65_535)
        found = read_contact_points(contact_points, port)
        profiles = take_profiles(found.query)
        given = {
            **found.options,
            **{name: from_text(name, text, _TYPES) for name, text in found.query.items()},
            **keywords,
        }
        if profiles:
            given["profiles"] = {**profiles, **given.get("profiles", {})}
        groups = {name: _pop_group(name, given) for name in _GROUPS}
        own = {name: given.pop(name) for name in _OWN if name in given}
        check_options(given, (*_TYPES, *_GROUPS))
        return cls(contact_points=tuple(found.addresses), **own, **groups)


_GROUPS: dict[str, tuple[Any, str]] = {
    "request": (ResolvedOptions, ""),
    "connection": (ConnectionOptions, ""),
    "pool": (PoolOptions, ""),
    "reconnection": (ReconnectionOptions, "reconnection_"),
    "scylla": (ScyllaOptions, ""),
    "client": (ClientOptions, ""),
}
_OWN = {
    each.name: str(each.type) for each in fields(Options) if each.name not in ("contact_points", *_GROUPS)
}
# Of each flat name, the type as it is written at its field.
_TYPES = _OWN | {
    prefix + name: kind.__annotations__[name]
    for kind, prefix in _GROUPS.values()
    for name in kind.__annotations__
}


def _pop_group(name: str, given: dict[str, Any]) -> Any:
    """Move the options of one group out of `given`: the group as a whole, and single ones on top of it."""
    kind, prefix = _GROUPS[name]
    group = given.pop(name) if name in given else kind()
    require_type(group, kind, name, f"a {kind.__name__}")
    flat = {each: given.pop(prefix + each) for each in kind.__annotations__ if prefix + each in given}
    return replace(group, **flat) if flat else group
