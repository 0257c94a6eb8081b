"""Keyspaces that follow others: what each reading tells takes the place of what was known of it, and of nothing else.

What a keyspace is by itself and what is in it are read at different times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from triocql.metadata.schema.keyspace import Keyspace

if TYPE_CHECKING:
    from collections.abc import Container

Keyspaces = Mapping[str, Keyspace]


def with_heads(known: Keyspaces, heads: Keyspaces, *, tells_options: bool) -> Keyspaces:
    """Return the keyspaces of `heads`, which have no contents, with the contents that are known.

    Virtual ones stay: they are told of elsewhere. It is `known` itself if nothing has changed. Other options of
    keyspaces count only if the reading `tells_options`.
    """
    found: dict[str, Keyspace] = {}
    for name, head in heads.items():
        found[name] = _with_head(known.get(name), head, tells_options)
    for name, keyspace in known.items():
        if keyspace.is_virtual:
            found.setdefault(name, keyspace)
    return known if _same(known, found) else found


def with_contents(known: Keyspaces, read: Keyspaces, virtual: Container[str] | None = None) -> Keyspaces:
    """Return the keyspaces that are known, with the contents of those that were read.

    Args:
        known: the keyspaces.
        read: those of which the contents were read. Such as are not known any more are left out.
        virtual: the names of all virtual keyspaces, if they were read.
    """
    found: dict[str, Keyspace] = {}
    for name, keyspace in known.items():
        if keyspace.is_virtual and virtual is not None and name not in virtual:
            continue
        found[name] = _with_contents(keyspace, read.get(name))
    for name, keyspace in read.items():
        if keyspace.is_virtual:
            found.setdefault(name, keyspace)
    return known if _same(known, found) else found


def _with_head(known: Keyspace | None, head: Keyspace, tells_options: bool) -> Keyspace:
    if known is None or known.is_virtual:
        return head
    options = head.options if tells_options else known.options
    facts = known.replication, known.durable_writes, known.replication_options, known.options
    if facts == (head.replication, head.durable_writes, head.replication_options, options):
        return known
    return replace(_headed(known, head), options=options)


def _with_contents(known: Keyspace, read: Keyspace | None) -> Keyspace:
    if read is None or read is known:
        return known
    follows = _headed(read, known)
    return known if follows == known else follows


def _headed(keyspace: Keyspace, head: Keyspace) -> Keyspace:
    """Return a keyspace that is by itself what another one is."""
    return replace(
        keyspace,
        replication=head.replication,
        durable_writes=head.durable_writes,
        replication_options=head.replication_options,
    )


def _same(known: Keyspaces, found: Keyspaces) -> bool:
    return len(known) == len(found) and all(known.get(name) is each for name, each in found.items())
