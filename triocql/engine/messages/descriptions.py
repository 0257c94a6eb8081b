"""The descriptions of statements by nodes: the columns of their parameters and rows, for everybody who uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet, WeakValueDictionary

from triocql.errors import ProtocolError
from triocql.protocol.constants import V4
from triocql.statements.prepared import PreparedQuery, PreparedState
from triocql.statements.texts import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.codecs.registry import Registry
    from triocql.codecs.rows import RowPlan
    from triocql.protocol.responses import Prepared, RowsMetadata
    from triocql.protocol.types import ColumnSpec


class PrepareKey(NamedTuple):
    """The key of a prepared statement: the keyspace in which unqualified names are looked up, and the text."""

    keyspace: str | None
    text: str


class Descriptions:
    """Keeps the newest description of each statement that is in use, and the codecs that it amounts to.

    What a node describes in a way that nothing can be made of is a ProtocolError, whatever making it raised.
    """

    def __init__(self, registry: Registry, version: int) -> None:
        self._registry = registry
        self._version = version
        self._in_use: WeakSet[PreparedQuery] = WeakSet()
        self._by_key: WeakValueDictionary[PrepareKey, PreparedQuery] = WeakValueDictionary()
        registry.subscribe(self._recode)

    def keep(self, key: PrepareKey, answer: Prepared) -> PreparedQuery:
        """Return the statement that a node has prepared: the one that is in use already, renewed, unless this has
        another id.

        Raises ProtocolError, and UsageError if its text hides a column with a codec of its own.
        """
        metadata = answer.result_metadata
        self.check_names(key.text, (*answer.bind_columns, *(metadata.columns if metadata else ())))
        text = self._by_key.get(key)
        if text is not None and text.state.id == answer.id:
            self.renew(text, answer)
            return text
        text = PreparedQuery(key.text, key.keyspace, self._state(answer))
        self._check_id(text, answer.metadata_id, answer.result_metadata)
        self._by_key[key] = text
        self._in_use.add(text)
        return text

    def renew(self, text: PreparedQuery, answer: Prepared) -> PreparedState:
        """Update what is known of a statement that a node has prepared again, maybe under another id; return its newest
        state.

        It is news for all texts that the nodes take for the same statement. Raises ProtocolError.
        """
        self._check_id(text, answer.metadata_id, answer.result_metadata)
        state = self._state(answer, trusted=text.trusts_ids).after(text.state, self._version)
        if not text.state.says_the_same(state):
            ids = text.state.id, state.id
            for each in tuple(self._in_use):
                if each.state.id in ids:
                    each.state = state
        return text.state

    def learn(
        self, text: PreparedQuery, state: PreparedState, metadata: RowsMetadata, new_id: bytes | None
    ) -> None:
        """Keep the columns that came with rows that were asked for in `state`. Raises ProtocolError."""
        if self._version != V4 or state.is_described:  # else rows always come with their columns
            self._check_id(text, new_id, metadata)
        if text.state is state:
            # Unless somebody was faster, the next request goes out with the new columns.
            newer = self._with_result(state, metadata, new_id if text.trusts_ids else None)
            if not state.says_the_same(newer):
                text.state = newer

    def check_names(self, text: str, columns: Sequence[ColumnSpec]) -> None:
        """Refuse a text that hides a column with a codec of its own. Raises UsageError."""
        self._registry.check_names(text, columns)

    def plan(self, columns: Sequence[ColumnSpec]) -> RowPlan:
        """Return what reads rows of these columns. Raises ProtocolError."""
        try:
            return self._registry.plan(columns)
        except Exception as error:
            raise _useless(error) from error

    def _state(self, answer: Prepared, *, trusted: bool = True) -> PreparedState:
        try:
            state = PreparedState.from_answer(answer, self._registry, self._version)
        except Exception as error:
            raise _useless(error) from error
        metadata = answer.result_metadata
        if metadata is None or not metadata.columns:
            return state
        return self._with_result(state, metadata, answer.metadata_id if trusted else None)

    def _with_result(
        self, state: PreparedState, metadata: RowsMetadata, metadata_id: bytes | None
    ) -> PreparedState:
        return state.with_result(metadata, metadata_id, self.plan(metadata.columns), self._version)

    def _check_id(
        self, text: PreparedQuery, metadata_id: bytes | None, metadata: RowsMetadata | None
    ) -> None:
        """Refuse an id that stood for other columns before: rows that come by it could be those or these.

        One of the two who said so is wrong, and it is not known which: from now on no id is enough, rows have to
        come with their columns. Then ids say nothing any more.
        """
        if (
            metadata is None
            or not metadata_id
            or not text.trusts_ids
            or text.stands_for(metadata_id, metadata)
        ):
            return
        text.trusts_ids = False
        if text.state.metadata is not None:
            text.state = self._with_result(text.state, text.state.metadata, None)
        raise ProtocolError(
            f"the node describes other columns of {shown(text.text)!r} than before under the same id, "
            f"{metadata_id.hex()}"
        )

    def _recode(self) -> None:
        """Have every statement that is in use read and written with the codecs that are registered now."""
        recoded = [(text, text.state.recoded(self._registry, self._version)) for text in self._in_use]
        for text, state in recoded:
            text.state = state


def _useless(error: Exception) -> ProtocolError:
    if isinstance(error, ProtocolError):
        return error
    return ProtocolError(
        f"the node described columns that cannot be read or written: {type(error).__name__}: {error}"
    )
