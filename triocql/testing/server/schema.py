"""The schema that the nodes know: keyspaces, tables and types, declared in CQL."""

from __future__ import annotations

import re
import uuid

from .ddl import Statement, understands
from .declared import Change, Declarations, Keyspace, SchemaError, Table, split_list, split_name

__all__ = [
    "Change",
    "Keyspace",
    "Schema",
    "SchemaError",
    "Table",
    "split_list",
    "split_name",
    "understands",
]

_STATEMENT = re.compile(r"(?:'(?:[^']|'')*'|\$\$.*?\$\$|[^;])+", re.DOTALL)


class Schema(Declarations):
    """The schema that all nodes agree on.

    Attributes:
        keyspaces: by their names.
        version: the schema's version; another one after each change.

    >>> schema = Schema()
    >>> schema.execute("CREATE KEYSPACE shop")
    [Change(change='CREATED', target='KEYSPACE', keyspace='shop', name=None, arguments=None)]
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = uuid.uuid4()

    def execute(self, text: str, keyspace: str | None = None) -> list[Change]:
        """Carry out statements that are separated by semicolons; names without a keyspace are in `keyspace`.

        CREATE, ALTER and DROP of KEYSPACE, TABLE and TYPE, CREATE and DROP of INDEX, MATERIALIZED VIEW, FUNCTION and
        AGGREGATE are understood. What changes along with the object of a statement comes before it.

        Raises:
            SchemaError: one of them is not understood, or cannot be carried out.
        """
        changes: list[Change] = []
        for statement in filter(None, map(str.strip, _STATEMENT.findall(text))):
            changes += Statement(self, statement, keyspace).execute()
        if changes:
            self.version = uuid.uuid4()
        return changes
