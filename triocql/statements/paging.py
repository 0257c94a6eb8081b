"""Paging states: where a server stopped, bound to the statement that it was answering."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from triocql.codecs.canonical import canonical_values
from triocql.errors import PagingLoop, PagingStateMismatch
from triocql.statements.texts import keyspace_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.protocol.types import ColumnSpec

_FORMAT = b"\x01"
_TAG = 8
_HEAD = len(_FORMAT) + _TAG


def fingerprint(*parts: bytes) -> bytes:
    """Return what tells one statement from another: 16 bytes of its text, its bound values, and so on."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def statement_fingerprint(
    text: str, keyspace: str | None, columns: Sequence[ColumnSpec] = (), values: bytes = b""
) -> bytes:
    """Return the fingerprint of a statement as the server sees it: its text, the keyspace where its table is looked up,
    and its bound values, of which the order of sets and maps is no part.
    """
    looked_up = keyspace_named(text) or keyspace or ""
    return fingerprint(text.encode(), looked_up.encode(), canonical_values(columns, values))


class PagingState(bytes):
    """The position at which a result goes on: given by `Result.paging_state`, taken by the option `paging_state`.

    It can be kept, or sent through a web client: ``state.hex()`` and ``PagingState.fromhex(text)``. It
    remembers its statement and values: others refuse it, and each refuses what was damaged on the way.
    That guards against mistakes and is no signature: sign it where it must not be forged.

    >>> state = PagingState.wrap(b"position", fingerprint(b"SELECT * FROM t"))
    >>> PagingState.fromhex(state.hex()).unwrap(fingerprint(b"SELECT * FROM t"))
    b'position'
    """

    __slots__ = ()

    @classmethod
    def wrap(cls, raw: bytes, fingerprint: bytes) -> PagingState:
        """Bind the server's state to the statement with this fingerprint."""
        return cls(_FORMAT + _tag(raw, fingerprint) + raw)

    def unwrap(self, fingerprint: bytes) -> bytes:
        """Return the server's state. Raises PagingStateMismatch if it is not one of this statement."""
        raw = self[_HEAD:]
        if self[: len(_FORMAT)] != _FORMAT or len(self) < _HEAD:
            raise PagingStateMismatch(
                "this is not a paging state of triocql: take it from Result.paging_state"
            )
        if self[len(_FORMAT) : _HEAD] != _tag(raw, fingerprint):
            raise PagingStateMismatch(
                "the paging state belongs to another statement or to other values, or was damaged; "
                "use it with the statement and the values of the result that it is from"
            )
        return raw

    def __repr__(self) -> str:
        return f"PagingState.fromhex('{self.hex()}')"


def _tag(raw: bytes, fingerprint: bytes) -> bytes:
    return blake2b(raw, key=fingerprint, digest_size=_TAG).digest()


class Progress:
    """The progress of reading page after page: it notices a node that leads in a circle, of however many pages.

    One state is kept, and another one after 1, 2, 4, ... pages (R. P. Brent, "An improved Monte Carlo factorization
    algorithm", BIT 20, 1980): a page costs two comparisons, and a circle is noticed before it is gone round four times.
    One that leads to itself, the most likely mistake, is noticed at once.
    """

    __slots__ = ("_kept", "_last", "_left", "_stride")

    def __init__(self, state: bytes | None) -> None:
        self._kept = self._last = state
        self._stride = self._left = 1

    def reached(self, state: bytes | None) -> None:
        """Called with the state that a page came with, None at the end. Raises PagingLoop."""
        if state is None:
            return
        if state in (self._kept, self._last):
            raise PagingLoop(
                "the node gave the same paging state twice: reading on would give the same pages for ever"
            )
        self._last = state
        self._left -= 1
        if not self._left:
            self._kept = state
            self._stride = self._left = 2 * self._stride
