"""What nodes are told of a program and its session, in STARTUP, and what they are not told."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

import triocql
from triocql import Options, PlainTextAuth
from triocql.config.client import ClientOptions
from triocql.config.report import MOST_BYTES, report
from triocql.config.requests import ResolvedOptions
from triocql.errors import OptionError
from triocql.testing.server import CqlServer
from triocql.testing.simulated import SimulatedReactor

CANARY = "hunter2-canary"


def started(**options: Any) -> list[tuple[dict[str, str], bool]]:
    """Open a session and return what each connection has said in STARTUP, and whether it is the control connection."""
    reactor = SimulatedReactor()
    server = CqlServer(2)
    server.run_on(reactor)
    found: list[tuple[dict[str, str], bool]] = []

    async def main() -> None:
        async with triocql.connect(
            server.contact_points, reactor=reactor, schema=False, **options
        ) as session:
            while len(server.connections) < 5:
                await reactor.sleep(0.01)
            await session.execute("SELECT release_version FROM system.local")
            found.extend((dict(link.options), bool(link.events)) for link in server.connections)

    reactor.run(main)
    return found


def test_what_every_connection_says() -> None:
    links = started(application_name="shop", application_version="2.1", client_id=UUID(int=5))
    assert len(links) == 5
    for options, _ in links:
        assert options["DRIVER_NAME"] == "triocql"
        assert options["APPLICATION_NAME"] == "shop"
        assert options["APPLICATION_VERSION"] == "2.1"
        assert options["CLIENT_ID"] == str(UUID(int=5))
    assert len({UUID(options["SESSION_ID"]) for options, _ in links}) == 1


def test_each_session_has_an_id_and_nothing_is_told_that_was_not_given() -> None:
    first, second = started(), started()
    assert first[0][0]["SESSION_ID"] != second[0][0]["SESSION_ID"]
    assert not {"APPLICATION_NAME", "APPLICATION_VERSION", "CLIENT_ID"} & first[0][0].keys()


def test_the_control_connection_tells_the_options_and_no_other_one() -> None:
    told = [options["DRIVER_CONFIG"] for options, control in started(timeout=2.5) if control]
    assert len(told) == 1
    facts = json.loads(told[0])
    assert facts["version"] == 1
    assert facts["request"]["timeout"] == 2.5
    assert facts["pool"]["connections_local"] == 2
    assert facts["policies"]["retry"] == "DefaultRetryPolicy"
    assert not any("DRIVER_CONFIG" in options for options, control in started() if not control)


def test_the_options_are_not_told_where_that_is_switched_off() -> None:
    assert not any("DRIVER_CONFIG" in options for options, _ in started(report_options=False))


def test_no_secret_is_told() -> None:
    """27: the canary is in everything that may hold one."""
    options = Options.from_arguments(
        f"cql://app:{CANARY}@10.0.0.1/ks",
        request=ResolvedOptions(custom_payload={"token": CANARY.encode()}),
        profiles={"reports": triocql.Profile(custom_payload={"token": CANARY.encode()})},
        socket_options=[(1, 2, CANARY.encode())],
    )
    text = report(options)
    assert text is not None
    assert CANARY not in text
    assert report(Options(auth=PlainTextAuth("app", CANARY))) is not None


@pytest.mark.parametrize(("length", "is_told"), [(0, True), (1, False)])
def test_a_report_that_is_too_long_is_left_out(
    length: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """27: 32,768 bytes are told, 32,769 are not; the connection is made."""
    usual = len((report(Options(local_data_centre="ä")) or "").encode())
    name = "ä" + "x" * (MOST_BYTES - usual + length)
    found = report(Options(local_data_centre=name))
    assert (found is not None) == is_told
    if found is not None:
        assert len(found.encode()) == MOST_BYTES
    else:
        assert "not told to nodes" in caplog.text


class Broken(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class Backoff(metaclass=Broken):
    def delay(self, attempt: int) -> float:
        return 1.0


def test_a_report_that_cannot_be_made_fails_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    policies = triocql.PolicyOptions(reconnection=Backoff())
    links = started(policies=policies)
    assert len(links) == 5
    assert not any("DRIVER_CONFIG" in options for options, _ in links)
    assert "cannot be told" in caplog.text


def test_nothing_of_the_drivers_own_can_be_given() -> None:
    """27: what users name is told under its own key alone."""
    ((options, _), *_) = started(application_name="DRIVER_NAME", client_id="SESSION_ID")
    assert options["DRIVER_NAME"] == "triocql"
    UUID(options["SESSION_ID"])
    with pytest.raises(OptionError, match="unknown option"):
        triocql.connect(DRIVER_NAME="mine")  # type: ignore[call-arg]


def test_infinity_is_json_all_the_same() -> None:
    text = report(Options.from_arguments(timeout=float("inf")))
    assert text is not None
    assert json.loads(text, parse_constant=pytest.fail)["request"]["timeout"] == "inf"


@pytest.mark.parametrize("name", ["application_name", "application_version", "client_id"])
@pytest.mark.parametrize("value", ["", "x" * 1001, "\ud800", 7])
def test_what_cannot_be_told_is_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        ClientOptions(**{name: value})


def test_in_a_url() -> None:
    id_ = uuid4()
    options = Options.from_arguments(
        f"cql://10.0.0.1/?application_name=shop&client_id={id_}&report_options=false"
    )
    assert options.client == ClientOptions(application_name="shop", client_id=id_, report_options=False)
