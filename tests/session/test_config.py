from __future__ import annotations

import dataclasses
import math
import ssl
import traceback
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import triocql
from triocql.abc import Address
from triocql.config.auth import PlainTextAuth
from triocql.config.options import (
    ClientOptions,
    ConnectionOptions,
    ConnectKeywords,
    Options,
    PoolOptions,
    ReconnectionOptions,
    ScyllaOptions,
)
from triocql.config.policies import PolicyOptions
from triocql.config.requests import ResolvedOptions
from triocql.errors import OptionError
from triocql.policies.retry import DefaultRetryPolicy
from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    from collections.abc import Callable

read = Options.from_arguments
AUTH = PlainTextAuth("c", "d")


def addresses(*arguments: Any, **keywords: Any) -> list[str]:
    return [str(each) for each in read(*arguments, **keywords).contact_points]


def test_the_defaults() -> None:
    options = read()
    assert options == Options()
    assert options.contact_points == (Address("127.0.0.1", 9042),)
    assert (options.prepared_cache, options.keyspace, options.auth, options.ssl_context) == (
        1000,
        None,
        None,
        None,
    )
    assert options.request == ResolvedOptions()
    assert dataclasses.asdict(options.connection) == {
        "connect_timeout": 5.0,
        "protocol_version": None,
        "compression": None,
        "max_in_flight": 2048,
        "max_orphans": 256,
        "max_frame": 256 * 1024 * 1024,
        "heartbeat_interval": 30.0,
        "heartbeat_timeout": 5.0,
        "frame_timeout": 30.0,
        "tcp_nodelay": True,
        "tcp_keepalive": True,
        "socket_options": (),
    }
    assert dataclasses.asdict(options.pool) == {
        "connections_local": 2,
        "connections_remote": 1,
        "max_queue": 10_000,
        "max_queue_bytes": 64 * 1024 * 1024,
    }
    assert dataclasses.asdict(options.reconnection) == {"base": 1.0, "maximum": 60.0, "jitter": 0.15}
    assert dataclasses.asdict(options.scylla) == {
        "shard_awareness": True,
        "shard_aware_port": True,
        "shard_aware_port_range": (49_152, 65_535),
        "connections_per_shard": 1,
        "internal_timeout": 4.0,
        "tablets_v2": False,
        "client_routes": None,
    }


def test_the_keywords_are_the_fields_and_have_their_types() -> None:
    groups: list[tuple[type, str]] = [
        (ResolvedOptions, ""),
        (ConnectionOptions, ""),
        (PoolOptions, ""),
        (ReconnectionOptions, "reconnection_"),
        (ScyllaOptions, ""),
        (ClientOptions, ""),
    ]
    expected = [(name, kind) for name, kind in Options.__annotations__.items() if name != "contact_points"]
    for group, prefix in groups:
        expected += [(prefix + name, kind) for name, kind in group.__annotations__.items()]
    assert len(dict(expected)) == len(expected), "a name occurs in two groups"
    written = {name: kind.__forward_arg__ for name, kind in ConnectKeywords.__annotations__.items()}
    by_name = dict.fromkeys(("consistency", "serial_consistency"), "Consistency | str")
    assert written == {**dict(expected), **by_name}


def test_keywords_reach_their_groups() -> None:
    options = read(
        "10.0.0.1",
        keyspace="shop",
        prepared_cache=5,
        timeout=2.0,
        consistency=Consistency.QUORUM,
        compression="lz4",
        max_queue=3,
        reconnection_maximum=9.0,
    )
    assert (options.keyspace, options.prepared_cache) == ("shop", 5)
    assert options.request == ResolvedOptions(timeout=2.0, consistency=Consistency.QUORUM)
    assert options.connection == ConnectionOptions(compression="lz4")
    assert options.pool == PoolOptions(max_queue=3)
    assert options.reconnection == ReconnectionOptions(maximum=9.0)


