"""The configuration of one node: its yaml, its JVM flags and the files around them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from triocql.testing.cassandra._errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from triocql.testing.cassandra._topology import Place

JMX_PORT: Final = 7199

NUM_TOKENS: Final = 16
_SETTINGS: Final[Mapping[str, Any]] = {
    "num_tokens": NUM_TOKENS,
    "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
    "endpoint_snitch": "GossipingPropertyFileSnitch",
    # Every acknowledged write outlives a kill -9, which the default, "periodic", does not promise. With
    # cassandra.skip_sync it costs a quarter of the write throughput, for there is no fsync to wait for.
    "commitlog_sync": "batch",
    "auto_snapshot": False,
}
_MEBIBYTES: Final = {
    "commitlog_segment_size": 8,
    "commitlog_total_space": 64,
    "memtable_heap_space": 64,
    "memtable_offheap_space": 64,
    "file_cache_size": 32,
    "key_cache_size": 8,
}
# What a machine that is busy is slow to do is no failure, and no reason to end: nodes wait as long as one may be out of
# turn. (A function that takes 1.5 s would be the end of its node.) Clients have deadlines of their own.
_SECONDS: Final = {
    "request_timeout": 30,
    "read_request_timeout": 20,
    "range_request_timeout": 20,
    "write_request_timeout": 20,
    "counter_write_request_timeout": 20,
    "cas_contention_timeout": 20,
}
_FUNCTION_SECONDS: Final = 20
_QUEUED_SECONDS: Final = 60
_ENABLED: Final = ("user_defined_functions", "materialized_views", "sasi_indexes")


def default_yaml(series: tuple[int, int]) -> dict[str, Any]:
    """Return the settings of every node, by the names that they have in this series of Cassandra."""
    if series < (4, 1):
        return {
            **_SETTINGS,
            **{f"{name}_in_mb": size for name, size in _MEBIBYTES.items()},
            **{f"{name}_in_ms": 1000 * seconds for name, seconds in _SECONDS.items()},
            "user_defined_function_fail_timeout": 1000 * _FUNCTION_SECONDS,
            **{f"enable_{name}": True for name in _ENABLED},
        }
    return {
        **_SETTINGS,
        **{name: f"{size}MiB" for name, size in _MEBIBYTES.items()},
        **{f"{name}": f"{seconds}s" for name, seconds in _SECONDS.items()},
        "user_defined_functions_fail_timeout": f"{_FUNCTION_SECONDS}s",
        "native_transport_timeout": f"{_QUEUED_SECONDS}s",
        **{f"{name}_enabled": True for name in _ENABLED},
    }


_SWITCHES: Final = {
    "cdc": ("cdc_enabled", "cdc_enabled"),
    "masking": (None, "dynamic_data_masking_enabled"),
    "transient_replication": ("enable_transient_replication", "transient_replication_enabled"),
}
"""The settings of features that Cassandra has switched off: in 4.0, and since."""


def feature_settings(features: Iterable[str], series: tuple[int, int]) -> dict[str, Any]:
    """Return the settings that switch features on.

    Raises:
        LauncherError: there is no such feature, or not in this series of Cassandra.
    """
    found = {}
    for feature in features:
        if feature not in _SWITCHES:
            raise LauncherError(f"features are {', '.join(map(repr, _SWITCHES))}; not {feature!r}")
        setting = _SWITCHES[feature][series >= (4, 1)]
        if setting is None or (feature == "masking" and series < (5, 0)):
            raise LauncherError(f"Cassandra {'.'.join(map(str, series))} has no {feature!r}")
        found[setting] = True
    return found


# The access to its internals that Cassandra needs. What a Java does not have, it only warns of. (Its compiler is not
# among them: Cassandra has one of its own for functions.)
_EXPORTS: Final = (
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.unsupported/sun.misc",
)
_OPENS: Final = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)
MODULE_FLAGS: Final = (
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS),
)

# Chosen for a fast start and a small node. The first compiler alone takes half the CPU time of both while a
# node starts; `jvm=["-XX:TieredStopAtLevel=4"]` gives the second one back to a cluster that has to work for
# minutes.
_FLAGS: Final = (
    "-Xms512m",
    "-Xmx512m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dcassandra-foreground=yes",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=1000",
    # By default twice the ring delay. After half of it the others forget a node that joins and is silent: that would be
    # a second, which one that starts on a busy machine is.
    "-Dcassandra.gossip_quarantine_delay_ms=60000",
    "-Dcassandra.shutdown_announce_in_ms=0",
    "-Dcassandra.superuser_setup_delay_ms=0",
    "-Dcassandra.skip_sync=true",
    # How many rows are measured to estimate a memtable's overhead: the default of 100,000 takes a second.
    "-Dcassandra.memtable_row_overhead_computation_step=1000",
)

_LOGBACK: Final = """\
<configuration>
  <property name="when" value="%date{yyyy-MM-dd'T'HH:mm:ss.SSS'Z', UTC}"/>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] ${when} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="${triocql.log.level:-INFO}"><appender-ref ref="STDOUT"/></root>
