"""The parts of the launcher that need no node: topology, versions, yaml, Java, jars, folders, owned processes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.testing.cassandra import (
    CassandraCluster,
    LauncherError,
    _background,
    _loopback,
)
from triocql.testing.cassandra.__main__ import main
from triocql.testing.cassandra._configuration import feature_settings, node_flags, node_yaml, write_files
from triocql.testing.cassandra._loopback import LoopbackBlock
from triocql.testing.cassandra._probe import accepts_password, answers_options
from triocql.testing.cassandra._process import OwnedProcess
from triocql.testing.cassandra._topology import Place, places, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGIES = st.dictionaries(
    st.sampled_from(["dc1", "dc2", "dc3"]),
    st.dictionaries(st.sampled_from(["rack1", "rack2", "rack3"]), st.integers(1, 5), min_size=1),
    min_size=1,
)


# --- Topology ----------------------------------------------------------------------------------------------


def test_nodes_are_a_rack_of_one_data_centre() -> None:
    assert places(None, None) == [Place("dc1", "rack1")]
    assert places(3, None) == [Place("dc1", "rack1")] * 3


def test_racks_take_turns() -> None:
    layout = places(None, {"dc1": {"rack1": 2, "rack2": 1}, "dc2": {"a": 1}})
    assert layout == [Place("dc1", "rack1"), Place("dc1", "rack2"), Place("dc1", "rack1"), Place("dc2", "a")]


@given(TOPOLOGIES)
def test_every_node_has_its_place(topology: dict[str, dict[str, int]]) -> None:
    counts = Counter(places(None, topology))
    assert counts == {Place(dc, rack): n for dc, racks in topology.items() for rack, n in racks.items()}


@given(TOPOLOGIES, st.integers(1, 16))
def test_tokens_cut_each_data_centre_into_equal_parts(
    topology: dict[str, dict[str, int]], parts: int
) -> None:
    layout = places(None, topology)
    owned = [tokens(layout, index, parts) for index in range(len(layout))]
    everything = [token for own in owned for token in own]
    assert len(set(everything)) == len(layout) * parts
    assert all(-(2**63) < token < 2**63 for token in everything)
    for dc in topology:
        ring = sorted(t for place, own in zip(layout, owned, strict=True) if place.dc == dc for t in own)
        gaps = [b - a for a, b in zip(ring, [*ring[1:], ring[0] + 2**64], strict=True)]
        assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("nodes", "topology", "complaint"),
    [
        (0, None, "has 0 nodes"),
        (2, {"dc1": {"rack1": 1}}, "not both"),
        (None, {}, "no data centre"),
        (None, {"dc1": {}}, "'dc1' has no rack"),
        (None, {"dc1": {"rack1": -1}}, "has -1 nodes"),
    ],
)
def test_bad_topologies(
    nodes: int | None, topology: dict[str, dict[str, int]] | None, complaint: str
) -> None:
    with pytest.raises(LauncherError, match=complaint):
        CassandraCluster(nodes, topology=topology)


# --- Configuration -----------------------------------------------------------------------------------------


def test_yaml_with_tokens_joins_at_once_and_overrides_win(tmp_path: Path) -> None:
    settings = node_yaml(
        tmp_path,
        "127.19.1.2",
        series=(5, 0),
        cluster_name="shop",
        seeds=("127.19.1.1", "127.19.1.4"),
        tokens=(1, -2),
        overrides={"authenticator": "PasswordAuthenticator", "commitlog_sync": "group"},
    )
    write_files(tmp_path / "conf", Place("dc9", "r1"), settings)
    read = json.loads((tmp_path / "conf" / "cassandra.yaml").read_text())
    assert read == settings
    assert read["initial_token"] == "1,-2"
    assert read["auto_bootstrap"] is False
    assert read["listen_address"] == read["rpc_address"] == "127.19.1.2"
    assert read["seed_provider"][0]["parameters"][0]["seeds"] == "127.19.1.1,127.19.1.4"
    assert (read["authenticator"], read["commitlog_sync"]) == ("PasswordAuthenticator", "group")
    assert (tmp_path / "conf" / "cassandra-rackdc.properties").read_text() == "dc=dc9\nrack=r1\n"


@pytest.mark.parametrize(
    ("series", "features", "settings"),
    [
        ((4, 0), ["cdc", "transient_replication"], {"cdc_enabled", "enable_transient_replication"}),
        ((4, 1), ["transient_replication"], {"transient_replication_enabled"}),
        ((5, 0), ["masking"], {"dynamic_data_masking_enabled"}),
        ((5, 0), [], set()),
    ],
)
def test_features_have_their_settings_in_each_series(
    series: tuple[int, int], features: list[str], settings: set[str]
) -> None:
    assert feature_settings(features, series) == dict.fromkeys(settings, True)


@pytest.mark.parametrize(
    ("version", "feature", "complaint"),
    [
        ("5.0", "cdcc", "features are 'cdc'"),
        ("4.1", "masking", "4.1 has no"),
        ("4.0", "masking", "4.0 has no"),
    ],
)
def test_features_that_there_are_not(version: str, feature: str, complaint: str) -> None:
    with pytest.raises(LauncherError, match=complaint):
        CassandraCluster(version=version, features=[feature])


def test_yaml_without_tokens_bootstraps(tmp_path: Path) -> None:
    settings = node_yaml(
        tmp_path, "127.19.1.2", series=(5, 0), cluster_name="c", seeds=(), tokens=None, overrides={}
    )
    assert "initial_token" not in settings
    assert "auto_bootstrap" not in settings


def test_flags_take_folders_with_spaces(tmp_path: Path) -> None:
    flags = node_flags(tmp_path / "a b", "127.19.1.1")
    assert any(flag.startswith("-Dcassandra.config=file:///") and "a%20b" in flag for flag in flags)


# --- Loopback ----------------------------------------------------------------------------------------------


def test_blocks_are_exclusive_until_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_loopback, "_BLOCKS", range(252, 255))  # other processes begin with the first ones
    first, second = LoopbackBlock.reserve(), LoopbackBlock.reserve()
    try:
        assert first.prefix != second.prefix
        assert first.address(0) == f"{first.prefix}.1"
        with pytest.raises(LauncherError, match="at most 250"):
            first.address(250)
        prefix = first.prefix
        first.release()
        again = LoopbackBlock.reserve()
        assert again.prefix == prefix
        again.release()
    finally:
        second.release()


def test_nothing_is_up_where_nobody_listens() -> None:
    block = LoopbackBlock.reserve()
    assert not answers_options(block.address(0), 9042)
    assert not accepts_password(block.address(0), 9042, "cassandra", "cassandra")
    block.release()


# --- Owned processes ---------------------------------------------------------------------------------------

WAIT_FOR_EVER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cluster" / "node"
    folder.mkdir(parents=True)
    return folder


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


def test_output_and_exit_status(folder: Path) -> None:
    process = OwnedProcess(
        [sys.executable, "-c", "print('so'); raise SystemExit(3)"], folder=folder, output=folder / "log"
    )
    assert process.wait(60) == 3
    assert process.returncode == 3
    assert (folder / "log").read_text() == "so\n"
    process.send(signal.SIGTERM)
    process.kill()
    assert folder.exists()


def test_a_command_that_cannot_be_run(folder: Path) -> None:
    with pytest.raises(LauncherError, match="/no/such/command cannot be run"):
        OwnedProcess(["/no/such/command"], folder=folder, output=folder / "log")


def test_a_paused_process_is_killed(folder: Path) -> None:
    process = OwnedProcess(WAIT_FOR_EVER, folder=folder, output=folder / "log")
    process.send(signal.SIGSTOP)
    assert process.wait(0.01) is None
    process.kill()
    assert process.returncode == -signal.SIGKILL % 256
    assert gone(process.pid)


# It waits in short turns: a signal that comes just before `signal.pause` would not end it.
OWNER = """
import os, signal, sys, time
from pathlib import Path
from triocql.testing.cassandra._process import OwnedProcess
folder = Path(sys.argv[1])
process = OwnedProcess([sys.executable, "-c", "import signal; signal.pause()"], folder=folder, output=folder / "log")
if sys.argv[2] == "paused":
    process.send(signal.SIGSTOP)
