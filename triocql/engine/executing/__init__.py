"""From a user's statement to its outcome, in however many attempts. The shortest way is compiled if possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.executing.execution import Attempt, Execution
    from triocql.engine.executing.template import ExecuteTemplate
    from triocql.engine.executing.window import CollectingWindow, Entry, PullingWindow, Window
else:
    from triocql.engine.executing._execution import Attempt, Execution
    from triocql.engine.executing._template import ExecuteTemplate
    from triocql.engine.executing._window import CollectingWindow, Entry, PullingWindow, Window

__all__ = ["Attempt", "CollectingWindow", "Entry", "ExecuteTemplate", "Execution", "PullingWindow", "Window"]
