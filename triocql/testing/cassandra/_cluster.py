"""A cluster of real Cassandra nodes on this machine, for as long as a block of code."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import anyio
import anyio.to_thread

from triocql.config.auth import PlainTextAuth
from triocql.testing.cassandra._authority import Authority, client_context
from triocql.testing.cassandra._cache import locked
from triocql.testing.cassandra._configuration import NUM_TOKENS, feature_settings
from triocql.testing.cassandra._errors import LauncherError, StartError
from triocql.testing.cassandra._folder import ClusterFolder
from triocql.testing.cassandra._install import Installation, installation
from triocql.testing.cassandra._loopback import LoopbackBlock
from triocql.testing.cassandra._node import SUPERUSER, ClusterFacts, Node
from triocql.testing.cassandra._signals import uninterrupted
from triocql.testing.cassandra._topology import Place, Topology, places, tokens
from triocql.testing.cassandra._versions import DEFAULT_VERSION, version_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

Tls: TypeAlias = Literal["one-way", "mutual"]
TLS_KINDS: Final = get_args(Tls)

_GOSSIP_TIMEOUT: Final = 120.0


class CassandraCluster:
    """A cluster of real Apache Cassandra nodes, each a process on a loopback address of its own.

    The first time, Cassandra is fetched into the user's cache folder, and Java, too, unless the machine has the right
    one: 17 for Cassandra 5.0, 11 for 4.1 and 4.0. Clusters of any number of processes run side by side. No node
    outlives its owner: neither the ``with`` block nor the process, however that ends. Linux only.

    Args:
        nodes: how many nodes, in "rack1" of data centre "dc1"; one by default.
        topology: instead of `nodes`, how many nodes in each rack of each data centre.
        version: a version of Cassandra on Maven Central, or one of the series "4.0", "4.1" and "5.0" for the version
            of it that the launcher is tested with.
        name: the cluster's name, as in ``system.local``.
        auth: whether nodes ask for a password; `auth` has it.
        tls: "one-way" for nodes that speak TLS only, "mutual" if they ask for a certificate as well; an authority
            made on the spot signs theirs, `ssl_context` trusts it. Needs the program ``openssl``, and Cassandra 4.1 or
            newer.
        features: what Cassandra has switched off and these nodes shall have: "cdc", "masking" (of 5.0),
            "transient_replication" (which wants ``yaml={"num_tokens": 1}``).
        yaml: overrides of ``cassandra.yaml`` for all nodes.
        jvm: additional flags of the JVM for all nodes, such as "-Xmx1g".
        node_yaml: further overrides for single nodes, by their index.
        node_jvm: further flags for single nodes, by their index.
        start_timeout: how long a node may take until it is ready, in seconds.

    Attributes:
        nodes: the nodes; empty before the start.
        version: the version of Cassandra.
        auth: the first superuser's password, to connect with; None if nodes do not ask for one.
        tls: the kind of TLS, or None.

    Raises:
        MissingTool: Java, Maven or, with TLS, OpenSSL is needed and cannot be had; the message says what to do.
        StartError: a node did not start; the message ends with what its log says.

    >>> with CassandraCluster(topology={"dc1": {"rack1": 2, "rack2": 1}}) as cluster:  # doctest: +SKIP
    ...     print(cluster.contact_points, cluster.nodes[0].nodetool("status"))
    >>> async with CassandraCluster(auth=True, tls="mutual") as cluster:  # doctest: +SKIP
    ...     async with triocql.connect(
    ...         cluster.contact_points, auth=cluster.auth, ssl_context=cluster.ssl_context()
    ...     ) as session:
    ...         await session.execute("LIST ROLES")
    >>> async with CassandraCluster(yaml={"num_tokens": 1}) as cluster:  # doctest: +SKIP
    ...     await anyio.to_thread.run_sync(cluster.nodes[0].restart)
    """

    def __init__(
        self,
        nodes: int | None = None,
        *,
        topology: Topology | None = None,
        version: str = DEFAULT_VERSION,
        name: str = "triocql",
        auth: bool = False,
        tls: Tls | None = None,
        features: Iterable[str] = (),
        yaml: Mapping[str, Any] | None = None,
        jvm: Sequence[str] = (),
        node_yaml: Mapping[int, Mapping[str, Any]] | None = None,
        node_jvm: Mapping[int, Sequence[str]] | None = None,
        start_timeout: float = 300.0,
    ) -> None:
        self.name = name
        wanted = version_of(version)
        self.version = wanted.text
        self.nodes: list[Node] = []
        self.auth = PlainTextAuth(*SUPERUSER) if auth else None
        if tls not in (None, *TLS_KINDS):
            raise LauncherError(f"tls is 'one-way', 'mutual' or None, not {tls!r}")
        if tls is not None and wanted.series < (4, 1):
            raise LauncherError(f"tls= needs Cassandra 4.1 or newer, not {wanted.text}")
        self.tls = tls
        self._layout = places(nodes, topology)
        self._yaml = {**feature_settings(features, wanted.series), **(yaml or {})}
        if auth:
            self._yaml.setdefault("authenticator", "PasswordAuthenticator")
        self._jvm = list(jvm)
        self._node_yaml = dict(node_yaml or {})
        self._node_jvm = dict(node_jvm or {})
        self._start_timeout = start_timeout
        self._facts: ClusterFacts | None = None
        self._folder: ClusterFolder | None = None

    def __repr__(self) -> str:
        return f"<CassandraCluster {self.name!r} {self.nodes}>"

    @property
    def contact_points(self) -> list[str]:
        """The addresses of the nodes, each with its port if that is not 9042."""
        return [f"{n.address}:{n.port}" if n.port != 9042 else n.address for n in self.nodes]

    def start(self) -> None:
        """Start all nodes; returns when each is ready and sees all others up."""
        if self._facts is not None:
            raise LauncherError(f"{self} runs already")
        self._start(prepare(self.version))

    def _start(self, ready: Installation) -> None:
        try:
            self._set_up(ready)
            first, *others = self.nodes
            first.start()  # alone: it creates what the others find
            for node in others:
                node.launch()
            for node in others:
                node.wait_until_ready()
            self.wait_for_gossip()
        except BaseException:
            self.close()
            raise

    def _set_up(self, ready: Installation) -> None:
        self._folder = ClusterFolder.make()
        # In the folder of a node, for that is removed however this process ends.
        authority = Authority(self._folder.path / "node0" / "tls") if self.tls else None
        block = LoopbackBlock.reserve()
        firsts = {place.dc: index for index, place in reversed(list(enumerate(self._layout)))}
        seeds = tuple(block.address(index) for index in sorted(firsts.values()))
        self._facts = ClusterFacts(self.name, ready, block, seeds, self._start_timeout, authority)
        for index, place in enumerate(self._layout):
            yaml = {**self._yaml, **self._node_yaml.get(index, {})}
            parts = int(yaml.get("num_tokens", NUM_TOKENS))
            jvm = [*self._jvm, *self._node_jvm.get(index, ())]
            self._add(place, tokens(self._layout, index, parts), yaml, jvm)

    def _add(
        self, place: Place, own_tokens: Sequence[int] | None, yaml: Mapping[str, Any], jvm: Sequence[str]
    ) -> Node:
        if self._facts is None or self._folder is None:
            raise LauncherError(f"{self} does not run")
        index = len(self.nodes)
        folder = self._folder.path / f"node{index}"
        settings = {**self._encryption(self._facts.block.address(index)), **yaml}
        node = Node(self._facts, index, place, folder, tokens=own_tokens, yaml=settings, jvm=jvm)
        self.nodes.append(node)
        return node

    def _encryption(self, address: str) -> dict[str, Any]:
        """Return what the yaml of a node says of TLS."""
        if self._facts is None or self._facts.authority is None:
            return {}
        options = self._facts.authority.encryption_options(address, mutual=self.tls == "mutual")
        return {"client_encryption_options": options}

    @property
    def certificates(self) -> Path:
        """The folder with ``authority.pem``, and with ``client.pem``: a client's key and certificate in one file.

        Raises:
            LauncherError: the cluster does not run, or without TLS.
        """
        return self._authority.folder

    @property
    def _authority(self) -> Authority:
        if self._facts is None or self._facts.authority is None:
            raise LauncherError(f"{self} does not run with TLS: start it with tls='one-way' or 'mutual'")
        return self._facts.authority

    def ssl_context(self, *, client_certificate: bool = True) -> ssl.SSLContext:
        """Return a new context that trusts the nodes of a running cluster with TLS.

        Args:
            client_certificate: whether it has a certificate to show, as ``tls="mutual"`` asks for.

        Raises:
            LauncherError: the cluster does not run, or without TLS.
        """
        return client_context(self.certificates, client_certificate=client_certificate)

    def renew_certificates(self) -> None:
        """Give each node and the clients a new key and certificate, signed by the same authority, without a restart.

        Connections that are open go on with the old ones. A context that was made before takes the new one by
        ``context.load_cert_chain(cluster.certificates / "client.pem")``.

        Raises:
            LauncherError: the cluster does not run, or without TLS.
        """
        self._authority.renew([node.address for node in self.nodes])
        for node in self.nodes:
            if node.running:
                node.nodetool("reloadssl")

    def add_node(
        self,
        dc: str = "dc1",
        rack: str = "rack1",
        *,
        yaml: Mapping[str, Any] | None = None,
        jvm: Sequence[str] = (),
    ) -> Node:
        """Add a node to the running cluster; returns it when all nodes see it join.

        It bootstraps, streaming its share of the data. `Node.decommission` takes a node out for good.
        """
        node = self._add(Place(dc, rack), None, {**self._yaml, **(yaml or {})}, [*self._jvm, *jvm])
        node.start()
        self.wait_for_gossip()
        deadline = time.monotonic() + _GOSSIP_TIMEOUT
        for peer in self.nodes:  # being up is not enough: a node may be seen up and still be joining
            while peer.running and f"UN  {node.address} " not in peer.nodetool("status"):
                self._check(deadline, f"{peer} does not see {node} join")
        return node

    def wait_for_gossip(self, timeout: float = _GOSSIP_TIMEOUT) -> None:
        """Wait until every running node sees every other running node up, for instance after a restart.

        Raises:
            StartError: they do not after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        running = [node for node in self.nodes if node.running]
        pairs = [(node, peer) for node in running for peer in running if node is not peer]
        for node, peer in pairs:
            while not node.sees_up(peer):
                self._check(deadline, f"{node} does not see {peer} up")
                time.sleep(0.05)

    @staticmethod
    def _check(deadline: float, complaint: str) -> None:
        if time.monotonic() > deadline:
            raise StartError(f"{complaint} in time")

    def close(self) -> None:
        """Kill all nodes and remove their data, even if Ctrl-C comes meanwhile. Idempotent."""
        with uninterrupted():
            for node in self.nodes:
                node.remove()
            if self._folder is not None:
                self._folder.remove()
            if self._facts is not None:
                self._facts.block.release()
            self.nodes = []
            self._facts = self._folder = None

    def __enter__(self) -> CassandraCluster:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> CassandraCluster:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)


def prepare(version: str = DEFAULT_VERSION) -> Installation:
    """Fetch a version of Cassandra and make its class archive, unless both are there.

    Raises:
        MissingTool: Java or Maven is needed, not there, and cannot be fetched.
        LauncherError: not a version of Cassandra 4.0, 4.1 or 5.0, or it cannot be fetched.
    """
    ready = installation(version)
    _ensure_archive(ready)
    return ready


def _ensure_archive(ready: Installation) -> None:
    """Make the class archive, once a version and a Java that can: a node writes it as it ends."""
    if ready.archive.exists() or not ready.java.archives_classes:
        return
    with locked(ready.archive.with_suffix(".lock")):
        if ready.archive.exists():
            return
        scratch = ready.archive.with_name(f"{ready.archive.name}.{os.getpid()}")
        trainer = CassandraCluster(
            name="training", version=ready.version.text, jvm=[f"-XX:ArchiveClassesAtExit={scratch}"]
        )
        try:
            trainer._start(ready)
            trainer.nodes[0].stop()
            if scratch.exists():  # without an archive all works as well, only slower
                scratch.rename(ready.archive)
        finally:
            trainer.close()
            scratch.unlink(missing_ok=True)
