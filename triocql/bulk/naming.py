"""Tables and columns by what users call them; what is not there is an error that names what is."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final, TypeVar

from triocql._brief import brief
from triocql.errors import UsageError
from triocql.protocol.types import quote_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triocql.metadata.schema import Keyspace, Relation

T = TypeVar("T")

_PART: Final = r'(?:"((?:[^"]|"")+)"|([^".]+))'
_NAME: Final = re.compile(rf"\s*(?:{_PART}\s*\.\s*)?{_PART}\s*")
_STATEMENT: Final = re.compile(r"\s*SELECT\s", re.IGNORECASE)
_MOST_SHOWN: Final = 50


def find_relation(keyspaces: Mapping[str, Keyspace], name: str, keyspace: str | None = None) -> Relation:
    """Return the table or view of a name, as CQL takes it: ``shop.events``, ``"Shop"."Events"``. One that is not in
    quotes may be written as it is, too, whatever its letters.

    Args:
        keyspaces: what is known of the schema.
        name: the name, with its keyspace, or without.
        keyspace: the keyspace where it is without; None for none.

    Raises:
        UsageError: there is none of this name; or its keyspace was not loaded, or is not named.
    """
    found = _NAME.fullmatch(name) if isinstance(name, str) and not _STATEMENT.match(name) else None
    if found is None:
        raise UsageError(
            f"{brief(name)} is no name of a table; write it as 'keyspace.table'{_of_statement(name)}"
        )
    quoted_keyspace, bare_keyspace, quoted_name, bare_name = found.groups()
    if found[1] or found[2]:
        holder = _get(keyspaces, quoted_keyspace, bare_keyspace, "keyspace", "the cluster has")
    elif keyspace is None:
        raise UsageError(
            f"the keyspace of the table {brief(name)} is not named; write it as 'keyspace.table'"
        )
    else:
        holder = _get(keyspaces, keyspace, None, "keyspace", "the cluster has")
    holder.check_loaded()
    relations: dict[str, Relation] = {**holder.tables, **holder.views}
    return _get(relations, quoted_name, bare_name, "table", f"the keyspace {quote_name(holder.name)} has")


def _of_statement(name: object) -> str:
    """Return what to do with a statement that stands where a name should."""
    is_statement = isinstance(name, str) and _STATEMENT.match(name)
    return "; the rows of a statement come from session.stream()" if is_statement else ""


def unknown(name: str, known: Iterable[str], what: str, owner: str) -> str:
    """Return what is to be said of a name that is not known.

    >>> unknown("amont", ["id", "amount"], "column", "shop.events has")
    "unknown column 'amont'; did you mean 'amount'? shop.events has id, amount"
    """
    names = list(known)
    folded = {each.lower(): each for each in names}
    close = [folded[each] for each in difflib.get_close_matches(name.lower(), folded)]
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    listed = ", ".join(names[:_MOST_SHOWN]) or "none"
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"unknown {what} {brief(name)}; {hint}{owner} {listed}{more}"


def _get(known: Mapping[str, T], quoted: str | None, bare: str | None, what: str, owner: str) -> T:
    """Return what has a name, given with quotes or without."""
    name = bare.strip() if bare is not None else (quoted or "").replace('""', '"')
    found = known.get(name)
    if found is None and bare is not None:
        found = known.get(name.lower())
    if found is None:
        raise UsageError(unknown(name, sorted(known), what, owner))
    return found
