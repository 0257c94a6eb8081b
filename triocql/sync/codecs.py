"""The codecs of a blocking session: they belong to the loop's thread, so that they are registered there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._hints import CODECS, old_names

if TYPE_CHECKING:
    from triocql.codecs.custom import Codec
    from triocql.protocol.types import CqlType
    from triocql.sync.portal import Portal


@old_names(CODECS)
class Codecs:
    """The codecs of one session: as `triocql.Registry`, for any thread. What is registered counts once a call returns.

    >>> session.codecs.register_udt("shop", "address", Address)                        # doctest: +SKIP
    """

    def __init__(self, portal: Portal) -> None:
        self._call = portal.call
        self._registry = portal.context.cluster.registry

    def register(self, cql_type: CqlType | str, codec: Codec) -> None:
        """Let `codec` stand for every value of a type: see `triocql.Registry.register`."""
        self._call(self._registry.register, cql_type, codec)

    def register_column(self, keyspace: str, table: str, column: str, codec: Codec) -> None:
        """Let `codec` stand for the values of one column: see `triocql.Registry.register_column`."""
        self._call(self._registry.register_column, keyspace, table, column, codec)

    def register_udt(self, keyspace: str, name: str, cls: type) -> None:
        """Read the values of a user-defined type as `cls`: see `triocql.Registry.register_udt`."""
        self._call(self._registry.register_udt, keyspace, name, cls)
