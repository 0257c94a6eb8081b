"""Asking nodes for pages, as many rows as is found to be right, while counting what is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.config.requests import RequestOptions, with_options

if TYPE_CHECKING:
    from triocql.bulk.coordinators import Coordinators
    from triocql.bulk.reading import Reading
    from triocql.bulk.shelf import Shelf
    from triocql.bulk.sizes import PageSizes
    from triocql.engine.executing.executor import Executor
    from triocql.metadata.node import Node


class Asking:
    """Asks for the pages of a scan.

    Args:
        executor: starts requests.
        options: what is the same for all of them.
        has_tablets: whether a range is on one shard of each node that has it.
        nodes: the nodes, which have it counted how much they are asked for.
        shelf: where pages come to, and what they are expected to have is counted.
        sizes: how large they should be.
    """

    __slots__ = ("_calls", "_executor", "_has_tablets", "_nodes", "_options", "_shelf", "_sizes")

    def __init__(
        self,
        executor: Executor,
        options: RequestOptions,
        nodes: Coordinators,
        shelf: Shelf,
        sizes: PageSizes,
        *,
        has_tablets: bool,
    ) -> None:
        self._executor = executor
        self._options = options
        self._has_tablets = has_tablets
        self._nodes = nodes
        self._shelf = shelf
        self._sizes = sizes
        self._calls: dict[tuple[Node | None, int], RequestOptions] = {}

    def ask(self, reading: Reading, node: Node | None) -> None:
        """Ask a node for the next page of a reading. Raises what starting a request can raise."""
        reading.node, reading.rows, reading.expected = node, self._sizes.rows, self._sizes.expected
        self._shelf.expected += reading.expected
        self._nodes.ask(node)
        reading.asked = starting = _Starting()
        call = self._call(node, reading.rows)
        try:
            token = reading.part.end if self._has_tablets else None
            execution = self._executor.start_page(reading, reading.statement, call, reading.state, token)
        except BaseException:
            self.ended(reading)
            raise
        if reading.asked is starting:
            reading.asked = execution
        elif not execution.is_done:  # code of the user's has ended the scan meanwhile
            execution.abandon()

    def ended(self, reading: Reading) -> None:
        """Count that nothing of a reading is under way any more."""
        reading.asked = None
        self._shelf.expected -= reading.expected
        reading.expected = 0
        self._nodes.ended(reading.node)

    def _call(self, node: Node | None, rows: int) -> RequestOptions:
        """Return the options of a request: the same object for the same ones, so that what they lead to is kept."""
        call = self._calls.get((node, rows))
        if call is None:
            call = self._calls[node, rows] = with_options(self._options, {"node": node, "page_size": rows})
        return call


class _Starting:
    """What a reading waits for while it is being started."""

    def abandon(self) -> None:
        """Do nothing: whoever starts it looks whether it is wanted."""
