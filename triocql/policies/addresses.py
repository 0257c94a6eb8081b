"""Address translation: where nodes are dialled that tell addresses which do not lead to them from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

from triocql._brief import brief
from triocql._hints import hinted
from triocql.abc import Address
from triocql.errors import OptionError

if TYPE_CHECKING:
    from uuid import UUID


class AddressTranslation(Protocol):
    """Says at which address a node is dialled that the cluster tells of. The contact points are dialled as they are.

    It is asked once about each address, and again where it failed to say. Called on the loop: it must not block. One
    that does, as for a look-up in the DNS, has an attribute `blocks` that is True, and is called in a thread; after
    two seconds, nobody waits for it.

    What it raises is logged, and the node is dialled at the address that the cluster tells.
    """

    def translate(
        self, address: Address, *, host_id: UUID | None, data_centre: str | None, rack: str | None
    ) -> Address:
        """Return the address to dial for `address`, or that itself; the rest says which node it is of."""


@hinted()
class MappedAddresses:
    """Translates by a table, as for nodes behind NAT, in containers, or at the other end of tunnels.

    Args:
        table: keys are what the cluster tells, a host or an `Address`; values are where to dial, a host, for which
            the port remains, or an `Address`. What is not in it is dialled as it is.

    Raises OptionError for keys and values of other types, for hosts with a port, and if it is empty.

    >>> from triocql.abc import Address
    >>> policy = MappedAddresses({"10.0.0.1": "203.0.113.7", "10.0.0.2": Address("203.0.113.7", 9043)})
    >>> str(policy.translate(Address("10.0.0.1", 9042), host_id=None, data_centre=None, rack=None))
    '203.0.113.7:9042'
    """

    def __init__(self, table: Mapping[Any, str | Address]) -> None:
        if not isinstance(table, Mapping):
            raise OptionError(f"a table of addresses is {brief(table)}; it has to be a dict")
        if not table:
            raise OptionError(
                "the table of addresses is empty; leave out addresses= if nothing is to be translated"
            )
        for each in (*table, *table.values()):
            if not isinstance(each, (str, Address)) or not each:
                raise OptionError(
                    f"a table of addresses has {brief(each)} in it; it has to be a host or an Address"
                )
            if isinstance(each, str) and each.count(":") == 1:  # two and more are in IPv6 addresses
                host, port = each.split(":")
                raise OptionError(
                    f"a table of addresses has {brief(each)} in it; with a port, it is Address({brief(host)}, {port})"
                )
        self._table = {_normal(key): value for key, value in table.items()}

    def translate(
        self, address: Address, *, host_id: UUID | None, data_centre: str | None, rack: str | None
    ) -> Address:
        """Look up the address, then its host."""
        found = self._table.get(_normal(address), self._table.get(_normal(address.host), address))
        return found if isinstance(found, Address) else Address(found, address.port)


@hinted()
class Ec2MultiRegion:
    """Translates the public addresses of nodes in Amazon EC2 to private ones where they are of the same region.

    In EC2, the name that belongs to a public address stands for the private one in its own region, and for the public
    one elsewhere. So traffic within a region stays within it, which is faster and costs nothing.

    Args:
        name_of: finds the name of an address; by default in the DNS.
        address_of: finds the address of a name; by default in the DNS.
    """

    blocks = True

    def __init__(
        self, name_of: Callable[[str], str] | None = None, address_of: Callable[[str], str] | None = None
    ) -> None:
        self._name_of = name_of or _name_of
        self._address_of = address_of or _address_of

    def translate(
        self, address: Address, *, host_id: UUID | None, data_centre: str | None, rack: str | None
    ) -> Address:
        """Look up the name of the address, and the address of that name. Raises OSError if there is none."""
        return Address(self._address_of(self._name_of(address.host)), address.port)


def _normal(key: str | Address) -> str | Address:
    """Return a key such that an IPv6 address is found however it is written."""
    if isinstance(key, Address):
        return Address(_normal_host(key.host), key.port)
    return _normal_host(key)


def _normal_host(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _name_of(host: str) -> str:
    import socket  # looked up when it is used, as it may be patched then

    return socket.gethostbyaddr(host)[0]


def _address_of(name: str) -> str:
    import socket

    return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