</configuration>
"""


def node_yaml(
    folder: Path,
    address: str,
    *,
    series: tuple[int, int],
    cluster_name: str,
    seeds: Sequence[str],
    tokens: Sequence[int] | None,
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Put the yaml of a node together. With `tokens` it joins at once, without them it bootstraps."""
    settings: dict[str, Any] = {
        **default_yaml(series),
        "cluster_name": cluster_name,
        "listen_address": address,
        "rpc_address": address,
        "native_transport_port": 9042,
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": ",".join(seeds)}],
            }
        ],
        "data_file_directories": [str(folder / "data")],
        "commitlog_directory": str(folder / "commitlog"),
        "hints_directory": str(folder / "hints"),
        "saved_caches_directory": str(folder / "saved_caches"),
        "cdc_raw_directory": str(folder / "cdc_raw"),
    }
    if tokens is None:
        settings["allocate_tokens_for_local_replication_factor"] = 1  # more may exceed the number of racks
    else:
        settings["initial_token"] = ",".join(map(str, tokens))
        settings["auto_bootstrap"] = False
    return {**settings, **overrides}


def write_files(folder: Path, place: Place, settings: Mapping[str, Any]) -> None:
    """Write the files that a node reads when it starts. Its yaml is written as JSON, which is YAML."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    (folder / "cassandra.yaml").write_text(json.dumps(settings, indent=2))
    (folder / "cassandra-rackdc.properties").write_text(f"dc={place.dc}\nrack={place.rack}\n")
    (folder / "logback.xml").write_text(_LOGBACK)


def node_flags(folder: Path, address: str) -> list[str]:
    """Return the JVM flags of a node.

    JMX is the JVM's own agent, for it listens on the node's address, where the port needs no choosing;
    Cassandra's would listen on 127.0.0.1.
    """
    return [
        *_FLAGS,
        *MODULE_FLAGS,
        *_file_flags(folder),
        f"-Dcassandra.config={(folder / 'cassandra.yaml').as_uri()}",
        f"-Dcassandra-rackdc.properties={(folder / 'cassandra-rackdc.properties').as_uri()}",
        f"-Dcassandra.storagedir={folder}",
        f"-Dcassandra.logdir={folder}",
        f"-Dcom.sun.management.jmxremote.port={JMX_PORT}",
        f"-Dcom.sun.management.jmxremote.rmi.port={JMX_PORT}",
        f"-Dcom.sun.management.jmxremote.host={address}",
        f"-Djava.rmi.server.hostname={address}",
        "-Dcom.sun.management.jmxremote.authenticate=false",
        "-Dcom.sun.management.jmxremote.ssl=false",
    ]


def tool_flags(folder: Path) -> list[str]:
    """Return the JVM flags of nodetool, whose history is to be in the node's folder, not the user's home."""
    return [
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *MODULE_FLAGS,
        *_file_flags(folder),
        "-Dtriocql.log.level=ERROR",
        f"-Duser.home={folder}",
        "-Dcom.sun.jndi.rmiURLParsing=legacy",  # nodetool puts IPv4 addresses into brackets
    ]


def _file_flags(folder: Path) -> list[str]:
    """Return the flags that keep what a JVM reads and writes in the node's folder: a killed one cannot clean up."""
    return [
        f"-Dlogback.configurationFile={folder / 'logback.xml'}",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-Djna.tmpdir={folder / 'tmp'}",
        "-XX:+PerfDisableSharedMem",
    ]
