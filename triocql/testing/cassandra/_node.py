"""One node of a cluster: a folder, an address and, while it runs, a process."""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from triocql.testing.cassandra._authority import client_context
from triocql.testing.cassandra._configuration import JMX_PORT, node_flags, node_yaml, tool_flags, write_files
from triocql.testing.cassandra._errors import LauncherError, StartError
from triocql.testing.cassandra._install import installation
from triocql.testing.cassandra._java import find_java_for_tools
from triocql.testing.cassandra._probe import accepts_password, answers_options, unchecked_context
from triocql.testing.cassandra._process import OwnedProcess
from triocql.testing.cassandra._topology import Place

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from triocql.testing.cassandra._authority import Authority
    from triocql.testing.cassandra._install import Installation
    from triocql.testing.cassandra._loopback import LoopbackBlock

SUPERUSER: Final = ("cassandra", "cassandra")
"""The role and password that a new cluster with passwords begins with."""

_POLL: Final = 0.02
_LOG_TAIL: Final = 40
_GRACE: Final = 120.0
_NO_PEERS: Final = re.compile("Unable to (gossip with any peers|contact any seeds)(?! but)")


@dataclass(frozen=True)
class ClusterFacts:
    """The facts that the nodes of a cluster have in common."""

    name: str
    installation: Installation
    block: LoopbackBlock
    seeds: tuple[str, ...]
    start_timeout: float
    authority: Authority | None


