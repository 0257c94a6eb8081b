"""`connect`: opens a session."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from triocql._brief import brief
from triocql._hints import CONNECT, one_position
from triocql.cluster.cluster import Cluster
from triocql.codecs.registry import Registry
from triocql.config.options import Options
from triocql.errors import OptionError, UnknownAttribute, UsageError
from triocql.reactors import running_loop, select
from triocql.reactors.unattended import unattended
from triocql.session.context import DRAIN_TIMEOUT, SessionContext
from triocql.session.session import Session
from triocql.session.sources import check_leaving

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from types import TracebackType

    from typing_extensions import Unpack

    from triocql.abc import Reactor
    from triocql.config.contactpoints import ContactPoint
    from triocql.config.options import ConnectKeywords
    from triocql.reactors import ReactorName


class Connecting:
    """The return value of `connect`: enter it with ``async with``, or await it (asyncio)."""

    def __init__(self, reactor: ReactorName | Reactor, options: Options) -> None:
        self._choice = reactor
        self._options = options
        self._used = False
        self._cluster: Cluster

    async def __aenter__(self) -> Session:
        cluster = await self._open()
        try:
            return Session(SessionContext(cluster))
        except (
            BaseException
        ):  # a Ctrl-C on Trio, which comes between any two steps; nobody else would leave then
            await self.__aexit__(*sys.exc_info())
            raise

    async def _open(self) -> Cluster:
        if self._used:
            raise UsageError("this connect() was used already; call it again for another session")
        reactor = select(self._choice)
        self._used = True
        self._cluster = cluster = await open_cluster(reactor, self._options)
        return cluster

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        cluster = self._cluster
        try:
            cluster.reactor.check_caller()
            check_leaving(cluster.reactor)
            if exc is None:
                await cluster.leave(DRAIN_TIMEOUT)
                return
        except KeyboardInterrupt:
            if cluster.router.ending is None:  # else `leave` sees to it
                await _drop(cluster)
            raise
        cluster.close()
        await cluster.reactor.__aexit__(exc_type, exc, tb)

    def __enter__(self) -> NoReturn:
        raise UsageError(
            "write `async with triocql.connect(...) as session:`; for programs that block there is "
            "`with triocql.sync.connect(...) as session:`"
        )

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing: it is never entered so."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise UnknownAttribute(
                f"what connect() returns is no session yet, and has no attribute {name!r}; write "
                "`async with triocql.connect(...) as session:` or, in asyncio, `session = await triocql.connect(...)`",
                name=name,
            )

    def __await__(self) -> Generator[Any, Any, Session]:
        if isinstance(self._choice, str) and running_loop() == "trio":
            raise UsageError(
                "`await connect(...)` is for asyncio; in Trio write `async with triocql.connect(...) as session:`"
            )
        return self._awaited().__await__()

    async def _awaited(self) -> Session:
        cluster = await self._open()
        return Session(SessionContext(cluster, unattended(partial(cluster.leave, 0))))


@one_position(CONNECT)
def connect(
    contact_points: ContactPoint | Iterable[ContactPoint] = "127.0.0.1",
    *,
    port: int = 9042,
    reactor: ReactorName | Reactor = "auto",
    options: Options | None = None,
    **keywords: Unpack[ConnectKeywords],
) -> Connecting:
    """Connect to a cluster, in the event loop that is running: Trio, or asyncio; AnyIO programs run in one of them.

    Args:
        contact_points: one node or several, each a host name or address with or without a port, the path of a unix
            socket, or a URL like ``cql://user:password@host1,host2:9042/keyspace?consistency=QUORUM``.
        port: the port of those that do not name one.
        reactor: "auto" finds out which loop is running, "trio" and "asyncio" insist on one.
        options: everything at once, instead of contact points, port and keywords.
        keywords: the fields of `Options` and its groups by their flat names, see `ConnectKeywords`.

    Returns what ``async with`` takes; in asyncio it can be awaited instead, and the session closed by
    `Session.aclose`.

    Raises OptionError at once for what is not valid; ConnectError and its kinds on entering, with every attempt.

    >>> async with triocql.connect("10.0.0.1", keyspace="shop", timeout=5.0) as session:   # doctest: +SKIP
    ...     await session.execute("SELECT * FROM users LIMIT 1")

    Codecs, and classes for user-defined types, can be registered before:

    >>> codecs = triocql.Registry()                                                        # doctest: +SKIP
    >>> codecs.register_udt("shop", "address", Address)                                    # doctest: +SKIP
    >>> async with triocql.connect("10.0.0.1", codecs=codecs) as session:                  # doctest: +SKIP
    ...     address = (await session.execute("SELECT home FROM shop.users")).scalar()
    """
    return Connecting(reactor, whole_options(contact_points, port, options, keywords))


def whole_options(
    contact_points: ContactPoint | Iterable[ContactPoint],
    port: int,
    options: Options | None,
    keywords: ConnectKeywords,
) -> Options:
    """Return the options of a session from the arguments of `connect`. Raises OptionError."""
    if options is None:
        return Options.from_arguments(contact_points, port=port, **keywords)
    if keywords:
        raise OptionError(f"options= was given; put {next(iter(keywords))}= into it, not beside it")
    if not isinstance(options, Options):
        raise OptionError(
            f"options is {brief(options)}; it has to be triocql.Options: those by name need no options="
        )
    return options


async def _drop(cluster: Cluster) -> None:
    """Close a cluster and leave its reactor, because of the exception that is being handled."""
    cluster.close()
    await cluster.reactor.__aexit__(*sys.exc_info())


async def open_cluster(reactor: Reactor, options: Options) -> Cluster:
    """Enter the reactor and connect; leave it again if that fails. Raises ConnectError and its kinds."""
    codecs = Registry() if options.codecs is None else options.codecs.copy()
    await reactor.__aenter__()
    try:
        cluster = Cluster(reactor, options, codecs)
        await cluster.open()
    except BaseException:
        await reactor.__aexit__(*sys.exc_info())
        raise
    return cluster
