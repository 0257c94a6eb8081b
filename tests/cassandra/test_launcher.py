"""Real nodes: started, held, ended, and gone with their owner."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from triocql.testing.cassandra import CassandraCluster, LauncherError, MissingTool, StartError, _java
from triocql.testing.cassandra._install import Installation
from triocql.testing.cassandra._java import Java
from triocql.testing.cassandra._loopback import LoopbackBlock
from triocql.testing.cassandra._node import ClusterFacts, Node
from triocql.testing.cassandra._probe import accepts_password
from triocql.testing.cassandra._topology import Place
from triocql.testing.cassandra._versions import LATEST, version_of
from triocql.testing.fixtures import require_cassandra

from .services import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.testing.cassandra._cluster import Tls

pytestmark = pytest.mark.cassandra


@pytest.fixture(scope="module", autouse=True)
def _launcher() -> None:
    require_cassandra()


@pytest.fixture(scope="module")
def cluster() -> Iterator[CassandraCluster]:
    with CassandraCluster(yaml={"authenticator": "PasswordAuthenticator"}) as cluster:
        yield cluster


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 60)[0])
    finally:
        os.close(fd)


def test_a_node_is_up_and_knows_its_superuser(cluster: CassandraCluster) -> None:
    (node,) = cluster.nodes
    assert cluster.contact_points == [node.address]
    eventually(node.is_up)
    assert node.pid is not None
    eventually(lambda: accepts_password(node.address, node.port, "cassandra", "cassandra"))
    assert not accepts_password(node.address, node.port, "cassandra", "wrong")
    with pytest.raises(LauncherError, match="runs already"):
        node.start()
    with pytest.raises(LauncherError, match="runs already"):
        cluster.start()


def test_nodetool(cluster: CassandraCluster) -> None:
    (node,) = cluster.nodes
    assert f"UN  {node.address}" in node.nodetool("status")
    with pytest.raises(LauncherError, match=r"nodetool nonsense on .*exit status"):
        node.nodetool("nonsense")


def test_pause_and_resume(cluster: CassandraCluster) -> None:
    (node,) = cluster.nodes
    node.pause()
    assert not node.is_up()
    assert node.running
    node.resume()
    eventually(node.is_up)


def test_kill_and_start_on_the_same_data(cluster: CassandraCluster) -> None:
    (node,) = cluster.nodes
    pid = node.pid
    assert pid is not None
    node.pause()
    node.kill()
    assert gone(pid)
    assert node.pid is None
    for forbidden in (node.pause, node.resume):
        with pytest.raises(LauncherError, match="does not run"):
            forbidden()
    node.kill()
    node.start()
    eventually(node.is_up)


@pytest.mark.long
def test_start_after_it_ended_by_itself(cluster: CassandraCluster) -> None:
    (node,) = cluster.nodes
    assert node.pid is not None
    assert node._process is not None
    supervisor = node._process._supervisor.pid
    os.kill(node.pid, signal.SIGKILL)
    assert gone(supervisor)
    assert not node.running
    assert not node.is_up()
    node.start()
    eventually(node.is_up)


def test_stop_drains_and_start_takes_new_settings(cluster: CassandraCluster) -> None:
    (node,) = cluster.nodes
    node.pause()
    node.stop()
    assert not node.running
    assert "Cassandra shutdown complete" in node.log_path.read_text()
    node.stop()
    node.yaml["authenticator"] = "AllowAllAuthenticator"
    node.jvm.append("-Dtriocql.test=here")
    node.restart()
    eventually(node.is_up)
    assert "authenticator=AllowAllAuthenticator" in node.log_path.read_text().split("Node configuration:")[-1]
    assert "-Dtriocql.test=here" in node.log_path.read_text()


def test_a_failed_start_shows_the_log_and_leaves_nothing() -> None:
    broken = CassandraCluster(yaml={"partitioner": "NoSuchPartitioner"})
    with pytest.raises(StartError, match=r"ended while it was starting(.|\n)*NoSuchPartitioner"):
        broken.start()
    assert broken.nodes == []


# In place of Java: each start is a line of a file, and the first ones meet no peers.
LONELY = """#!/bin/sh
mkdir -p '{data}'
echo started >> '{starts}'
test $(wc -l < '{starts}') -gt {times} && exec sleep 600
echo "ERROR {reason}"
exit 3
"""


ASKS = {"authenticator": "PasswordAuthenticator"}


@contextmanager
def lonely_node(folder: Path, *, times: int, reason: str) -> Iterator[Node]:
    """A node whose starts fail some times, and whose log has an error of long ago before that."""
    program, starts = folder / "java", folder / "starts"
    program.write_text(LONELY.format(data=folder / "data", starts=starts, times=times, reason=reason))
    program.chmod(0o755)
    starts.touch()
    folder.joinpath("node.log").write_text("ERROR of an earlier day\n" + "INFO nothing\n" * 100)
    ready = Installation(version_of("5.0"), Java(program, 17, "none"), folder)
    facts = ClusterFacts("lonely", ready, LoopbackBlock.reserve(), ("127.0.0.1",), 60.0, None)
    node = Node(facts, 0, Place("dc1", "rack1"), folder, tokens=None, yaml=ASKS, jvm=())
    try:
        yield node
    finally:
        node.remove()
        facts.block.release()


@pytest.mark.parametrize("reason", ["Unable to gossip with any peers", "Unable to contact any seeds: [one]"])
def test_a_start_that_meets_no_peers_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """It is the first one still, whatever is in its folder: it waits for the superuser, too."""
    starts, asked = tmp_path / "starts", list[Node]()

    def has_superuser(node: Node) -> bool:
        asked.append(node)
        return True

    monkeypatch.setattr(Node, "is_up", lambda it: it.running and starts.read_text().count("started") == 3)
    monkeypatch.setattr(Node, "_has_superuser", has_superuser)
    with lonely_node(tmp_path, times=2, reason=reason) as node:
        node.start()
        assert node.running
        node.wait_until_ready()
        assert asked == [node], "and only the first one"


def test_a_failed_start_tells_of_itself_and_not_of_what_its_log_has_from_before(tmp_path: Path) -> None:
    with (
        lonely_node(tmp_path, times=1, reason="of today") as node,
        pytest.raises(StartError, match="of today") as caught,
    ):
        node.start()
    assert "earlier day" not in str(caught.value)


@pytest.mark.parametrize(
    ("last", "up"),
    [
        ("Gossiper.java:1 - InetAddress /{peer}:7000 is now UP", True),
        ("Gossiper.java:1 - InetAddress /{peer}:7000 is now DOWN", False),
        ("StorageService.java:1 - Node /{peer}:7000 state jump to NORMAL", True),
        ("StorageService.java:1 - Node /{peer}:7000 state jump to shutdown", False),
        ("Gossiper.java:1 - FatClient /{peer}:7000 has been silent for 1000ms, removing from gossip", False),
        ("Gossiper.java:1 - FatClient /{peer}2:7000 has been silent for 1000ms, removing from gossip", True),
    ],
)
def test_what_a_log_says_of_a_peer(tmp_path: Path, last: str, up: bool) -> None:
    with lonely_node(tmp_path, times=1, reason="none") as node:
        peer = Node(node._facts, 1, Place("dc1", "rack1"), tmp_path, tokens=None, yaml={}, jvm=())
        lines = ["Gossiper.java:1 - InetAddress /{peer}:7000 is now UP", last]
        for at, line in enumerate(lines):
            text = line.format(peer=peer.address)
            with node.log_path.open("a") as log:
                log.write(f"INFO  [GossipStage:1] 2026-01-01T00:00:0{at}.000Z {text}\n")
        assert node.sees_up(peer) == up


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio", pytest.param("asyncio", marks=pytest.mark.long)])
async def test_async_with(anyio_backend: str) -> None:
    async with CassandraCluster(name=f"on_{anyio_backend}") as cluster:
        (node,) = cluster.nodes
        folder, pid = node.folder, node.pid
        eventually(node.is_up)
    assert pid is not None
    assert gone(pid)
    assert not folder.parent.exists()


# It waits in short turns: a signal that comes just before `signal.pause` would not end it.
OWNER = """
from triocql.testing.cassandra import CassandraCluster
import time
with CassandraCluster() as cluster:
    node, = cluster.nodes
    print(node.pid, node.folder, flush=True)
    while True:
        time.sleep(0.1)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_node_survives_its_owner(end: signal.Signals) -> None:
    """However often it is told to end; what a SIGKILL left no time for is done by the supervisor of the node."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        for _ in range(100):
            owner.send_signal(end)
            with suppress(subprocess.TimeoutExpired):
                owner.wait(0.005)
                break
    assert gone(int(pid))
    if end == signal.SIGINT:
        assert not Path(folder).parent.exists()


@pytest.mark.long
@pytest.mark.parametrize("version", ["4.0", "4.1"])
def test_older_versions(version: str) -> None:
    tls: Tls | None = "mutual" if version == "4.1" else None
    with CassandraCluster(2, version=version, auth=True, tls=tls) as cluster:
        status = cluster.nodes[0].nodetool("status")
        assert all(f"UN  {node.address}" in status for node in cluster.nodes)
        assert "WARN" not in status
        cluster.nodes[1].restart()
        cluster.wait_for_gossip()


@pytest.mark.long
@pytest.mark.parametrize("version", LATEST)
def test_without_java_and_maven(
    version: str, own_folders: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """All that a node needs comes from PyPI and from Maven Central."""
    monkeypatch.setenv("PATH", str(own_folders))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(_java, "SYSTEM", own_folders)
    monkeypatch.setattr(_java, "find_spec", lambda name: None)
    _java.find_java.cache_clear()
    request.addfinalizer(_java.find_java.cache_clear)
    request.addfinalizer(_java.find_java_for_tools.cache_clear)
    with CassandraCluster(version=version) as cluster:
        (node,) = cluster.nodes
        eventually(node.is_up)
        _java.find_java_for_tools.cache_clear()
        with pytest.raises(MissingTool, match="nodetool needs a whole Java"):
            node.nodetool("status")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "triocql.testing.cassandra", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line() -> None:
    name = f"--name=test-{os.getpid()}"
    try:
        started = command("start", name, "--auth", "--tls=mutual")
        assert started.returncode == 0, started.stderr
        assert started.stdout.count(" up ") == 1
        assert "authority.pem and client.pem are in " in started.stdout
        assert command("start", name).stderr.strip().endswith("runs already, or is starting")
        assert command("status", name).stdout == started.stdout
    finally:
        stopped = command("stop", name)
    assert stopped.stdout.endswith("is stopped\n")
    assert command("status", name).returncode == 3