def test_policies_are_options() -> None:
    class Steady:
        def delay(self, failures: int) -> float:
            return 3.0

    assert isinstance(read().policies.retry, DefaultRetryPolicy)
    delays = read(reconnection_maximum=9.0, reconnection_jitter=0.0).reconnection_policy
    assert [delays.delay(failures) for failures in (1, 2, 9)] == [1.0, 2.0, 9.0]
    policies = PolicyOptions(reconnection=Steady())
    assert read(policies=policies).policies is policies
    assert read(policies=policies).reconnection_policy.delay(9) == 3.0


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(OptionError, match="policies is of type DefaultRetryPolicy; it has to be a triocql"):
        read(policies=DefaultRetryPolicy())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"the retry policy is of type int; .* with a method decide\(\)"):
        PolicyOptions(retry=3)  # type: ignore[arg-type]
    with pytest.raises(
        OptionError, match="the retry policy is the class DefaultRetryPolicy; it has to be an obj"
    ):
        PolicyOptions(retry=DefaultRetryPolicy)  # type: ignore[arg-type]
    with pytest.raises(
        OptionError, match=r"the reconnection policy is of type str; .* with a method delay\(\)"
    ):
        PolicyOptions(reconnection="1 s")  # type: ignore[arg-type]


def test_a_group_as_a_whole_and_a_keyword_on_top() -> None:
    options = read(connection=ConnectionOptions(max_orphans=1, compression="lz4"), max_orphans=2)
    assert options.connection == ConnectionOptions(max_orphans=2, compression="lz4")
    with pytest.raises(OptionError, match="pool is of type ConnectionOptions; it has to be a PoolOptions"):
        read(pool=ConnectionOptions())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "near"),
    [("timout", "'timeout'"), ("connect_timeot", "'connect_timeout'"), ("max_orphan", "'max_orphans'")],
)
def test_an_unknown_keyword_names_near_ones(given: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"unknown option '{given}'; did you mean .*{near}"):
        read(**{given: 1})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=f"unknown option '{given}' in a URL; did you mean .*{near}"):
        read(f"cql://host?{given}=1")


def test_an_unknown_keyword_like_no_other_lists_all() -> None:
    with pytest.raises(
        OptionError,
        match=r"the options are: application_name, application_version, attempt_timeout, auth, .*tracing",
    ):
        read(zzz=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["paging_state", "timestamp", "now_in_seconds", "idempotent", "row_type"])
def test_what_belongs_to_a_single_request_is_no_option_of_a_session(name: str) -> None:
    with pytest.raises(OptionError, match="unknown option"):
        read(**{name: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", "5"),
        ("heartbeat_interval", math.nan),
        ("protocol_version", 2),
        ("protocol_version", "5"),
        ("compression", "zstd"),
        ("max_in_flight", 0),
        ("max_in_flight", 32_769),
        ("max_orphans", -1),
        ("max_frame", 10),
        ("connections_local", 0),
        ("max_queue", 1.5),
        ("max_queue_bytes", True),
        ("reconnection_base", 0),
        ("reconnection_maximum", 0.5),
        ("reconnection_jitter", 2),
        ("reconnection_jitter", math.nan),
        ("shard_awareness", 1),
        ("shard_aware_port", 19_042),
        ("shard_aware_port_range", (1023, 65_535)),
        ("shard_aware_port_range", (50_000, 49_999)),
        ("shard_aware_port_range", (49_152, 65_536)),
        ("shard_aware_port_range", (49_152,)),
        ("shard_aware_port_range", "49152-65535"),
        ("shard_aware_port_range", (True, 65_535)),
        ("connections_per_shard", 0),
        ("prepared_cache", 0),
        ("keyspace", ""),
        ("server_hostname", 1),
        ("timeout", -1),
        ("consistency", "QUORAM"),
        ("port", 0),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        read(**{name: value})
    assert str(caught.value).startswith(f"{name} is {value!r}; it has to be ")


def test_connections_to_each_shard_where_there_are_none_to_shards() -> None:
    with pytest.raises(
        OptionError, match=r"connections_per_shard=3 .* shard_awareness=False.*connections_local="
    ):
        read(shard_awareness=False, connections_per_shard=3)
    assert (
        read(shard_awareness=False, connections_per_shard=1, connections_local=3).pool.connections_local == 3
    )
    assert read(connections_per_shard=3).scylla.connections_per_shard == 3


def test_objects_of_the_wrong_class() -> None:
    with pytest.raises(OptionError, match=r"ssl_context is of type bool; it has to be an ssl\.SSLContext"):
        read(ssl_context=True)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="auth is of type tuple; it has to be an Authenticator"):
        read(auth=("user", "s3cret"))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="auth is the class PlainTextAuth; it has to be an object of it"):
        read(auth=PlainTextAuth)  # type: ignore[arg-type]
    context = ssl.create_default_context()
    assert read(ssl_context=context).ssl_context is context
    with pytest.raises(OptionError, match=r"ssl_context is one for servers.*create_default_context\(\)"):
        read(ssl_context=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))


