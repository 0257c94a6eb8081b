"""What a balancing policy is, and what it is told of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    from triocql.metadata import Tablet
    from triocql.metadata.node import Distance, Node
    from triocql.metadata.partitioners import Token
    from triocql.metadata.snapshot import Snapshot


ALONE = (Consistency.ONE, Consistency.LOCAL_ONE)
"""The consistencies that any replica can serve alone."""


class RoutedRequest:
    """A request, as a balancing policy sees it.

    Attributes:
        statement: its text, without values; "BATCH" for a batch.
        keyspace: that of its table or, as far as its columns do not tell, the one that names are looked up in; None
            if there is none.
        table: the table that it is about, as far as its columns tell; None if they do not.
        consistency: how many replicas have to answer.
        serial_consistency: SERIAL or LOCAL_SERIAL, for its condition, if it has one.
        is_lwt: whether it is a lightweight transaction: conditional, or read at a serial consistency. Those of one
            partition had better go to the same replica.
        idempotent: whether it may be executed twice.
        node: the only node that it may go to, if the caller has named one: no policy is asked then.
        snapshot: the cluster that it is routed in: the one that `plan` gets; None before.
    """

    __slots__ = (
        "_find_key",
        "_key",
        "_token",
        "consistency",
        "idempotent",
        "is_lwt",
        "keyspace",
        "node",
        "serial_consistency",
        "snapshot",
        "statement",
        "table",
    )

    def __init__(
        self,
        statement: str,
        *,
        keyspace: str | None = None,
        table: str | None = None,
        routing_key: Callable[[], bytes | None] | None = None,
        token: int | None = None,
        consistency: Consistency = Consistency.LOCAL_ONE,
        serial_consistency: Consistency = Consistency.SERIAL,
        is_lwt: bool = False,
        idempotent: bool = False,
        node: Node | None = None,
    ) -> None:
        self.statement = statement
        self.keyspace = keyspace
        self.table = table
        self.consistency = consistency
        self.serial_consistency = serial_consistency
        self.is_lwt = is_lwt
        self.idempotent = idempotent
        self.node = node
        self.snapshot: Snapshot | None = None
        self._find_key = routing_key
        self._token = token
        self._key: bytes | None = None

    @property
    def routing_key(self) -> bytes | None:
        """Its partition key, as nodes hash it; None if that is not known: of text without values, for one."""
        if self._find_key is not None:
            self._key = self._find_key()
            self._find_key = None
        return self._key

    @property
    def token(self) -> Token | None:
        """The token of its partition, which says where on the ring it is; None if its key or the ring is not known, or
        if its table has a partitioner of its own. Of what reads a range of tokens, the last one."""
        key, snapshot = self.routing_key, self.snapshot
        if snapshot is None:
            return None
        if self.keyspace is not None and snapshot.has_partitioner(self.keyspace, self.table):
            return None
        return self._token if key is None else snapshot.token(key)

    @property
    def replicas(self) -> tuple[Node, ...]:
        """The nodes that have its partition, as `Snapshot.replicas` tells them; () if they are not known."""
        key, snapshot = self.routing_key, self.snapshot
        if self.keyspace is None or key is None or snapshot is None:
            return ()
        return snapshot.replicas(self.keyspace, key, self.table)

    @property
    def tablet(self) -> Tablet | None:
        """The tablet that its partition is in, where tables have tablets; None if it is not known."""
        key, snapshot = self.routing_key, self.snapshot
        if self.keyspace is None or self.table is None or snapshot is None:
            return None
        if key is not None:
            return snapshot.tablet(self.keyspace, self.table, key)
        return None if self._token is None else snapshot.tablet_at(self.keyspace, self.table, self._token)

    @property
    def leader(self) -> Node | None:
        """The leader of its tablet, if it had better go there: not at ONE or LOCAL_ONE, which any replica can serve
        alone. None where tablets have none."""
        if self.keyspace is None or self.snapshot is None or not self.snapshot.leads(self.keyspace):
            return None
        tablet = None if self.consistency in ALONE else self.tablet
        return None if tablet is None or tablet.version is None else tablet.replicas[0]

    def __repr__(self) -> str:
        return f"<RoutedRequest {self.statement!r}>"


class BalancingPolicy(Protocol):
    """Says how far nodes are, and puts them into an order for each request. Called on the loop: it must not block.

    It is handed a snapshot of the cluster, which never changes, and nodes with their live `Node.statistics`. What it
    raises for a request fails that request. A session may be asked for something while it decides.

    It may have a method ``explain(snapshot)``, which returns why it has no node for anything, or None: that is what
    the `NoNodeAvailable` of a request says that `plan` has no node for.
    """

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        """Return how far `node` is: how many connections it gets, if any. Asked when a snapshot follows another."""

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> Iterable[Node]:
        """Return the nodes that `request` may go to, the first one first; they are taken one by one, as needed.

        Any iterable will do, such as a generator. What it repeats, and what there are no connections to, is passed
        over.
        """
