"""The kinds of statements that a session can execute."""

from __future__ import annotations

from typing import TypeAlias

from triocql.statements.prepared import BoundStatement, PreparedStatement
from triocql.statements.statement import Batch, Statement

Executable: TypeAlias = str | Statement | PreparedStatement | BoundStatement | Batch
"""CQL text, or a statement with options of its own: prepared, bound to values, a batch, or as it is."""
