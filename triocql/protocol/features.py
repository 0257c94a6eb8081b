"""The features that one node offers on a connection, beyond those of its protocol version: read from SUPPORTED."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triocql.protocol import scylla
from triocql.protocol.constants import V4

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a node, as it announces them in SUPPORTED (v5, section 4.2.4), and what is used of them.

    Attributes:
        supported: the values by the name of the option.
        is_scylla: whether it is a node of ScyllaDB; the others have none of the following.
        host_id: which node it is.
        sharding: how it shards, and which shard serves the connection.
        tablets: the version of the hints about tablets that it gives: 1 or 2; 0 for none.
        metadata_ids: whether an id tells when the columns of a result change, as in v5.
        lwt_mask: the flags of prepared statements that are lightweight transactions; 0 where nothing marks these.
        rate_limit_code: the code of the error of whoever is asked too often.
        faults: why extensions that it offers are not used, by their names: what it says of them means nothing.

    >>> Features({"COMPRESSION": ("snappy", "lz4")}).compressions
    ('snappy', 'lz4')
    """

    supported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_scylla: bool = False
    host_id: UUID | None = None
    sharding: scylla.Sharding | None = None
    tablets: int = 0
    metadata_ids: bool = False
    lwt_mask: int = 0
    rate_limit_code: int | None = None
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def compressions(self) -> tuple[str, ...]:
        """The compressions that STARTUP may ask for."""
        return self.supported.get("COMPRESSION", ())

    @property
    def layout(self) -> int:
        """What EXECUTE has more than usual, in bits."""
        block = scylla.LAYOUT_TABLET_BLOCK if self.tablets > 1 else 0
        return block | scylla.LAYOUT_METADATA_ID if self.metadata_ids else block

    def startup_options(self) -> dict[str, str]:
        """Return the options of STARTUP that have the node use the extensions."""
        options = {}
        if self.rate_limit_code is not None:
            options[scylla.RATE_LIMIT] = ""
        if self.lwt_mask:
            options[scylla.LWT_MARK] = f"{scylla.LWT_MASK}{self.lwt_mask}"
        if self.metadata_ids:
            options[scylla.METADATA_ID] = ""
        if self.tablets:
            names = scylla.TABLETS_V2 if self.tablets > 1 else (scylla.TABLETS_V1,)
            options[next(name for name in names if name in self.supported)] = ""
        return options


def read_features(
    supported: Mapping[str, tuple[str, ...]], version: int, *, tablets_v2: bool = False
) -> Features:
    """Return the features of a node that says this, on a connection of protocol `version`.

    `tablets_v2`: whether the second version of hints about tablets is wanted, where there is one.
    """
    if not scylla.is_scylla(supported):
        return Features(supported)
    faults = scylla.Faults()
    sharding = faults.ask(scylla.SHARDS, scylla.read_sharding, supported)
    if sharding is not None:
        sharding = sharding._replace(
            port=faults.ask(scylla.PORT, scylla.read_port, supported),
            tls_port=faults.ask(scylla.TLS_PORT, scylla.read_tls_port, supported),
        )
    return Features(
        supported,
        is_scylla=True,
        host_id=faults.ask(scylla.HOST_ID, scylla.read_host_id, supported),
        sharding=sharding,
        # What changes messages was specified for v4: v3 has no payload to put a hint in, v5 has ids of its own.
        tablets=_tablets(supported, tablets_v2=tablets_v2) if version == V4 else 0,
        metadata_ids=version == V4 and scylla.METADATA_ID in supported,
        lwt_mask=faults.ask(scylla.LWT_MARK, scylla.read_lwt_mask, supported) or 0,
        rate_limit_code=faults.ask(scylla.RATE_LIMIT, scylla.read_rate_limit_code, supported),
        faults=faults.found,
    )


def _tablets(supported: Mapping[str, tuple[str, ...]], *, tablets_v2: bool) -> int:
    if tablets_v2 and any(name in supported for name in scylla.TABLETS_V2):
        return 2
    return int(scylla.TABLETS_V1 in supported)


PLAIN = Features()
"""Those of a node that has none."""