class Node:
    """A node of a `CassandraCluster`, made by it.

    Every method blocks until it is done. From a coroutine: ``await anyio.to_thread.run_sync(node.stop)``.

    Attributes:
        index: its place in ``cluster.nodes``.
        address: its loopback address.
        dc: its data centre.
        rack: its rack.
        folder: where its data and configuration are.
        log_path: where its log is.
        yaml: overrides of its ``cassandra.yaml``, used by the next start.
        jvm: additional flags of its JVM, used by the next start.

    >>> with CassandraCluster(nodes=3) as cluster:  # doctest: +SKIP
    ...     cluster.nodes[1].pause()
    ...     cluster.nodes[2].kill()
    ...     print(cluster.nodes[0].nodetool("status"))
    """

    def __init__(
        self,
        facts: ClusterFacts,
        index: int,
        place: Place,
        folder: Path,
        *,
        tokens: Sequence[int] | None,
        yaml: Mapping[str, Any],
        jvm: Sequence[str],
    ) -> None:
        self.index = index
        self.dc, self.rack = place
        self.address = facts.block.address(index)
        self.folder = folder
        self.log_path = folder / "node.log"
        self.yaml = dict(yaml)
        self.jvm = list(jvm)
        self._facts = facts
        self._installation = facts.installation
        self._tokens = tokens
        self._settings: dict[str, Any] = {}
        self._process: OwnedProcess | None = None
        self._paused = False
        self._was_ready = False
        self._launched_at = datetime.min.replace(tzinfo=UTC)
        self._log_before = 0

    def __repr__(self) -> str:
        state = "paused" if self._paused else "running" if self.running else "stopped"
        return f"<Node {self.index} {self.address} {self.dc}/{self.rack} {state}>"

    @property
    def version(self) -> str:
        """The version of Cassandra that it runs: its cluster's, unless it was upgraded."""
        return self._installation.version.text

    @property
    def port(self) -> int:
        """The port of the native protocol."""
        return int(self._settings.get("native_transport_port", 9042))

    @property
    def pid(self) -> int | None:
        """The process id of its JVM; None while it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether its process is there, be it starting, paused or answering."""
        return self._process is not None and self._process.returncode is None

    def is_up(self) -> bool:
        """Whether it answers an OPTIONS request within a second."""
        return self.running and answers_options(self.address, self.port, tls=self._probe_context)

    @property
    def _probe_context(self) -> ssl.SSLContext | None:
        """The TLS context of a probe; None if the node has no TLS."""
        options = self._settings.get("client_encryption_options", {})
        if not options.get("enabled") or options.get("optional"):
            return None
        authority = self._facts.authority
        return unchecked_context() if authority is None else client_context(authority.folder)

    # --- Starting ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it answers OPTIONS and, with passwords, knows its first superuser.

        Raises:
            LauncherError: it runs already.
            StartError: it ended, or was not ready in time; the message ends with what its log says.
        """
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it without waiting. Goes with `wait_until_ready`, to start several nodes side by side."""
        if self.running:
            raise LauncherError(f"{self} runs already")
        self.kill()  # what is left of a process that ended by itself
        facts = self._facts
        self._settings = node_yaml(
            self.folder,
            self.address,
            series=self._installation.version.series,
            cluster_name=facts.name,
            seeds=facts.seeds,
            tokens=self._tokens,
            overrides=self.yaml,
        )
        write_files(self.folder, Place(self.dc, self.rack), self._settings)
        flags = [*node_flags(self.folder, self.address), *self.jvm]
        java = self._installation.java.program
        command = self._java(java, flags, "org.apache.cassandra.service.CassandraDaemon")
        self._paused = False
        self._launched_at = datetime.now(UTC)
        self._log_before = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._process = OwnedProcess(
            command, folder=self.folder, output=self.log_path, keep_open=(facts.block.fileno(),)
        )

    def wait_until_ready(self) -> None:
        """Wait until it is ready, as `start` does."""
        deadline = time.monotonic() + self._facts.start_timeout
        while True:
            try:
                self._await(self.is_up, deadline, "answer OPTIONS")
                break
            except StartError:
                if self.running or not _NO_PEERS.search(self._log()):
                    raise
            # Its peers have no more than the short ring delay to answer, and are on the same, busy machine.
            self.launch()
        if self._makes_superuser:
            self._await(self._has_superuser, deadline, "create its first superuser")
        self._was_ready = True

    @property
    def _makes_superuser(self) -> bool:
        """Whether the role "cassandra" is created some time after OPTIONS is answered: unless it was ready before."""
        authenticator = self._settings.get("authenticator", "")
        if isinstance(authenticator, Mapping):
            authenticator = authenticator.get("class_name", "")
        return not self._was_ready and str(authenticator).endswith("PasswordAuthenticator")

    def _has_superuser(self) -> bool:
        return accepts_password(self.address, self.port, *SUPERUSER, tls=self._probe_context)

    def _await(self, condition: Callable[[], bool], deadline: float, what: str) -> None:
        while not condition():
            if not self.running:
                raise StartError(f"{self} ended while it was starting; {self._log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self} did not {what} in {self._facts.start_timeout:g} s; {self._log_tail()}"
                )
            time.sleep(_POLL)

    def _java(self, java: Path, flags: Sequence[str], main: str) -> list[str]:
        ready = self._installation
        archive = [f"-XX:SharedArchiveFile={ready.archive}"] if ready.archive.exists() else []
        return [str(java), "-Xshare:auto", *archive, *flags, "-cp", ready.classpath, main]

    def _log(self) -> str:
        """What it has logged since it was last launched."""
        return self.log_path.read_bytes()[self._log_before :].decode(errors="replace")

    def _log_tail(self) -> str:
        lines = self._log().splitlines()
        errors = (i for i, line in enumerate(lines) if line.startswith("ERROR"))
        start = next(errors, max(0, len(lines) - _LOG_TAIL))
        return "\n".join(
            [f"from {self.log_path}:", *(line[:500] for line in lines[start : start + _LOG_TAIL])]
        )

    # --- Ending and holding --------------------------------------------------------------------------------

    def stop(self, timeout: float = _GRACE) -> None:
        """Stop it gracefully: it tells its peers, drains, and ends. Does nothing if it does not run.

        Raises:
            LauncherError: it did not end within `timeout` seconds; it was killed.
        """
        if self._process is None:
            return
        self._process.send(signal.SIGTERM, signal.SIGCONT)
        if self._process.wait(timeout) is None:
            self.kill()
            raise LauncherError(f"{self} did not stop in {timeout:g} s and was killed; {self._log_tail()}")
        self._ended()

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does, paused or not. Does nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def _ended(self) -> None:
        self._process = None
        self._paused = False

    def restart(self) -> None:
        """Stop it gracefully and start it again on the same data, with `yaml` and `jvm` as they are now."""
        self.stop()
        self.start()

    def upgrade(self, version: str) -> None:
        """Restart it with a newer version of Cassandra on the same data, as for one node of a rolling upgrade.

        Args:
            version: as for `CassandraCluster`; it is fetched while the node still runs, unless it is there.

        Raises:
            LauncherError: not a version that the launcher runs, or it cannot be fetched; the node runs on.
        """
        ready = installation(version)
        self.stop()
        self._installation = ready
        self.start()

    def decommission(self, timeout: float = 300.0) -> None:
        """Take it out of the ring for good: it streams its data to the others, leaves, and is stopped.

        Raises:
            LauncherError: it is not allowed to go, for instance as the last one, or is not done in `timeout` seconds.
        """
        self.nodetool("decommission", timeout=timeout)
        self.stop()

    def pause(self) -> None:
        """Hold its process (SIGSTOP): connections stay open, nothing is answered once this has returned.

        Raises:
            LauncherError: it does not run.
        """
        self._running_process().hold()
        self._paused = True

    def resume(self) -> None:
        """Let its process go on after `pause`.

        Raises:
            LauncherError: it does not run.
        """
        self._running_process().send(signal.SIGCONT)
        self._paused = False

    def _running_process(self) -> OwnedProcess:
        if self._process is None or not self.running:
            raise LauncherError(f"{self} does not run")
        return self._process

    # --- Looking -------------------------------------------------------------------------------------------

    def nodetool(self, *args: str, timeout: float = 300.0) -> str:
        """Run Cassandra's ``nodetool`` on it; returns what it prints.

        Raises:
            MissingTool: there is no Java for it: the one of the extra "cassandra" does not do.
            LauncherError: it failed, or was not done in `timeout` seconds.
        """
        java = find_java_for_tools(self._installation.java.program)
        command = self._java(java, tool_flags(self.folder), "org.apache.cassandra.tools.NodeTool")
        output = self.folder / f"nodetool-{time.monotonic_ns()}.out"
        process = OwnedProcess(
            [*command, "-h", self.address, "-p", str(JMX_PORT), *args], folder=self.folder, output=output
        )
        status = process.wait(timeout)
        if status is None:
            process.kill()
        text = output.read_text()
        output.unlink()
        if status != 0:
            reason = f"exit status {status}" if status is not None else f"not done in {timeout:g} s"
            raise LauncherError(f"nodetool {' '.join(args)} on {self}: {reason}\n{text}")
        return text

    def sees_up(self, peer: Node) -> bool:
        """Whether its log's last word on a peer, since the later start of the two, is that the peer is up.

        (What is silent while it joins is forgotten, until there is gossip of it again.)
        """
        event = r"(?:(?:is now|state jump to) (UP|DOWN|shutdown)$|has been (silent) for )"
        pattern = rf"(?m)^\w+ +\[.*?\] (\S+) .*{re.escape(peer.address)}:\d+ {event}"
        since = max(self._launched_at, peer._launched_at)
        text = self.log_path.read_text(errors="replace")
        found = re.findall(pattern, text)
        words = [word or silent for at, word, silent in found if datetime.fromisoformat(at) >= since]
        return bool(words) and words[-1] == "UP"

    def remove(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