def test_a_name_for_certificates_needs_tls() -> None:
    with pytest.raises(OptionError, match="server_hostname is for TLS, which is off; set ssl_context=, too"):
        read(server_hostname="db.example.org")


@pytest.mark.parametrize(
    ("username", "password", "message"),
    [
        (None, None, "the username of PlainTextAuth is of type NoneType; it has to be a str"),
        ("app", None, "the password of PlainTextAuth is of type NoneType"),
        ("app", b"s3cret", "the password of PlainTextAuth is of type bytes"),
        ("a\0pp", "s3cret", "the username of PlainTextAuth has a NUL"),
        ("app", "s3\0cret", "the password of PlainTextAuth has a NUL"),
    ],
)
def test_a_name_and_a_password_are_texts(username: Any, password: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        PlainTextAuth(username, password)
    assert "s3" not in str(caught.value)
    with pytest.raises(OptionError, match="server_classes is of type str; it has to be a tuple"):
        PlainTextAuth("app", "s3cret", server_classes="a.b.C")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("point", "address"),
    [
        ("host", "host:9042"),
        ("host:19042", "host:19042"),
        ("10.0.0.1", "10.0.0.1:9042"),
        (" 10.0.0.1:1 ", "10.0.0.1:1"),
        ("::1", "[::1]:9042"),
        ("[::1]", "[::1]:9042"),
        ("[::1]:19042", "[::1]:19042"),
        ("fe80::1%eth0", "[fe80::1%eth0]:9042"),
        ("/run/cql.sock", "/run/cql.sock"),
        ("@abstract", "@abstract"),
        (Address("host", 1), "host:1"),
        (("::1", 2), "[::1]:2"),
        (IPv4Address("10.0.0.1"), "10.0.0.1:9042"),
        (IPv6Address("fe80::1%eth0"), "[fe80::1%eth0]:9042"),
        ((IPv6Address("::1"), 2), "[::1]:2"),
        (Path("/run/cql.sock"), "/run/cql.sock"),
        (Path("cql.sock"), str(Path.cwd() / "cql.sock")),
        ("cql://host", "host:9042"),
        ("cql://host/", "host:9042"),
        ("cql://host:1?timeout=1", "host:1"),
        ("cql://[::1]:1", "[::1]:1"),
        ("cql://%2Frun%2Fcql.sock/ks", "/run/cql.sock"),
    ],
)
def test_a_contact_point(point: Any, address: str) -> None:
    assert addresses(point) == [address]
    assert addresses([point]) == [address]


