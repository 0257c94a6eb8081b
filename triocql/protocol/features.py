"""What can be said on a connection: by its protocol version, and by what the server offers in SUPPORTED."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triocql.protocol.constants import V4, V5

Options = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Features:
    """The abilities of one connection.

    Attributes:
        version: of the protocol.
        supported: what SUPPORTED said, name by name.

    >>> Features(4).unset, Features(4).keyspace_per_request
    (True, False)
    """

    version: int
    supported: Options = field(default_factory=dict)

    @property
    def unset(self) -> bool:
        """Whether a value can be left unset."""
        return self.version >= V4

    @property
    def custom_payload(self) -> bool:
        """Whether requests and responses can carry a custom payload."""
        return self.version >= V4

    @property
    def keyspace_per_request(self) -> bool:
        """Whether a request can name its keyspace."""
        return self.version >= V5

    @property
    def now_in_seconds(self) -> bool:
        """Whether a request can set the time that expirations are judged by."""
        return self.version >= V5

    @property
    def metadata_ids(self) -> bool:
        """Whether the server says by an id when the columns of a prepared statement have changed."""
        return self.version >= V5

    @property
    def compressions(self) -> tuple[str, ...]:
        """The compressions that the server offers."""
        return self.supported.get("COMPRESSION", ())
