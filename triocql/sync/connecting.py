"""`connect` of programs that block: opens a session, and a loop of its own that does its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._hints import CONNECT, one_position
from triocql.reactors.threadloop import ThreadLoop
from triocql.reactors.threadreactor import ThreadReactor
from triocql.session.connecting import open_cluster, whole_options
from triocql.session.context import SessionContext
from triocql.sync.portal import Portal
from triocql.sync.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from triocql.config.contactpoints import ContactPoint
    from triocql.config.options import ConnectKeywords, Options


@one_position(CONNECT)
def connect(
    contact_points: ContactPoint | Iterable[ContactPoint] = "127.0.0.1",
    *,
    port: int = 9042,
    options: Options | None = None,
    **keywords: Unpack[ConnectKeywords],
) -> Session:
    """Connect to a cluster, and return the session: use it in a ``with`` block, or close it.

    Arguments and errors are those of `triocql.connect`. The session's work is done in a daemon thread of its own, under
    gevent's monkey patch in a greenlet.

    >>> with triocql.sync.connect("10.0.0.1", keyspace="shop", timeout=5.0) as session:   # doctest: +SKIP
    ...     session.execute("SELECT * FROM users LIMIT 1")

    Codecs, and classes for user-defined types, can be registered before:

    >>> codecs = triocql.Registry()                                                       # doctest: +SKIP
    >>> codecs.register_udt("shop", "address", Address)                                   # doctest: +SKIP
    >>> with triocql.sync.connect("10.0.0.1", codecs=codecs) as session:                  # doctest: +SKIP
    ...     address = session.execute("SELECT home FROM shop.users").scalar()
    """
    given = whole_options(contact_points, port, options, keywords)
    loop = ThreadLoop()
    loop.start()
    try:
        cluster = loop.run(open_cluster, ThreadReactor(), given)
        return Session(Portal(loop, SessionContext(cluster)))
    except BaseException:
        loop.stop()
        loop.join()
        raise
