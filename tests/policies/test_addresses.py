"""Address translation: by a table, and by the names of EC2."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from triocql.abc import Address
from triocql.errors import OptionError
from triocql.policies.addresses import AddressTranslation, Ec2MultiRegion, MappedAddresses


def translated(policy: AddressTranslation, host: str, port: int = 9042) -> str:
    return str(policy.translate(Address(host, port), host_id=None, data_centre="dc1", rack="r1"))


@pytest.mark.parametrize(
    ("told", "port", "dialled"),
    [
        ("10.0.0.1", 9042, "203.0.113.7:9042"),
        ("10.0.0.1", 9142, "203.0.113.7:9142"),
        ("10.0.0.2", 9042, "203.0.113.7:19042"),
        ("10.0.0.3", 9042, "[::1]:9042"),
        ("10.0.0.3", 9043, "10.0.0.3:9043"),
        ("2001:db8::1", 9042, "tunnel:7001"),
        ("10.0.0.4", 9042, "10.0.0.4:9042"),
    ],
)
def test_a_table(told: str, port: int, dialled: str) -> None:
    policy = MappedAddresses(
        {
            "10.0.0.1": "203.0.113.7",
            "10.0.0.2": Address("203.0.113.7", 19042),
            Address("10.0.0.3", 9042): "::1",
            "2001:0db8:0:0::1": Address("tunnel", 7001),
        }
    )
    assert translated(policy, told, port) == dialled


@pytest.mark.parametrize("table", [{"10.0.0.1": 9042}, {7: "a"}, {"": "a"}, {"a": ("b", 1)}])
def test_what_is_no_address_is_refused_at_once(table: Any) -> None:
    with pytest.raises(OptionError, match="a host or an Address"):
        MappedAddresses(table)


def test_the_name_of_a_public_address_leads_to_the_private_one() -> None:
    names = {"54.1.2.3": "ec2-54-1-2-3.compute-1.amazonaws.com"}
    private = {"ec2-54-1-2-3.compute-1.amazonaws.com": "172.31.0.9"}
    policy = Ec2MultiRegion(names.__getitem__, private.__getitem__)
    assert policy.blocks
    assert translated(policy, "54.1.2.3") == "172.31.0.9:9042"


def test_names_are_looked_up_in_the_dns() -> None:
    assert translated(Ec2MultiRegion(), "127.0.0.1") in ("127.0.0.1:9042", "[::1]:9042")


@pytest.mark.parametrize("policy", [MappedAddresses, "10.0.0.1", {"10.0.0.1": "10.0.0.2"}])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    with pytest.raises(OptionError, match="addresses policy is"):
        triocql.PolicyOptions(addresses=policy)


@pytest.mark.parametrize("table", [{"10.0.0.1:9042": "h"}, {"h": "10.0.0.1:9042"}])
def test_a_host_with_a_port_in_a_table_is_told_how_to_be_written(table: Any) -> None:
    with pytest.raises(OptionError, match=r"'10\.0\.0\.1:9042' in it; .* Address\('10\.0\.0\.1', 9042\)"):
        MappedAddresses(table)


def test_an_empty_table_translates_nothing_and_is_refused() -> None:
    with pytest.raises(OptionError, match="the table of addresses is empty; leave out addresses="):
        MappedAddresses({})


def test_a_table_is_a_mapping() -> None:
    with pytest.raises(OptionError, match="has to be a dict"):
        MappedAddresses([("10.0.0.1", "10.0.0.2")])  # type: ignore[arg-type]
