"""Types that have changed since values were written for them: whether the bytes are values of the new type.

They are, and mean what they meant, if only fields were added to a user-defined type, at its end as ALTER TYPE does it,
or given other names. Values without the new fields are valid: those are null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.protocol.types import ListType, MapType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.protocol.types import ColumnSpec, CqlType, Fields


def still_fit(old: Sequence[ColumnSpec], new: Sequence[ColumnSpec]) -> bool:
    """Whether values that were bound to the markers `old` can be sent for the markers `new` of the same text."""
    return len(old) == len(new) and all(
        takes(after.type, before.type) for before, after in zip(old, new, strict=True)
    )


def takes(new: CqlType, old: CqlType) -> bool:
    """Whether the bytes of every value of the type `old` are the same value of the type `new`."""
    match new, old:
        case (ListType(after), ListType(before)) | (SetType(after), SetType(before)):
            return takes(after, before)
        case MapType(), MapType():
            return takes(new.key, old.key) and takes(new.value, old.value)
        case TupleType(after), TupleType(before):
            return len(after) == len(before) and all(map(takes, after, before))
        case VectorType(), VectorType():
            return new.dimension == old.dimension and takes(new.element, old.element)
        case UserType(), UserType():
            return _fields_fit(old.fields, new.fields)
    return new == old


def _fields_fit(old: Fields, new: Fields) -> bool:
    """Whether each old field has its place still. A name that went to another place is that of another field."""
    before, after = {name for name, _ in old}, {name for name, _ in new}
    return len(old) <= len(new) and all(
        takes(type_, was_type) and (name == was_name or not (name in before or was_name in after))
        for (was_name, was_type), (name, type_) in zip(old, new, strict=False)
    )