if sys.argv[2] == "forked" and os.fork() == 0:
    os.close(1)
    signal.pause()
print(process.pid, flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def owners() -> Iterator[list[subprocess.Popen[str]]]:
    """Owner processes to be ended after the test, with all their children."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for owner in started:
        os.killpg(owner.pid, signal.SIGKILL)
        owner.wait()
        assert owner.stdout is not None
        owner.stdout.close()


@pytest.mark.parametrize("how", ["running", "paused", "forked"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_survives_its_owner(
    folder: Path, how: str, end: signal.Signals, owners: list[subprocess.Popen[str]]
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    owners.append(owner)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.send_signal(end)
    assert gone(owner.pid)
    assert gone(pid)


def test_no_process_survives_its_supervisor(folder: Path) -> None:
    process = OwnedProcess(WAIT_FOR_EVER, folder=folder, output=folder / "log")
    os.kill(process._supervisor.pid, signal.SIGKILL)
    assert gone(process.pid)
    process.wait(60)


# --- Commands ----------------------------------------------------------------------------------------------


def test_status_and_stop_without_a_cluster(own_folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 3
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "cluster 'default' is not running\n" * 2
    assert main(["status", "--name", "../x"]) == 1
    leftover = _background._path("left", "json")
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{}")
    assert _background.find("left") is None
