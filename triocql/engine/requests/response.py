"""What a request ended with: made once a request by the engine, read by `triocql.results.result`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.codecs.rows import Page
    from triocql.protocol.responses import Extras, SchemaChange


class Response:
    """The answer to one request: a page of rows, a schema change, or neither. Pure twin of `_hot`."""

    __slots__ = ("coordinator", "extras", "page", "paging_state", "schema_change")

    def __init__(
        self,
        page: Page | None = None,
        paging_state: bytes | None = None,
        extras: Extras | None = None,
        schema_change: SchemaChange | None = None,
        coordinator: str = "",
    ) -> None:
        self.page = page
        self.paging_state = paging_state
        self.extras = extras
        self.schema_change = schema_change
        self.coordinator = coordinator
