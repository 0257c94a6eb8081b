"""The tasks of a scan that were not begun."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.bulk.coordinators import Coordinators
    from triocql.bulk.planner import Task
    from triocql.metadata.node import Node


class Pending:
    """Gives out tasks, each with the node to be asked.

    Args:
        tasks: the tasks, in the order of the ring.
        coordinators: the nodes.
        ordered: whether they have to begin in that order. Else each node is given those that it is the first choice
            for, and those of others when it has none left or these are down.
    """

    __slots__ = ("_coordinators", "_left", "_queues")

    def __init__(self, tasks: Iterable[Task], coordinators: Coordinators, *, ordered: bool) -> None:
        self._coordinators = coordinators
        self._queues: dict[Node | None, deque[Task]] = {}
        self._left = 0
        for task in tasks:
            first = task.replicas[0] if task.replicas and not ordered else None
            self._queues.setdefault(first, deque()).append(task)
            self._left += 1

    def __len__(self) -> int:
        return self._left

    def clear(self) -> None:
        """Forget all."""
        self._queues.clear()
        self._left = 0

    def next(self) -> tuple[Task, Node | None] | None:
        """Return the next task for which a node has room, and that node; None if there is none."""
        for first, queue in tuple(self._queues.items()):
            for node in self._nodes(first, queue[0]):
                if self._coordinators.has_room(node):
                    self._take(first, queue)
                    return queue.popleft(), node
        return None

    def _nodes(self, first: Node | None, task: Task) -> list[Node | None]:
        """Return who may be asked for a task."""
        nodes = self._coordinators.of(task.range, ())
        if first not in nodes:
            return nodes
        return [first, *(node for node in nodes if node not in self._queues)]

    def _take(self, first: Node | None, queue: deque[Task]) -> None:
        """Have other queues be looked at before this one the next time."""
        del self._queues[first]
        if len(queue) > 1:
            self._queues[first] = queue
        self._left -= 1
