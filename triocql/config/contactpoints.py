"""Reading contact points: host names, addresses, paths of unix sockets, and ``cql://`` URLs."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, unquote_plus

from triocql._brief import brief
from triocql.abc import Address
from triocql.config.auth import PlainTextAuth
from triocql.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Host: TypeAlias = str | IPv4Address | IPv6Address
ContactPoint: TypeAlias = Host | tuple[Host, int] | PathLike[str]
"""A host, "host:port", "[::1]:9042", "/path/of.sock", a ``cql://`` URL, an `Address`, or an object of `ipaddress` or
`pathlib`.
"""

_SCHEME = "cql://"
_MOST_DIGITS = 20
_HAS_USER = "a contact point has an '@'; a user is given in a URL: cql://user:password@host"


@dataclass(slots=True)
class ContactPoints:
    """The addresses that were read, and the options that URLs gave with them (those of the query as text)."""

    addresses: list[Address] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    query: dict[str, str] = field(default_factory=dict)


def read_contact_points(points: ContactPoint | Iterable[ContactPoint], port: int) -> ContactPoints:
    """Read one contact point or several; `port` is for those that do not name one. Raises OptionError."""
    found = ContactPoints()
    for point in _several(points):
        if isinstance(point, str) and "://" in point:
            _read_url(point, port, found)
        else:
            found.addresses.append(_read_address(point, port))
    found.addresses = list(dict.fromkeys(found.addresses))
    return found


def _several(points: Any) -> Sequence[object]:
    if isinstance(points, Host | PathLike) or _is_pair(points):
        return [points]
    try:
        return list(points)
    except TypeError:
        raise OptionError(
            f"contact_points is {brief(points)}; it has to be a host, or hosts in a list"
        ) from None


def _is_pair(point: Any) -> bool:
    if not isinstance(point, tuple) or len(point) != 2:
        return False
    return isinstance(point[0], Host) and isinstance(point[1], int)


def _read_address(point: object, port: int) -> Address:
    if isinstance(point, tuple) and _is_pair(point):
        host, port = point
        return _checked(Address(str(host), port), point)
    if isinstance(point, str):
        return _read_host(point.strip(), port)
    if isinstance(point, Host):
        return Address(str(point), port)
    if isinstance(point, PathLike):
        from pathlib import Path  # not at the top: few need it

        return Address(str(Path(point).absolute()), 0)
    raise OptionError(f"a contact point is {brief(point)}; it has to be a host, a path, a URL or an Address")


def _read_host(text: str, port: int) -> Address:
    """Read "host", "host:port", "[v6]", "[v6]:port", a bare "v6" or a path."""
    if text.startswith(("/", "@")):
        return Address(text, 0)
    if "@" in text:  # the message does not show it: it may be a password that is there
        raise OptionError(_HAS_USER)
    if "," in text:
        raise OptionError(
            f"the contact point {brief(text)} has a ','; give several as a list: {brief(text.split(','))}"
        )
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, number = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":") or not _is_ipv6(host):
            raise OptionError(f"the contact point {brief(text)} is not of the form [IPv6 address]:port")
    elif text.count(":") > 1:
        host, colon, number = text, "", ""
        if not _is_ipv6(host):
            raise OptionError(f"the contact point {brief(text)} is neither host:port nor an IPv6 address")
    else:
        host, colon, number = text.partition(":")
    if colon:
        if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
            raise OptionError(
                f"the contact point {brief(text)} has {brief(number)} for a port; it has to be a number"
            )
        port = int(number)
    return _checked(Address(host, port), text)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _checked(address: Address, point: object) -> Address:
    host, port = address
    if "@" in host and not address.is_unix:
        raise OptionError(_HAS_USER)
    if not host or any(each.isspace() for each in host):
        raise OptionError(f"the contact point {brief(point)} names no host")
    if not address.is_unix and not 1 <= port <= 65_535:
        raise OptionError(
            f"the contact point {brief(point)} has the port {brief(port)}; it has to be from 1 to 65,535"
        )
    return address


def _read_url(url: str, port: int, found: ContactPoints) -> None:
    """Read a URL into `found`. No message shows a part of it that may belong to the password."""
    scheme, _, rest = url.partition("://")
    if scheme + "://" != _SCHEME:
        raise OptionError(f"a URL has to begin with {_SCHEME!r}")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    if "@" in path + query:
        raise OptionError(
            "a URL has an '@' after its hosts; in a user name, a password or a value, "
            "write '/' as %2F, '?' as %3F and '@' as %40"
        )
    user, at, hosts = authority.rpartition("@")
    if at:
        _put(found.options, "auth", _read_user(user))
    for host in hosts.split(","):
        found.addresses.append(_read_host(_decode(host), port))
    if path:
        _put(found.options, "keyspace", _read_keyspace(path))
    for item in filter(None, query.split("&")):
        name, equals, value = item.partition("=")
        if not equals:
            raise OptionError(f"the URL's option {brief(name)} has no value: write {brief(name)[1:-1]}=value")
        _put(found.query, _decode(name, unquote_plus), _decode(value, unquote_plus))


def _read_user(user: str) -> PlainTextAuth:
    name, colon, password = user.partition(":")
    if not colon:
        raise OptionError("a URL with a user has to give the password, too: cql://user:password@host")
    return PlainTextAuth(_decode(name), _decode(password))


def _read_keyspace(path: str) -> str:
    if "/" in path.rstrip("/"):
        raise OptionError("the path of a URL is one keyspace: cql://host/keyspace")
    return _decode(path.rstrip("/"))


def _decode(text: str, undo: Callable[..., str] = unquote) -> str:
    """Undo the percent-encoding. The error of the library would show the text, which may be a password."""
    try:
        return undo(text, errors="strict")
    except UnicodeDecodeError:
        pass
    raise OptionError("a URL has a percent-encoding that is not UTF-8")


def _put(options: dict[str, Any], name: str, value: Any) -> None:
    if name in options and options[name] != value:
        raise OptionError(f"the option {brief(name)} is given twice, with different values")
    options[name] = value
