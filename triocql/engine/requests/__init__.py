"""One request, from its start to its outcome, and what holds it meanwhile. Its classes are compiled if possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.requests.kept import Kept, keep
    from triocql.engine.requests.request import Completion, Request, Response, give, has_gone, is_bounded
else:
    from triocql.engine.requests._kept import Kept, keep
    from triocql.engine.requests._request import Completion, Request, Response, give, has_gone, is_bounded

__all__ = ["Completion", "Kept", "Request", "Response", "give", "has_gone", "is_bounded", "keep"]
