"""What a node of ScyllaDB is like: its shards, what it offers in SUPPORTED, and how it misbehaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

VERSIONS = (3, 4)
"""The protocol versions that it speaks."""

RELEASE_VERSION = "3.0.8"
"""The version of Cassandra that it says to be."""

CQL_VERSION = "3.3.1"
SHARDING = "biased-token-round-robin"

RATE_LIMIT, LWT_MARK = "SCYLLA_RATE_LIMIT_ERROR", "SCYLLA_LWT_ADD_METADATA_MARK"
METADATA_ID, TABLETS_V1 = "SCYLLA_USE_METADATA_ID", "TABLETS_ROUTING_V1"

ShardPort = Literal["open", "refuse", "black_hole", "tls"]


@dataclass
class Scylla:
    """A node of ScyllaDB. The attributes may be changed at any time: connections that are made then follow.

    Attributes:
        shards: how many it has.
        ignore_msb: the most significant bits of a token that do not decide on its shard.
        shard_aware: whether it has a port where the client's port chooses the shard, and tells of it.
        tablets: the versions of tablets-routing that it offers, of 1 and 2.
        tablets_v2_name: what it calls the second one.
        metadata_ids: whether it offers ids of metadata.
        lwt_mask: the flag of PREPARED that marks lightweight transactions, None if it offers none.
        rate_limit_code: the code of the error about rate limits, None if it offers none.
        supported: what SUPPORTED says in place of the truth, by key; None leaves the key out.
        nat: another port than the client's own is seen at the shard-aware port: the next one.
        misplace: each so-manieth connection at the shard-aware port gets to the shard after; 0: none does.
        shard_port: what the shard-aware port does when the node starts: it is "open", it is told of but refuses
            ("refuse"), connections are made and never answered ("black_hole"), or it speaks TLS to all ("tls").
        load: connections by shard that only count where the shard with the fewest is looked for.
        prepared_without_metadata: PREPARED never says what columns the rows have, and the id is that of no columns:
            a fault that real servers had.
        new_id_without_columns: rows of changed metadata have its id, but not the columns.

    >>> Scylla(shards=4).shards
    4
    """

    shards: int = 2
    ignore_msb: int = 12
    shard_aware: bool = True
    tablets: Sequence[int] = (1,)
    tablets_v2_name: str = "TABLETS_ROUTING_V2_EXPERIMENTAL"
    metadata_ids: bool = True
    lwt_mask: int | None = 1 << 31
    rate_limit_code: int | None = 0xF000
    supported: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    nat: bool = False
    misplace: int = 0
    shard_port: ShardPort = "open"
    load: Mapping[int, int] = field(default_factory=dict)
    prepared_without_metadata: bool = False
    new_id_without_columns: bool = False

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError(f"shards={self.shards}: a node has at least one")
        if not 0 <= self.ignore_msb <= 63:
            raise ValueError(f"ignore_msb={self.ignore_msb}: it can be from 0 to 63")
        if not isinstance(self.tablets, Sequence):
            raise TypeError(f"tablets={self.tablets!r}: it is the versions, such as (1, 2), or () for none")
        if unknown := set(self.tablets) - {1, 2}:
            raise ValueError(f"tablets={self.tablets!r}: there is no version {unknown.pop()}")
        check_shard_port(self.shard_port)

    @property
    def extensions(self) -> dict[str, str]:
        """The extensions that it offers, with their parameters."""
        found = {}
        if self.rate_limit_code is not None:
            found[RATE_LIMIT] = f"ERROR_CODE={self.rate_limit_code}"
        if self.lwt_mask is not None:
            found[LWT_MARK] = f"LWT_OPTIMIZATION_META_BIT_MASK={self.lwt_mask}"
        if 1 in self.tablets:
            found[TABLETS_V1] = ""
        if 2 in self.tablets:
            found[self.tablets_v2_name] = ""
        if self.metadata_ids:
            found[METADATA_ID] = ""
        return found

    def told(self, truth: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """Return what SUPPORTED says: the truth, or what is to be said in its place."""
        said = {**truth, **self.supported}
        return {key: values for key, values in said.items() if values is not None}


def check_shard_port(behaviour: str) -> None:
    """Raise ValueError for what no shard-aware port does."""
    if behaviour not in get_args(ShardPort):
        raise ValueError(f"shard_port={behaviour!r}: it can be {', '.join(map(repr, get_args(ShardPort)))}")


def spoken(versions: Sequence[int]) -> tuple[int, ...]:
    """Return which of the protocol's versions a node speaks. Raises ValueError if there is none."""
    found = tuple(each for each in versions if each in VERSIONS)
    if not found:
        raise ValueError(f"versions={versions!r}: ScyllaDB speaks {VERSIONS}")
    return found


def kinds_of(scylla: Scylla | Sequence[Scylla | None] | None, nodes: int) -> Sequence[Scylla | None]:
    """Return what each of so many nodes is like. Raises ValueError if it is said for more or fewer of them, and
    TypeError if that is something else.
    """
    if scylla is None or isinstance(scylla, Scylla):
        return [scylla] * nodes
    if not isinstance(scylla, Sequence) or not all(isinstance(each, Scylla | None) for each in scylla):
        raise TypeError(f"scylla= takes a Scylla(shards=...), or a list of that and None, not {scylla!r}")
    if len(scylla) != nodes:
        raise ValueError(f"scylla= says what {len(scylla)} nodes are like, and there are {nodes}")
    return scylla
