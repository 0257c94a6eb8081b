"""What a scan gives to whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from triocql.bulk.planner import Task
    from triocql.codecs.rows import Page
    from triocql.metadata.node import Node


class Piece(NamedTuple):
    """The next page of a task.

    Attributes:
        task: the task.
        page: the page; None if there is nothing to tell but the end.
        node: the node that it is from.
        ended: whether the task is complete. Its range is done once it was acknowledged. A task of which a part could
            not be read never is.
        rows: how many rows of the task have come, with those of the page.
        size: how many bytes they had on the wire.
    """

    task: Task
    page: Page | None
    node: Node | None
    ended: bool
    rows: int = 0
    size: int = 0


class Discarded(NamedTuple):
    """A task is not going on: what was given of it is not to count, and is read again as other tasks.

    Attributes:
        task: the task.
        rows: how many rows of it have come.
        size: how many bytes they had.
    """

    task: Task
    rows: int = 0
    size: int = 0