def test_several_contact_points() -> None:
    assert addresses(["a", "b:1"], port=7) == ["a:7", "b:1"]
    assert addresses(("a", "b")) == ["a:9042", "b:9042"]
    assert addresses(each for each in "ab") == ["a:9042", "b:9042"]
    assert addresses(["a", "b", "a:9042"]) == ["a:9042", "b:9042"]
    assert addresses(["cql://a,b", "c"]) == ["a:9042", "b:9042", "c:9042"]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "at least one address"),
        ("", "names no host"),
        (":9042", "names no host"),
        ("a b", "names no host"),
        ("host:", "has '' for a port"),
        ("host:x", "has 'x' for a port"),
        ("host:-1", "has '-1' for a port"),
        ("host:0", "from 1 to 65,535"),
        ("host:65536", "from 1 to 65,535"),
        (("host", 0), "from 1 to 65,535"),
        ("[::1", "not of the form"),
        ("[host]:1", "not of the form"),
        ("[::1]1", "not of the form"),
        ("a:b:c", "neither host:port nor an IPv6 address"),
        (b"host", "a contact point is 104"),
        ([None], "a contact point is None"),
        (5, "contact_points is 5"),
        ("http://host", "has to begin with 'cql://'"),
        ("cql://", "names no host"),
        ("cql://a,,b", "names no host"),
        ("cql://host/a/b", "one keyspace"),
        ("cql://user@host", "the password, too"),
        ("cql://host?timeout", "has no value"),
        ("cql://host?timeout=x", "timeout is 'x' in a URL; it has to be a number"),
        ("cql://host?consistency=MOST", "consistency is 'MOST' in a URL; it has to be one of .*LOCAL_QUORUM"),
        ("cql://host?tracing=1", "tracing is '1' in a URL; it has to be true or false"),
        ("cql://host?timeout=-1", "timeout is -1.0"),
        ("cql://host?connections_local=x", "connections_local is 'x' in a URL; it has to be an integer"),
        ("cql://host?auth=x", "auth cannot be given in a URL"),
        ("cql://host?codecs=x", "codecs cannot be given in a URL"),
        ("cql://host?connection=x", "unknown option 'connection' in a URL"),
        ("cql://host?timeout=1&timeout=2", "'timeout' is given twice"),
        (["cql://a/one", "cql://b/two"], "'keyspace' is given twice"),
        ("cql://%FF", "not UTF-8"),
        ("cql://host?profiles.%F0%9F.timeout=60", "not UTF-8"),
        ("cql://host?timeout=%F0%9F", "not UTF-8"),
    ],
)
def test_a_contact_point_that_is_not_valid(points: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read(points)


def test_a_url_with_everything() -> None:
    options = read(
        "cql://app:p%40ss%2Fw%3Ard@10.0.0.1,10.0.0.2:19042/My%20Keys"
        "?consistency=local_quorum&timeout=2.5&page_size=7&tracing=true&compression=lz4&protocol_version=4"
    )
    assert [str(each) for each in options.contact_points] == ["10.0.0.1:9042", "10.0.0.2:19042"]
    assert options.keyspace == "My Keys"
    assert options.auth == PlainTextAuth("app", "p@ss/w:rd")
    assert options.request == ResolvedOptions(
        consistency=Consistency.LOCAL_QUORUM, timeout=2.5, page_size=7, tracing=True
    )
    assert options.connection == ConnectionOptions(compression="lz4", protocol_version=4)


def test_a_keyword_goes_before_a_url() -> None:
    options = read("cql://a:b@host/one?timeout=1&page_size=2", keyspace="two", timeout=3.0, auth=AUTH)
    assert (options.keyspace, options.request.timeout, options.request.page_size) == ("two", 3.0, 2)
    assert options.auth is AUTH


_NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
_KEYSPACES = st.text(min_size=1, max_size=10).filter(lambda name: '"' not in name)


@given(_NAMES.filter(bool), _NAMES, _KEYSPACES)
def test_everything_can_be_written_in_a_url(user: str, password: str, keyspace: str) -> None:
    url = f"cql://{quote(user, safe='')}:{quote(password, safe='')}@host/{quote(keyspace, safe='')}"
    options = read(url)
    assert options.auth == PlainTextAuth(user, password)
    assert options.keyspace == keyspace


SECRET = "s3cret"
LEAKS: list[tuple[str, Callable[[], object]]] = [
    (url, lambda url=url: read(url))  # type: ignore[misc]
    for url in (
        f"http://app:{SECRET}@host",
        f"cql://app:{SECRET}@host:x",
        f"cql://app:{SECRET}@host/a/b",
        f"cql://app:{SECRET}@host?nothing=1",
        f"cql://app:{SECRET}@host?timeout=-1",
        f"cql://app:{SECRET}/x@host/ks",
        f"cql://app:x/{SECRET}@host/ks",
        f"cql://app:{SECRET}?x@host/ks",
        f"cql://app:x?{SECRET}@host/ks",
        f"cql://app:{SECRET}%FF@host",
        f"cql://{SECRET}@host",
        f"app:{SECRET}@host:9042",
        f"app:{SECRET}@host",
        f"cql://app:{SECRET}%40host",
        f"cql://host?password={SECRET}",
    )
]


@pytest.mark.parametrize(("url", "call"), LEAKS)
def test_no_password_in_an_error(url: str, call: Callable[[], object]) -> None:
    with pytest.raises(OptionError) as caught:
        call()
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error.args)
        error = error.__cause__ or error.__context__
    assert SECRET not in "".join(traceback.format_exception_only(caught.value))


def test_no_password_in_a_repr() -> None:
    options = read(f"cql://app:{SECRET}@host")
    assert SECRET not in repr(options)
    assert SECRET not in repr(options.auth)


@pytest.mark.parametrize("given", [{"timeout": 1.0}, 5, triocql.Options])
@pytest.mark.parametrize("connect", [triocql.connect, triocql.sync.connect])
def test_options_that_are_none_are_refused(connect: Any, given: Any) -> None:
    with pytest.raises(OptionError, match=r"^options is .*; it has to be triocql\.Options"):
        connect(options=given)
